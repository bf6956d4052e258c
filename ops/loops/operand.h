#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/ops/loops/loop_nest.h>
#include <tapegrad/ops/loops/workspace.h>

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

/// Hands out contiguous elements of an operand, block by block, copying them where the operand is broadcast.
class BroadcastOperand {
 public:
  BroadcastOperand() : block_(kBlockBytes) {}

  void bind(const std::byte* data, Dtype dtype, const Shape& shape, const Shape& out) {
    data_ = data;
    dtype_ = dtype;
    direct_ = shape.size() == out.size();
    if (direct_) return;
    nest_ = broadcast_nest(out, shape);
    single_ = shape.size() == 1;
    if (single_) fill(block_.data(), data_, kOperandBlock);
  }

  /// Null where nothing is bound.
  const void* block(std::int64_t start, std::int64_t count) {
    const std::size_t size = size_of(dtype_);
    if (!data_) return nullptr;
    if (direct_) return at(data_, start, size);
    if (single_) return block_.data();
    std::byte* to = block_.data();
    const bool contiguous = nest_.inner().stride[0] != 0;
    nest_.for_each_run(start, start + count, [&](const LoopNest<1>::Offsets& offset, std::int64_t run) {
      const std::size_t bytes = static_cast<std::size_t>(run) * size;
      if (contiguous)
        std::memcpy(to, at(data_, offset[0], size), bytes);
      else
        fill(to, at(data_, offset[0], size), run);
      to += bytes;
    });
    return block_.data();
  }

 private:
  static constexpr std::size_t kBlockBytes = [] {
    std::size_t largest = 0;
    for (const DtypeInfo& dtype : kDtypes) largest = std::max(largest, dtype.size);
    return static_cast<std::size_t>(kOperandBlock) * largest;
  }();

  void fill(std::byte* to, const std::byte* value, std::int64_t count) const {
    visit_dtype(dtype_, [&]<class T> {
      T v;
      std::memcpy(&v, value, sizeof v);
      std::fill_n(reinterpret_cast<T*>(to), count, v);
    });
  }

  const std::byte* data_ = nullptr;
  Dtype dtype_{};
  LoopNest<1> nest_;
  bool direct_ = true;
  bool single_ = false;
  Workspace<std::byte, kBlockBytes> block_;
};

}  // namespace tapegrad::detail
