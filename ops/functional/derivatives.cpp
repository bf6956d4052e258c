#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/rule_context.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::Node;
using detail::OperandName;

namespace {

/// The same values as a node of their own. A derivative for it takes no way around it, through an f that
/// captures the very tensor it is given; and unlike a watched tensor it is no entry of the tape's Gradients.
constexpr detail::OpTable kVariable{
    .name = "variable",
    .max_order = detail::kAnyOrder,
    .composed = false,
    .residuals = 0,
    .optional_inputs = 0,
    .attribute_bytes = 0,
    .attribute_align = 1,
    .saves = {},
    .forward = nullptr,  // recorded here, not applied
    .vjp = [](detail::RuleContext& context) { context.add(0, context.grad_output()); },
    .describe = nullptr,
    .add = &detail::gradient_sum,
    .add_into = &detail::add_elements};

Tensor variable(Tape& tape, const Tensor& x, const char* what) {
  Node* const from = tape.resolve(x, what);
  const Tensor* const input = &x;
  Tensor v = x;
  tape.record(v, kVariable, nullptr, &input, &from, 1);
  return v;
}

void require_like(const char* what, const Tensor& v, const Tensor& like, OperandName v_name,
                  OperandName like_name) {
  detail::require_defined(what, v, v_name);
  if (v.shape() != like.shape())
    throw ShapeError(fmt::format("{}: {} has shape {}, {} has {}; they must be equal", what,
                                 to_string(v_name), to_string(v.shape()), to_string(like_name),
                                 to_string(like.shape())));
  detail::require_same_dtype(what, v, like, v_name, like_name);
}

void require_inputs(const char* what, std::span<const Tensor> inputs) {
  if (inputs.empty())
    throw ArgumentError(fmt::format("{}: no inputs; give at least one to differentiate for", what));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    detail::require_defined(what, inputs[i], {"input", i});
    detail::require_derivative(what, inputs[i], {"input", i});
  }
}

void require_vectors(const char* what, const char* name, std::span<const Tensor> inputs,
                     std::span<const Tensor> vectors) {
  require_inputs(what, inputs);
  if (vectors.size() != inputs.size())
    throw ArgumentError(fmt::format("{}: {} inputs and {} {}s; there is one for each", what, inputs.size(),
                                    vectors.size(), name));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    require_like(what, vectors[i], inputs[i], {name, i}, {"input", i});
}

/// f at its inputs, on the active tape, or where there is none on one of its own.
class Trace {
 public:
  Trace(const char* what, const TensorFunction& f, std::span<const Tensor> inputs) : what_(what) {
    require_inputs(what, inputs);
    tape_ = Tape::current();
    if (!tape_) tape_ = &own_.emplace();
    for (const Tensor& x : inputs) inputs_.push_back(variable(*tape_, plain(x), what));
    value_ = f(inputs_);
    if (!value_.defined())
      throw ArgumentError(fmt::format("{}: the function returned an undefined tensor", what));
    detail::require_derivative(what, value_, "the function's result");
  }

  const Tensor& value() const { return value_; }
  /// The value for the caller: on its tape, or without the history that ends here.
  Tensor result() const { return plain(value_); }

  void require_one_element(const char* instead) const {
    if (value_.size() != 1)
      throw ShapeError(
          fmt::format("{}: the function's result has shape {}; it must have one element. Reduce it, "
                      "for example with sum, or take {}",
                      what_, to_string(value_.shape()), instead));
  }

  /// The last derivative: recorded for a caller whose tape it is.
  std::vector<Tensor> last(const Tensor& y, std::span<const Tensor> xs, const Tensor& cotangent = {}) {
    return tape_->grad(y, xs, {cotangent, own_ ? Record::no : Record::yes});
  }
  std::vector<Tensor> last(const Tensor& y, const Tensor& cotangent = {}) {
    return last(y, inputs_, cotangent);
  }
  /// One to be differentiated again.
  std::vector<Tensor> recorded(const Tensor& cotangent = {}) {
    return tape_->grad(value_, inputs_, {cotangent, Record::yes});
  }
  /// One of the caller's tensors beside the inputs. Where it has lost its history a node of the tape stands for it, so
  /// that a derivative of the result says so.
  Tensor operand(const Tensor& x) const {
    return !own_ && detail::TensorAccess::tag(x).lost_epoch() ? variable(*tape_, x, what_) : plain(x);
  }
  /// A variable that is not among the inputs.
  Tensor new_variable(const Tensor& x) { return variable(*tape_, x, what_); }

  /// The sum of <g_i, v_i> over all inputs, which may be of different dtypes; of that of the value.
  Tensor inner_product(std::span<const Tensor> g, std::span<const Tensor> v) const {
    Tensor total = Tensor::scalar(0, value_.dtype());
    for (std::size_t i = 0; i < g.size(); ++i) {
      const Tensor product = sum(g[i] * plain(v[i]));
      total = total + (product.dtype() == total.dtype() ? product : cast(product, total.dtype()));
    }
    return total;
  }

  /// The last derivative of each element of y, for each input.
  std::vector<Tensor> rows(const Tensor& y) {
    std::vector<Shape> shapes;
    for (const Tensor& x : inputs_) {
      std::vector<std::int64_t> sizes(y.shape().dims().begin(), y.shape().dims().end());
      sizes.insert(sizes.end(), x.shape().dims().begin(), x.shape().dims().end());
      shapes.push_back(detail::named(what_, [&] { return Shape(std::span<const std::int64_t>(sizes)); }));
      // The rows take as much memory as the whole: where that does not suffice, it is said before the work.
      detail::TensorAccess::make(shapes.back(), x.dtype(), what_);
    }
    std::vector<std::vector<Tensor>> rows(inputs_.size());
    for (std::int64_t k = 0; k < y.size(); ++k) {
      Tensor cotangent = Tensor::zeros(y.shape(), y.dtype());
      visit_floating(y.dtype(),
                     [&]<class T> { cotangent.mutable_values<T>()[static_cast<std::size_t>(k)] = 1; });
      std::vector<Tensor> row = last(y, cotangent);
      for (std::size_t i = 0; i < row.size(); ++i) rows[i].push_back(std::move(row[i]));
    }
    std::vector<Tensor> jacobians;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      jacobians.push_back(rows[i].empty() ? Tensor::zeros(shapes[i], inputs_[i].dtype())
                                          : reshape(stack(rows[i]), shapes[i]));
    return jacobians;
  }

 private:
  /// On a tape of our own the caller's tensors are values and nothing else, as where there is no tape.
  Tensor plain(const Tensor& x) const { return own_ ? x.detach() : x; }

  const char* what_;
  std::optional<Tape> own_;
  Tape* tape_ = nullptr;
  std::vector<Tensor> inputs_;
  Tensor value_;
};

ValueAndGradients value_and_gradients_of(const char* what, const TensorFunction& f,
                                         std::span<const Tensor> inputs) {
  Trace trace(what, f, inputs);
  trace.require_one_element("vjp or jacobian");
  return {trace.result(), trace.last(trace.value())};
}

}  // namespace

ValueAndGradients value_and_gradient(const TensorFunction& f, const std::vector<Tensor>& inputs) {
  return value_and_gradients_of("value_and_gradient", f, inputs);
}

std::vector<Tensor> gradient(const TensorFunction& f, const std::vector<Tensor>& inputs) {
  Trace trace("gradient", f, inputs);
  trace.require_one_element("vjp or jacobian");
  return trace.last(trace.value());
}

ValueAndGradients vjp(const TensorFunction& f, const std::vector<Tensor>& inputs, const Tensor& cotangent) {
  Trace trace("vjp", f, inputs);
  require_like("vjp", cotangent, trace.value(), "the cotangent", "the function's result");
  return {trace.result(), trace.last(trace.value(), trace.operand(cotangent))};
}

ValueAndTangent jvp(const TensorFunction& f, const std::vector<Tensor>& inputs,
                    const std::vector<Tensor>& tangents) {
  require_vectors("jvp", "tangent", inputs, tangents);
  Trace trace("jvp", f, inputs);
  const Tensor& y = trace.value();
  // J^T u is linear, so its derivative is the same anywhere: at 1, since a gradient of 0 has none behind a singular
  // point.
  const Tensor u = trace.new_variable(Tensor::ones(y.shape(), y.dtype()));
  const Tensor along = trace.inner_product(trace.recorded(u), tangents);
  return {trace.result(), trace.last(along, std::span(&u, 1))[0]};
}

std::vector<Tensor> jacobian(const TensorFunction& f, const std::vector<Tensor>& inputs) {
  Trace trace("jacobian", f, inputs);
  return trace.rows(trace.value());
}

std::vector<std::vector<Tensor>> hessian(const TensorFunction& f, const std::vector<Tensor>& inputs) {
  Trace trace("hessian", f, inputs);
  trace.require_one_element("jacobian");
  std::vector<std::vector<Tensor>> blocks;
  for (const Tensor& g : trace.recorded()) blocks.push_back(trace.rows(g));
  return blocks;
}

std::vector<Tensor> hvp(const TensorFunction& f, const std::vector<Tensor>& inputs,
                        const std::vector<Tensor>& vectors) {
  require_vectors("hvp", "vector", inputs, vectors);
  Trace trace("hvp", f, inputs);
  trace.require_one_element("a vjp inside a vjp");
  return trace.last(trace.inner_product(trace.recorded(), vectors));
}

// ---- of one tensor ----

namespace {
template <class T>
T only(std::vector<T>&& list) {
  return std::move(list[0]);
}
ValueAndGradient only(ValueAndGradients&& r) { return {std::move(r.value), only(std::move(r.gradients))}; }
}  // namespace

Tensor gradient(const TensorFunction& f, const Tensor& x) { return only(gradient(f, std::vector{x})); }
ValueAndGradient detail::value_and_gradient_of(const char* what, const TensorFunction& f, const Tensor& x) {
  return only(value_and_gradients_of(what, f, {&x, 1}));
}
ValueAndGradient value_and_gradient(const TensorFunction& f, const Tensor& x) {
  return detail::value_and_gradient_of("value_and_gradient", f, x);
}
ValueAndGradient vjp(const TensorFunction& f, const Tensor& x, const Tensor& cotangent) {
  return only(vjp(f, std::vector{x}, cotangent));
}
ValueAndTangent jvp(const TensorFunction& f, const Tensor& x, const Tensor& tangent) {
  return jvp(f, std::vector{x}, std::vector{tangent});
}
Tensor jacobian(const TensorFunction& f, const Tensor& x) { return only(jacobian(f, std::vector{x})); }
Tensor hessian(const TensorFunction& f, const Tensor& x) { return only(only(hessian(f, std::vector{x}))); }
Tensor hvp(const TensorFunction& f, const Tensor& x, const Tensor& vector) {
  return only(hvp(f, std::vector{x}, std::vector{vector}));
}

}  // namespace tapegrad
