#include <algorithm>
#include <cmath>
#include <limits>

#include <tapegrad/gradcheck/check/property_check.h>
#include <tapegrad/gradcheck/check/rounding_noise.h>
#include <tapegrad/graph/values.h>

namespace tapegrad::gradcheck::detail {

PropertyCheck::PropertyCheck(Session& s, const Problem& problem, int order)
    : session_(s),
      problem_(problem),
      order_(order),
      grad_inputs_(problem.grad_inputs()),
      at_(problem.values()) {
  for (Tensor& t : at_) t = t.copy();  // a wrong rule may write to it
  Recording reference(problem_, at_, grad_inputs_);
  for (const Tensor& r : reference.results())
    weights_.push_back(random_weights(r.shape(), r.dtype(), session_.generator));
  gradient_ = reference.vjp(weights_);
  largest_gradient_ = largest_of(gradient_);
  largest_weight_ = largest_of(weights_);
}

void PropertyCheck::differs(std::string_view what, std::size_t k, std::size_t e, double got,
                            double expected) {
  const Shape& shape = at_[grad_inputs_[k]].shape();
  session_.add({.verdict = Verdict::fail,
                .order = order_,
                .what = std::string(what),
                .input = name(k),
                .index = tapegrad::detail::index_text(static_cast<std::int64_t>(e), shape),
                .analytic = got,
                .numeric = expected});
}

void PropertyCheck::compare(std::string_view what, std::size_t k, const Doubles& got, const Doubles& expected,
                            const Doubles& size, double scale,
                            const std::function<const Doubles&()>& rounding) {
  const Dtype dtype = at_[grad_inputs_[k]].dtype();
  const double unit = epsilon_of(dtype);
  // Below the normal numbers digits are lost.
  const double smallest =
      visit_floating(dtype, []<class T> { return static_cast<double>(std::numeric_limits<T>::min()); });
  for (std::size_t e = 0; e < got.size(); ++e) {
    const double apart = std::abs(got[e] - expected[e]), tolerance = 1e5 * unit * std::abs(size[e]);
    if (apart <= tolerance || apart <= smallest || got[e] == expected[e]) continue;
    if (!std::isfinite(expected[e])) continue;  // the derivative check has reported it
    // More than that is no rounding, which need not be measured.
    const double most =
        scale * (std::max(0x1p-16, 0x1p12 * unit) * (std::abs(expected[e] / scale) + largest_gradient_) +
                 0x1p15 * unit * largest_weight_);
    if (apart <= most && apart <= tolerance + 64 * scale * rounding()[e]) continue;
    return differs(what, k, e, got[e], expected[e]);
  }
}

/// How far the elements of the gradient move where inputs move to their neighbours, and how far it is from
/// being proportional to its weights: the rounding of what it was computed from.
const std::vector<Doubles>& PropertyCheck::rounding() {
  if (!rounding_.empty()) return rounding_;
  for (const Tensor& g : gradient_) rounding_.emplace_back(static_cast<std::size_t>(g.size()));
  const auto widen = [&](const Tensors& at, double factor, Rule rule) {
    Tensors weights;
    for (const Tensor& w : weights_) {
      Doubles x = to_doubles(w);
      for (double& v : x) v *= factor;
      weights.push_back(is_floating(w.dtype()) ? from_doubles(x, w.shape(), w.dtype()) : w);
    }
    Recording recording(problem_, at, grad_inputs_);
    RoundingNoise noise(session_.generator());
    const Tensors g = recording.vjp(weights, rule);
    for (std::size_t k = 0; k < g.size(); ++k) {
      const Doubles a = to_doubles(g[k]), b = to_doubles(gradient_[k]);
      const double unit = epsilon_of(g[k].dtype());
      for (std::size_t e = 0; e < a.size(); ++e)
        if (const double apart = std::abs(a[e] / factor - b[e]);
            apart <= std::max(0x1p-12, 0x1p14 * unit) * (std::abs(b[e]) + largest_gradient_) +
                         0x1p9 * unit * largest_weight_)
          rounding_[k][e] = std::max(rounding_[k][e], apart);
    }
  };
  Generator g(1);
  for (int i = 1; i <= 8; ++i) try {
      for (const Rule rule : rules_of(session_.options)) {
        widen(at_, 1 + i * 0x1p-10, rule);
        Tensors near = beside(at_, g);
        // Parameters stay, as a tape refuses to go on where one was assigned to.
        for (std::size_t j = 0; j < near.size(); ++j)
          if (!problem_.inputs()[j].replaceable) near[j] = at_[j];
        widen(near, 1, rule);
      }
    } catch (const ArgumentError&) {  // outside the function's domain
    }
  return rounding_;
}

}  // namespace tapegrad::gradcheck::detail
