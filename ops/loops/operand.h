#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/ops/loops/loop_nest.h>
#include <tapegrad/ops/loops/simd_for.h>

namespace tapegrad::detail {

/// Elements that loops over broadcast operands work on at a time: all that they touch, five operands of
/// doubles at most, stays in the first-level cache.
inline constexpr std::int64_t kOperandBlock = 512;

inline const std::byte* at(const void* base, std::int64_t i, std::size_t size) {
  return static_cast<const std::byte*>(base) + static_cast<std::size_t>(i) * size;
}
inline std::byte* at(void* base, std::int64_t i, std::size_t size) {
  return static_cast<std::byte*>(base) + static_cast<std::size_t>(i) * size;
}

/// An operand that broadcasts to a shape: hands out contiguous elements, block by block, copied to a buffer where it is
/// broadcast. What it knows is made once; each thread brings buffers of its own.
class BroadcastOperand {
 public:
  static constexpr std::size_t kBufferBytes = [] {
    std::size_t largest = 0;
    for (const DtypeInfo& dtype : kDtypes) largest = std::max(largest, dtype.size);
    return static_cast<std::size_t>(kOperandBlock) * largest;
  }();

  /// One that a loop does not read: its elements are null.
  BroadcastOperand() = default;
  BroadcastOperand(const std::byte* data, Dtype dtype, const Shape& shape, const Shape& out)
      : data_(data), dtype_(dtype), single_(shape.size() == 1) {
    if (shape.size() != out.size()) nest_.emplace(broadcast_nest(out, shape));
  }

  /// Before the first block, of blocks with so many elements at most.
  void prepare(std::int64_t count, std::byte* buffer) const {
    if (nest_ && single_) fill(buffer, data_, count);
  }
  const void* block(std::int64_t start, std::int64_t count, std::byte* buffer) const {
    if (!data_) return nullptr;
    const std::size_t size = size_of(dtype_);
    if (!nest_) return at(data_, start, size);
    if (single_) return buffer;
    std::byte* to = buffer;
    const bool contiguous = nest_->inner().stride[0] != 0;
    nest_->for_each_run(start, start + count, [&](const LoopNest<1>::Offsets& offset, std::int64_t run) {
      const std::size_t bytes = static_cast<std::size_t>(run) * size;
      if (contiguous)
        std::memcpy(to, at(data_, offset[0], size), bytes);
      else
        fill(to, at(data_, offset[0], size), run);
      to += bytes;
    });
    return buffer;
  }

 private:
  void fill(std::byte* to, const std::byte* value, std::int64_t count) const {
    visit_dtype(dtype_, [&]<class T> {
      T v;
      std::memcpy(&v, value, sizeof v);
      simd_for(count, [elements = reinterpret_cast<T*>(to), v](std::int64_t i) { elements[i] = v; });
    });
  }

  const std::byte* data_ = nullptr;
  Dtype dtype_{};
  bool single_ = false;                ///< one element, for all
  std::optional<LoopNest<1>> nest_{};  ///< where its elements are; without one, side by side as in the result
};

}  // namespace tapegrad::detail
