#pragma once

#include <cstddef>

#include <tapegrad/graph/export.h>

/// Not part of the library's interface.
namespace tapegrad::detail {

/// While it lives, the elements of this thread's tensors grow by no more than so many bytes: what asks for more throws
/// OutOfMemory, as where the system has none. For work whose size others decide, as that of a network that a file
/// describes. Memory that is reused is not counted again.
class TAPEGRAD_API StorageLimit {
 public:
  explicit StorageLimit(std::size_t bytes);
  ~StorageLimit();
  StorageLimit(const StorageLimit&) = delete;
  StorageLimit& operator=(const StorageLimit&) = delete;
  /// Whether what this thread asked for last was more.
  bool reached() const noexcept;

 private:
  std::size_t limit_before_;
  bool reached_before_;
};

}  // namespace tapegrad::detail
