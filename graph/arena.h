#pragma once

#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/storage.h>

namespace tapegrad::detail {

/// Bump allocation in chunks from the thread's pool; what it holds is trivially destructible. Rewinding keeps
/// the chunks for the next recording, and the thread's pool keeps them for the next tape.
class Arena {
  struct Chunk;

 public:
  /// Where the next allocation goes; the default is the beginning.
  struct Position {
    Chunk* chunk = nullptr;
    std::byte* next = nullptr;
  };

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  /// `align` is a power of two.
  void* allocate(std::size_t bytes, std::size_t align = 8) {
    std::byte* const start = aligned(at_.next, align);
    if (start <= end_ && bytes <= static_cast<std::size_t>(end_ - start)) [[likely]] {
      at_.next = start + bytes;
      return start;
    }
    return allocate_slow(bytes, align);
  }
  Position position() const { return at_; }
  void rewind(const Position& p);
  /// Bytes of all chunks.
  std::size_t capacity() const { return capacity_; }

 private:
  static std::byte* aligned(std::byte* p, std::size_t align) {
    return p + (-reinterpret_cast<std::uintptr_t>(p) & (align - 1));
  }
  TAPEGRAD_API void* allocate_slow(std::size_t bytes, std::size_t align);
  void enter(Chunk* chunk);

  Position at_;
  std::byte* end_ = nullptr;  ///< of the current chunk
  Chunk* first_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace tapegrad::detail
