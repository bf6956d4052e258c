#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <tapegrad/graph/export.h>

/// What ranks tell each other of what is too long to be sent. Not part of the library's interface.
namespace tapegrad::nn {

/// Fowler, Noll, Vo: FNV-1a of 64 bits.
class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    for (const std::byte b : bytes) take(std::to_integer<std::uint64_t>(b));
    take(0x100U);  // ends what is added: "ab" and "c" are not "a" and "bc"
  }
  void add(std::string_view text) noexcept { add(std::as_bytes(std::span(text))); }
  std::uint64_t value() const noexcept { return hash_; }

 private:
  void take(std::uint64_t part) noexcept { hash_ = (hash_ ^ part) * 0x100000001b3U; }

  std::uint64_t hash_ = 0xcbf29ce484222325U;
};

}  // namespace tapegrad::nn
