#pragma once

#include <cstdint>
#include <string>

#include <tapegrad/graph/export.h>

/// Parameters that a module uses and no visit() lists, so that nobody trains them. Modules find out, where a tape
/// records what they compute; optimizers, which know no modules, tell. Not part of the library's interface.
namespace tapegrad::detail {

/// What a message says of the parameter of this id; of several texts the first counts.
TAPEGRAD_API void note_unlisted(std::uint64_t parameter, std::string text);
void drop_unlisted(std::uint64_t parameter) noexcept;
/// Empty for a parameter of which nothing was noted.
std::string unlisted_text(std::uint64_t parameter);

}  // namespace tapegrad::detail
