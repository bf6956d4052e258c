#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::nn {

/// Tensors and their names, in an order of their own.
using NamedTensors = std::vector<std::pair<std::string, Tensor>,
                                 tapegrad::detail::PoolAllocator<std::pair<std::string, Tensor>>>;

/// Inputs x and targets t of several items, and further tensors by name, of models that take more; the first axis of
/// each counts the items. Each of them may be absent.
///
///     Batch{x, t}      Batch{.x = images, .t = classes, .more = {{"weights", weights}}}
struct TAPEGRAD_API Batch {
  Tensor x{};           ///< inputs [n, ...]
  Tensor t{};           ///< targets [n, ...]
  NamedTensors more{};  ///< under names of their own: not "x", not "t", none twice

  /// Number of items: of the first tensor that there is.
  std::int64_t size() const;
  /// batch["lengths"]; also batch["x"] and batch["t"]. Throws ArgumentError, which lists the names that there are.
  const Tensor& operator[](std::string_view name) const;
  /// Puts a tensor in the place of the one of that name, or behind the others. Throws ArgumentError for an empty name.
  void set(std::string_view name, const Tensor& tensor);
  /// Those of the tensors that there are: "x", "t", then those of `more` in their order.
  std::vector<std::string> names() const;
};

/// One item of a data set: its tensors, without the axis that counts items.
struct Item {
  Tensor x{};           ///< the input
  Tensor t{};           ///< the target
  NamedTensors more{};  ///< further tensors, under names of their own
};

/// What data sets and loaders do with batches: for the library itself.
namespace batching {

/// f(name, tensor) for each tensor that there is of a batch or an item: x, t, then the others.
template <class B, class F>
void for_each(B&& batch, F&& f) {
  if (batch.x.defined()) f(std::string_view("x"), batch.x);
  if (batch.t.defined()) f(std::string_view("t"), batch.t);
  for (auto& [name, tensor] : batch.more) f(std::string_view(name), tensor);
}

/// "x [10, 3], t [10]"
std::string describe(const Batch& batch);
/// Whether each tensor has so many entries along its first axis.
bool has_items(const Batch& batch, std::int64_t items);
/// Throws ArgumentError where one of `more` is undefined, or has a name that is empty, "x", "t" or there twice. The
/// message starts with `what`, from where the batch comes.
void require_names(std::string_view what, const Batch& batch);

}  // namespace batching

}  // namespace tapegrad::nn
