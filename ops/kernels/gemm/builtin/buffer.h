#pragma once

#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/storage.h>

namespace tapegrad::detail {

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
