#pragma once

#include <cstdint>
#include <string>

#include <tapegrad/graph/export.h>

/// Members that a module uses and no visit() lists, so that nobody trains or saves them. Modules find out, where a tape
/// records what they compute; optimizers, which know no modules, tell. Not part of the library's interface.
namespace tapegrad::detail {

/// What is known of a parameter.
struct UnlistedNote {
  std::string text;  ///< for a message; empty where nothing is known
  /// The parameter is listed, and the text is about a member without parameters that is used beside it.
  bool beside = false;
};

/// Of several notes on a parameter the first counts.
TAPEGRAD_API void note_unlisted(std::uint64_t parameter, UnlistedNote note);
void drop_unlisted(std::uint64_t parameter) noexcept;
/// Whether anything is noted of any parameter, as it is in no correct program.
bool any_unlisted() noexcept;
UnlistedNote unlisted_note(std::uint64_t parameter);

}  // namespace tapegrad::detail
