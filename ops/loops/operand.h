#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/loops/broadcast.h>

namespace tapegrad::detail {

/// Elements that loops over broadcast operands work on at a time: all that they touch, five operands of
/// doubles at most, stays in the first-level cache.
inline constexpr std::int64_t kOperandBlock = 512;

struct alignas(64) Scratch {
  std::byte bytes[kOperandBlock * sizeof(double)];
};

inline const std::byte* at(const void* base, std::int64_t i, std::size_t size) {
  return static_cast<const std::byte*>(base) + static_cast<std::size_t>(i) * size;
}
inline std::byte* at(void* base, std::int64_t i, std::size_t size) {
  return static_cast<std::byte*>(base) + static_cast<std::size_t>(i) * size;
}

/// Hands out contiguous elements of an operand, block by block, copying it into scratch where it is
/// broadcast.
class BroadcastOperand {
 public:
  // Not defaulted: the scratch would be cleared.
  BroadcastOperand() noexcept {}

  void bind(const std::byte* data, Dtype dtype, const Shape& shape, const Shape& out) {
    data_ = data;
    size_ = size_of(dtype);
    direct_ = shape.size() == out.size();
    if (direct_) return;
    layout_ = BroadcastLayout(shape, out);
    single_ = shape.size() == 1;
    if (single_) fill(scratch_.bytes, data_, kOperandBlock);
  }

  /// Null where nothing is bound.
  const void* block(std::int64_t start, std::int64_t count) {
    if (!data_) return nullptr;
    if (direct_) return at(data_, start, size_);
    if (single_) return scratch_.bytes;
    std::byte* to = scratch_.bytes;
    layout_.walk(start, count, [&](std::int64_t offset, std::int64_t run, std::int64_t step) {
      const std::size_t bytes = static_cast<std::size_t>(run) * size_;
      if (step)
        std::memcpy(to, at(data_, offset, size_), bytes);
      else
        fill(to, at(data_, offset, size_), run);
      to += bytes;
    });
    return scratch_.bytes;
  }

 private:
  void fill(std::byte* to, const std::byte* value, std::int64_t count) const {
    const auto as = [&]<class Word>(Word v) {
      std::memcpy(&v, value, sizeof v);
      std::fill_n(reinterpret_cast<Word*>(to), count, v);
    };
    if (size_ == sizeof(float))
      as(float{});
    else
      as(double{});
  }

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  BroadcastLayout layout_;
  bool direct_ = true;
  bool single_ = false;
  Scratch scratch_;
};

}  // namespace tapegrad::detail
