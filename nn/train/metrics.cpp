#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/train/metrics.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/workspace.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// Calls f(row, class index) for the rows of a matrix with at least one column.
template <class F>
void each_greatest(const Tensor& matrix, F f) {
  const std::int64_t columns = matrix.dim(1);
  visit_dtype(matrix.dtype(), [&]<class T> {
    const T* row = matrix.values<T>().data();
    for (std::int64_t i = 0; i < matrix.dim(0); ++i, row += columns)
      f(static_cast<std::size_t>(i),
        static_cast<std::size_t>(tapegrad::detail::index_of_greatest(row, columns)));
  });
}

std::vector<bool> which_are_above(double bound, const Tensor& t) {
  std::vector<bool> above;
  visit_floating(t.dtype(), [&]<class T> {
    for (const T v : t.values<T>()) above.push_back(static_cast<double>(v) > bound);
  });
  return above;
}

}  // namespace

std::int64_t count_correct(const Tensor& scores, const Tensor& labels) {
  tapegrad::detail::require_defined("accuracy", scores, "the tensor of scores");
  tapegrad::detail::require_defined("accuracy", labels, "the tensor of labels");
  const bool indices = labels.rank() == 1;
  if (scores.rank() != 2 || scores.dim(1) == 0 ||
      (indices ? labels.dim(0) != scores.dim(0) : labels.shape() != scores.shape()))
    throw ShapeError(
        fmt::format("accuracy: scores {} and labels {} given, expected scores [n, classes] and labels "
                    "[n] or [n, classes]",
                    to_string(scores.shape()), to_string(labels.shape())));
  std::int64_t correct = 0;
  if (indices) {
    tapegrad::detail::require_indices("accuracy", labels, "the class indices");
    const std::span<const std::int64_t> expected = labels.values<std::int64_t>();
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (expected[i] < 0 || expected[i] >= scores.dim(1))
        throw ArgumentError(fmt::format("accuracy: label {} of row {} is outside 0 ... {}", expected[i], i,
                                        scores.dim(1) - 1));
    each_greatest(scores, [&](std::size_t i, std::size_t at) {
      correct += static_cast<std::int64_t>(at) == expected[i];
    });
  } else {
    tapegrad::detail::Workspace<std::size_t> expected(labels.dim(0));
    each_greatest(labels, [&](std::size_t i, std::size_t at) { expected.data()[i] = at; });
    each_greatest(scores, [&](std::size_t i, std::size_t at) { correct += at == expected.data()[i]; });
  }
  return correct;
}

double accuracy(const Tensor& scores, const Tensor& labels) {
  const std::int64_t correct = count_correct(scores, labels);
  if (scores.dim(0) == 0) throw ArgumentError("accuracy: there are no rows to judge");
  if (scores.dim(1) == 1)
    throw ArgumentError(fmt::format(
        "accuracy: scores {} are of one class, of which every row would be right; where one score tells two "
        "classes apart, take binary_accuracy",
        to_string(scores.shape())));
  return static_cast<double>(correct) / static_cast<double>(scores.dim(0));
}

double binary_accuracy(const Tensor& scores, const Tensor& labels) {
  constexpr const char* kName = "binary_accuracy";
  tapegrad::detail::require_defined(kName, scores, "the tensor of scores");
  tapegrad::detail::require_defined(kName, labels, "the tensor of labels");
  tapegrad::detail::require_floating(kName, scores);
  tapegrad::detail::require_floating(kName, labels);
  if (scores.shape() != labels.shape())
    throw ShapeError(fmt::format("{}: scores {} and labels {} given; they must have one shape", kName,
                                 to_string(scores.shape()), to_string(labels.shape())));
  if (scores.size() == 0) throw ArgumentError(fmt::format("{}: there is nothing to judge", kName));
  const std::vector<bool> given = which_are_above(0, scores);
  const std::vector<bool> expected = which_are_above(0.5, labels);
  std::int64_t correct = 0;
  for (std::size_t i = 0; i < given.size(); ++i) correct += given[i] == expected[i];
  return static_cast<double>(correct) / static_cast<double>(scores.size());
}

}  // namespace tapegrad::nn
