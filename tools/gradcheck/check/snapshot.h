#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include <tapegrad/graph/tensor.h>

namespace tapegrad::gradcheck::detail {

inline bool same_bits(const Tensor& a, const Tensor& b) {
  using tapegrad::detail::TensorAccess;
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.size() == 0 || std::memcmp(TensorAccess::data(a), TensorAccess::data(b),
                                       static_cast<std::size_t>(a.size()) * size_of(a.dtype())) == 0);
}

/// Remembers the bytes of tensors, to see later whether anybody wrote to them.
class Snapshot {
 public:
  explicit Snapshot(std::span<const Tensor> tensors) : tensors_(tensors.begin(), tensors.end()) {
    for (const Tensor& t : tensors_) copies_.push_back(t.copy());
  }
  /// The position of the first tensor that was changed, or -1.
  std::ptrdiff_t changed() const {
    for (std::size_t i = 0; i < tensors_.size(); ++i)
      if (!same_bits(tensors_[i], copies_[i])) return static_cast<std::ptrdiff_t>(i);
    return -1;
  }

 private:
  std::vector<Tensor> tensors_, copies_;
};

}  // namespace tapegrad::gradcheck::detail
