#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <tapegrad/graph/storage.h>

namespace tapegrad::detail {

/// Memory to work in, contents undefined, on a line of the cache: the stack's while it is small, else the
/// pool's, so that a training step reaches no malloc.
template <class T, std::size_t kStackBytes = 8192>
class Workspace {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>,
                "elements are neither constructed nor destroyed");

 public:
  explicit Workspace(std::int64_t count)
      : count_(count),
        data_(count <= kOnStack
                  ? reinterpret_cast<T*>(stack_)
                  : static_cast<T*>(pool_allocate(static_cast<std::size_t>(count) * sizeof(T)))) {}
  ~Workspace() {
    if (count_ > kOnStack) pool_free(data_);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  std::int64_t size() const { return count_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](std::int64_t i) { return data_[i]; }
  const T& operator[](std::int64_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + count_; }

 private:
  static constexpr std::int64_t kOnStack = kStackBytes / sizeof(T);
  std::int64_t count_;
  T* data_;
  alignas(64) std::byte stack_[kStackBytes];
};

}  // namespace tapegrad::detail
