#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/neural/class_targets.h>
#include <tapegrad/ops/tensor/index.h>

#include <fmt/format.h>

namespace tapegrad::detail {

Classes Classes::checked(const char* op, const char* what, const Tensor& x, const Tensor& t) {
  require_floating(op, x, what);
  if (x.rank() == 0)
    throw ShapeError(
        fmt::format("{}: {} are a scalar; their last axis must be the classes", op_label(op), what));
  const Classes classes(x.shape(), t.dtype());
  const Shape of_indices = x.shape().removed(x.rank() - 1);
  if (!classes.indices && t.shape() == of_indices && t.shape() != x.shape())
    throw DtypeError(fmt::format("{}: targets {} of {} for {} {}: class indices must be i64, cast them",
                                 op_label(op), to_string(t.shape()), name_of(t.dtype()), what,
                                 to_string(x.shape())));
  if (!classes.indices) require_same_dtype(op, x, t, what, "targets");
  if (const Shape& expected = classes.indices ? of_indices : x.shape(); t.shape() != expected)
    throw ShapeError(fmt::format(
        "{}: targets {} of {} do not fit {} {}, which expect {}{}", op_label(op), to_string(t.shape()),
        name_of(t.dtype()), what, to_string(x.shape()), to_string(expected),
        t.shape() == x.shape() ? " of i64; cast one-hot targets to the dtype of the former" : ""));
  if (classes.count == 0 || classes.rows == 0)
    throw ArgumentError(
        fmt::format("{}: {} {} have no {}", op_label(op), what, to_string(x.shape()),
                    classes.count == 0 ? "classes" : "rows; the mean over the batch is not defined"));
  if (classes.indices) {
    const auto* label = TensorAccess::data_as<std::int64_t>(t);
    for (std::int64_t i = 0; i < classes.rows; ++i)
      if (label[i] < 0 || label[i] >= classes.count)
        throw ArgumentError(fmt::format("{}: target {} at {} is not a class; {} {} have classes 0 to {}",
                                        op_label(op), label[i], index_text(i, t.shape()), what,
                                        to_string(x.shape()), classes.count - 1));
  }
  return classes;
}

Tensor as_weights(const Tensor& t, const Classes& classes, Dtype dtype) {
  return classes.indices ? one_hot(t, classes.count, dtype) : t;
}

}  // namespace tapegrad::detail
