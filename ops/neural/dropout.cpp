#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/neural/dropout.h>
#include <tapegrad/ops/samples.h>

#include <fmt/format.h>

namespace tapegrad {

namespace op {

/// What is dropped: attributes of both ops.
struct DropoutMask {
  double ratio = 0.5;
  Generator::State state{};  ///< where the mask is drawn from
  void describe(AttributeVisitor& v) const {
    v("ratio", ratio), v("seed", state.seed), v("stream", state.stream), v("position", state.position);
  }
  /// m / (1 - ratio)
  Tensor draw(const Shape& shape, Dtype dtype) const {
    Generator generator(state);
    return bernoulli(shape, generator, 1 - ratio, dtype) * (1 / (1 - ratio));
  }
};

struct Dropout : DropoutMask {  // dL/dx = dL/dy m / (1 - ratio)
  static constexpr auto name = "dropout";
  static constexpr auto saves = saves_for(kResidual0);
  Tensor forward(const Tensor& x, Residuals<1>& r) const;  // r[0] = m / (1 - ratio)
  static void vjp(VjpContext<Dropout>& ctx) {
    ctx.add(0, detail::contribution_by(ctx.grad_output(), ctx.residual<0>()));
  }
  static void samples(Samples& s) {
    s.add(Dropout{{0.4, {.seed = 1}}}, {Shape{5, 7}});
    s.add(Dropout{{0.5, {.seed = 2, .stream = 3, .position = 5}}}, {Shape{}});
    s.add(Dropout{{0, {.seed = 1}}}, {Shape{3}}, "nothing is dropped");
    s.add(Dropout{{0.3, {.seed = 3}}}, {Shape{131, 263}}, "for several threads");
  }
};

struct Dropout2d : DropoutMask {  // the same, with a mask [n, c, 1, ...]
  static constexpr auto name = "dropout2d";
  static constexpr auto saves = saves_for(kResidual0);
  Tensor forward(const Tensor& x, Residuals<1>& r) const;
  static void vjp(VjpContext<Dropout2d>& ctx) {
    ctx.add(0, detail::contribution_by(ctx.grad_output(), ctx.residual<0>()));
  }
  static void samples(Samples& s) {
    s.add(Dropout2d{{0.4, {.seed = 1}}}, {Shape{3, 4, 2, 3}}, "images");
    s.add(Dropout2d{{0.5, {.seed = 2, .stream = 3, .position = 5}}}, {Shape{3, 5, 4}}, "sequences");
    s.add(Dropout2d{{0, {.seed = 1}}}, {Shape{1, 2, 2, 2}}, "nothing is dropped");
    s.add(Dropout2d{{0.3, {.seed = 3}}}, {Shape{5, 7, 33, 32}}, "for several threads");
  }
};

}  // namespace op

// In a derivative that is recorded the mask is a constant, which it is by its nature: it does not depend on x.
Tensor op::Dropout::forward(const Tensor& x, Residuals<1>& r) const {
  detail::require_floating(name, x);
  r[0] = draw(x.shape(), x.dtype());
  return x * r[0];
}

void detail::require_droppable_channels(const char* op, const Tensor& x) {
  if (x.rank() < 3)
    throw ShapeError(
        fmt::format("{}: the input is {}; it must be [n, c, ...], with channels of several elements "
                    "to drop (dropout drops single elements)",
                    op_label(op), to_string(x.shape())));
}

Tensor op::Dropout2d::forward(const Tensor& x, Residuals<1>& r) const {
  detail::require_floating(name, x);
  detail::require_droppable_channels(name, x);
  Shape mask = x.shape();
  for (std::size_t axis = 2; axis < mask.rank(); ++axis) mask = mask.with(axis, 1);
  r[0] = draw(mask, x.dtype());
  return x * r[0];
}

namespace {

/// Applies the op, and moves the generator behind the words that it has drawn: one for each of `count(x)`.
template <class Op, class F>
Tensor drop(const Tensor& x, double ratio, Generator& generator, const F& count) {
  if (!(ratio >= 0 && ratio < 1))
    throw ArgumentError(fmt::format("{}: ratio is {}; it must be in [0, 1)", op_label(Op::name), ratio));
  Generator::State state = generator.state();
  const Tensor y = apply_op(Op{{ratio, state}}, x);
  state.position += static_cast<std::uint64_t>(count(x));
  generator = Generator(state);
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double ratio, Generator& generator) {
  return drop<op::Dropout>(x, ratio, generator, [](const Tensor& t) { return t.size(); });
}
Tensor dropout2d(const Tensor& x, double ratio, Generator& generator) {
  return drop<op::Dropout2d>(x, ratio, generator, [](const Tensor& t) { return t.dim(0) * t.dim(1); });
}

template const OpInfo& detail::info_of<op::Dropout>();
template const OpInfo& detail::info_of<op::Dropout2d>();

}  // namespace tapegrad
