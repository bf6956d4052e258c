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

struct Dropout {  // dL/dx = dL/dy m / (1 - ratio)
  static constexpr auto name = "dropout";
  static constexpr auto saves = saves_for(kResidual0);
  double ratio = 0.5;
  Generator::State state{};                                ///< where the mask is drawn from
  Tensor forward(const Tensor& x, Residuals<1>& r) const;  // r[0] = m / (1 - ratio)
  static void vjp(VjpContext<Dropout>& ctx) {
    ctx.add(0, detail::contribution_by(ctx.grad_output(), ctx.residual<0>()));
  }
  void describe(AttributeVisitor& v) const {
    v("ratio", ratio), v("seed", state.seed), v("stream", state.stream), v("position", state.position);
  }
  static void samples(Samples& s) {
    s.add(Dropout{0.4, {.seed = 1}}, {Shape{5, 7}});
    s.add(Dropout{0.5, {.seed = 2, .stream = 3, .position = 5}}, {Shape{}});
    s.add(Dropout{0, {.seed = 1}}, {Shape{3}}, "nothing is dropped");
    s.add(Dropout{0.3, {.seed = 3}}, {Shape{131, 263}}, "for several threads");
  }
};

}  // namespace op

// In a derivative that is recorded the mask is a constant, which it is by its nature: it does not depend on x.
Tensor op::Dropout::forward(const Tensor& x, Residuals<1>& r) const {
  detail::require_floating(name, x);
  Generator generator(state);
  r[0] = bernoulli(x.shape(), generator, 1 - ratio, x.dtype()) * (1 / (1 - ratio));
  return x * r[0];
}

Tensor dropout(const Tensor& x, double ratio, Generator& generator) {
  if (!(ratio >= 0 && ratio < 1))
    throw ArgumentError(
        fmt::format("{}: ratio is {}; it must be in [0, 1)", op_label(op::Dropout::name), ratio));
  Generator::State state = generator.state();
  const Tensor y = apply_op(op::Dropout{ratio, state}, x);
  state.position += static_cast<std::uint64_t>(x.size());
  generator = Generator(state);
  return y;
}

template const OpInfo& detail::info_of<op::Dropout>();

}  // namespace tapegrad
