#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include <tapegrad/graph/export.h>

/// What ranks tell each other of what is too long to be sent. Not part of the library's interface.
namespace tapegrad::nn {

/// After Fowler, Noll and Vo (FNV-1a), eight bytes at a time: it tells what differs by accident, not by intent.
class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    take(bytes.size());  // "ab" and "c" are not "a" and "bc"
    for (; bytes.size() >= sizeof(std::uint64_t); bytes = bytes.subspan(sizeof(std::uint64_t)))
      take_word(bytes);
    if (!bytes.empty()) take_word(bytes);
  }
  void add(std::string_view text) noexcept { add(std::as_bytes(std::span(text))); }
  std::uint64_t value() const noexcept { return hash_; }

 private:
  void take(std::uint64_t part) noexcept {
    hash_ = (hash_ ^ part) * 0x100000001b3U;
    hash_ ^= hash_ >> 32;
  }
  void take_word(std::span<const std::byte> bytes) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), std::min(bytes.size(), sizeof word));
    take(word);
  }

  std::uint64_t hash_ = 0xcbf29ce484222325U;
};

}  // namespace tapegrad::nn
