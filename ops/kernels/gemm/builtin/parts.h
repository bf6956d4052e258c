#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/storage.h>
#include <tapegrad/ops/loops/parallel.h>

/// What a matrix product is cut into, and the memory that its parts are packed in.
namespace tapegrad::detail {

/// [0, extent) in `count` parts as equal as can be, the longer ones first.
class Cut {
 public:
  Cut() = default;
  Cut(std::int64_t extent, std::int64_t count)
      : count_(count), length_(extent / count), longer_(extent - length_ * count) {}
  /// In parts of at most `length`.
  static Cut into(std::int64_t extent, std::int64_t length) { return {extent, blocks_of(extent, length)}; }

  std::int64_t count() const { return count_; }
  std::int64_t bound(std::int64_t i) const { return i * length_ + std::min(i, longer_); }

 private:
  std::int64_t count_ = 1;
  std::int64_t length_ = 0;
  std::int64_t longer_ = 0;
};

struct Range {
  std::int64_t from;
  std::int64_t to;
};
inline Range part(const Cut& cut, std::int64_t i) { return {cut.bound(i), cut.bound(i + 1)}; }

/// Memory for a panel: the stack's while it is small, else the pool's.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::int64_t elements)
      : data_(elements <= kSmall
                  ? small_
                  : static_cast<T*>(pool_allocate(static_cast<std::size_t>(elements) * sizeof(T)))) {}
  ~Buffer() {
    if (data_ != small_) pool_free(data_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* data() { return data_; }

 private:
  static constexpr std::int64_t kSmall = 8192 / sizeof(T);
  T* data_;
  alignas(64) T small_[kSmall];
};

}  // namespace tapegrad::detail
