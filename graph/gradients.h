#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

/// What Tape::backward returns: a gradient for each parameter and watched tensor that the tape has seen,
/// zeros where the loss does not depend on it. A value: there is no hidden state to clear. Arithmetic on it
/// (sums, scaling, clipping) is in <tapegrad/ops/gradients.h>.
class TAPEGRAD_API Gradients {
 public:
  /// Whose gradient it is: a parameter's id, or the tag of a watched tensor.
  struct Key {
    std::uint64_t parameter = 0;  ///< its id; 0 for a watched tensor
    detail::Tag watched{};        ///< the tag of a watched tensor
    friend bool operator==(const Key& a, const Key& b) noexcept {
      return a.parameter == b.parameter && a.watched.epoch == b.watched.epoch &&
             a.watched.node == b.watched.node;
    }
  };
  /// A gradient and whose it is.
  struct Entry {
    Key key;       ///< whose gradient it is
    Tensor value;  ///< of the shape and dtype of what it is the gradient of
  };

  /// The gradient of a parameter or watched tensor. Throws NotTracked where the tape did not see it.
  const Tensor& operator[](const Parameter& parameter) const&;
  const Tensor& operator[](const Tensor& watched) const&;
  Tensor operator[](const Parameter& parameter) && { return std::as_const(*this)[parameter]; }
  Tensor operator[](const Tensor& watched) && { return std::as_const(*this)[watched]; }
  /// The same, null where the tape did not see it.
  const Tensor* find(const Parameter& parameter) const noexcept;
  Tensor* find(const Parameter& parameter) noexcept;
  const Tensor* find(const Tensor& watched) const noexcept;

  /// How many gradients there are, and whether there is none.
  std::size_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  /// Parameters in the order of their ids, that is of their creation; then watched tensors in the order of
  /// watching.
  auto begin() const noexcept { return entries_.begin(); }
  auto end() const noexcept { return entries_.end(); }
  auto begin() noexcept { return entries_.begin(); }
  auto end() noexcept { return entries_.end(); }
  /// The entry with this key, or null.
  const Tensor* find(const Key& key) const noexcept;
  /// Makes place for so many entries.
  void reserve(std::size_t count) { entries_.reserve(count); }
  /// Adds an entry for a key that has none, keeping the order.
  void insert(const Key& key, Tensor value);

 private:
  std::vector<Entry, detail::PoolAllocator<Entry>> entries_;
};

}  // namespace tapegrad
