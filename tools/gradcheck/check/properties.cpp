#include <algorithm>
#include <cmath>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/property_check.h>
#include <tapegrad/gradcheck/check/snapshot.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

class Properties : private PropertyCheck {
 public:
  Properties(Session& s, const Problem& problem) : PropertyCheck(s, problem) {}

  void run() {
    Recording reference(problem_, at_, grad_inputs_);
    const auto check = [&](auto&& property) {
      if (!session_.decided()) property();
    };
    check([&] { check_forward(reference); });
    check([&] { check_nothing_changes(); });
    check([&] { check_backward(); });
    check([&] { check_rules_agree(reference); });
    check([&] { check_linear(reference); });
    if (session_.options.recorded) check([&] { check_forward_product(reference); });
    check([&] { check_state(); });
    check([&] { check_result_used_twice(); });
    check([&] { check_inputs_used_elsewhere(); });
  }

  void run_surroundings() {
    check_nothing_changes();
    check_state();
    check_result_used_twice();
    check_inputs_used_elsewhere();
    Recording reference(problem_, at_, grad_inputs_);
    check_linear(reference);
  }

 private:
  void check_forward(const Recording& reference) {
    Tensors plain = at_;
    for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = problem_.constant(i, plain[i]);
    const Pause pause;
    const Tensors results = problem_.evaluate(plain);
    for (std::size_t k = 0; k < results.size(); ++k) {
      if (results[k].tracked())
        session_.fail(1, "no tape", "result", "it is tracked although no tape records");
      if (!same_bits(results[k], reference.results()[k]))
        session_.fail(1, "no tape", "result", "its bits differ from those computed under a tape");
    }
  }

  void check_nothing_changes() {
    for (const Rule rule : rules_of(session_.options)) {
      // Everything that a rule could write to gets storage of its own.
      Tensors at, weights;
      for (const Tensor& t : at_) at.push_back(t.copy());
      for (const Tensor& t : weights_) weights.push_back(t.copy());
      const Snapshot inputs(at), incoming(weights);
      Recording recording(problem_, at, grad_inputs_);
      const Snapshot results(recording.results());
      std::string thrown;
      try {
        recording.vjp(weights, rule);
      } catch (const MutatedSaved& e) {
        thrown = e.what();
      }
      if (const auto i = inputs.changed(); i >= 0)
        session_.fail(1, "nothing is changed", problem_.inputs()[static_cast<std::size_t>(i)].name,
                      "the forward or backward pass wrote to this input");
      else if (results.changed() >= 0)
        session_.fail(1, "nothing is changed", "result", "the backward pass wrote to the result");
      else if (incoming.changed() >= 0)
        session_.fail(1, "nothing is changed", "incoming gradient", "the backward pass wrote to it");
      else if (!thrown.empty())
        session_.fail(1, "nothing is changed", "input", thrown);
    }
  }

  void check_backward() {
    Recording again(problem_, at_, grad_inputs_);
    const Tensors g = again.vjp(weights_);
    // backward() differentiates one result for all leaves, and frees what was saved as it goes.
    if (again.results().size() != 1 || !again.results()[0].tracked()) return;
    const tapegrad::Gradients all = again.tape().backward(again.results()[0], weights_[0]);
    for (std::size_t k = 0; k < g.size(); ++k) {
      const Tensor* whole = all.find(again.leaves()[k]);
      if (whole && !repeats(*whole, g[k], session_.options.nondet_tol))
        session_.fail(1, "backward()", name(k), "backward() gives other bits than grad()");
    }
  }

  // The rules agree up to rounding only, as random weights have digits in all places.
  void check_rules_agree(Recording& reference) {
    for (const Rule rule : rules_of(session_.options).subspan(1)) {
      const Tensors g = reference.vjp(weights_, rule);
      for (std::size_t k = 0; k < g.size(); ++k)
        compare(fmt::format("{}, beside the usual one", describe(rule)), k, g[k], to_doubles(gradient_[k]));
    }
  }

  // Linear, for every pattern of the incoming gradient w: v(w) = v(p) + v(w - p), v(cw) = c v(w), v(0) = 0.
  void check_linear(Recording& reference) {
    const auto vjp = [&](auto&& value) {
      Tensors w;
      for (const Tensor& r : weights_) {
        Doubles x = to_doubles(r);
        for (std::size_t j = 0; j < x.size(); ++j) x[j] = value(j, x[j]);
        w.push_back(from_doubles(x, r.shape(), r.dtype()));
      }
      return reference.vjp(w);
    };
    const auto split = [&](const char* what, auto&& pattern) {
      const Tensors p = vjp(pattern);
      const Tensors rest = vjp([&](std::size_t j, double w) { return w - pattern(j, w); });
      for (std::size_t k = 0; k < p.size(); ++k) {
        const Doubles a = to_doubles(p[k]), b = to_doubles(rest[k]), g = to_doubles(gradient_[k]);
        Doubles sum(a.size()), size(a.size());
        for (std::size_t e = 0; e < a.size(); ++e) {
          sum[e] = a[e] + b[e];
          size[e] = std::abs(a[e]) + std::abs(b[e]) + std::abs(g[e]);
        }
        compare(what, k, sum, g, size);
      }
    };
    split("linear in the incoming gradient, split at all ones", [](std::size_t, double) { return 1.0; });
    split("linear in the incoming gradient, split at half of it zero",
          [](std::size_t j, double w) { return j % 2 ? w : 0.0; });
    split("linear in the incoming gradient, split at its first element",
          [](std::size_t j, double w) { return j == 0 ? w : 0.0; });
    const bool single = std::ranges::any_of(at_, [](const Tensor& t) { return t.dtype() == f32; });
    for (const double c :
         single ? std::vector{-0x1p20, 0x1p-20} : std::vector{-0x1p40, 0x1p-40, -0x1p100, 0x1p-100}) {
      const Tensors g = vjp([&](std::size_t, double w) { return c * w; });
      for (std::size_t k = 0; k < g.size(); ++k) {
        Doubles expected = to_doubles(gradient_[k]);
        for (double& x : expected) {
          x *= c;
          if (single) x = static_cast<float>(x);  // beyond f32 it is infinite, and not compared
        }
        compare(c < 0 ? "linear in the incoming gradient, large" : "linear in the incoming gradient, tiny", k,
                g[k], expected, std::abs(c));
      }
    }
    const Tensors nothing = vjp([](std::size_t, double) { return 0.0; });
    for (std::size_t k = 0; k < nothing.size(); ++k) {
      const Doubles g = to_doubles(nothing[k]), usual = to_doubles(gradient_[k]);
      for (std::size_t e = 0; e < g.size(); ++e)
        if (g[e] != 0 && std::isfinite(usual[e])) {
          differs("linear in the incoming gradient, zero", k, e, g[e], 0);
          break;
        }
    }
  }

  // The product of the Jacobian with a direction d, by differentiating the recorded gradient with respect to
  // its incoming one: <w, J d> is <J^T w, d> for every w.
  void check_forward_product(Recording& reference) {
    Tensors directions;
    for (const std::size_t i : grad_inputs_)
      directions.push_back(random_weights(at_[i].shape(), at_[i].dtype(), session_.generator));
    Recording recording(problem_, at_, grad_inputs_);
    Tensors leaves;
    for (const Tensor& w : weights_) leaves.push_back(recording.tape().watch(w.copy()));
    const Tensors gradients = recording.vjp(leaves, Rule::recorded);
    Tensor product;
    for (std::size_t k = 0; k < gradients.size(); ++k) {
      if (!gradients[k].tracked()) continue;
      const Tensor part = sum(mul(gradients[k], directions[k]));
      product = product.defined() ? add(product, part) : part;
    }
    Tensors forward;
    if (product.defined()) forward = recording.tape().grad(product, leaves);
    Tensors fresh;
    for (const Tensor& w : weights_)
      fresh.push_back(random_weights(w.shape(), w.dtype(), session_.generator));
    double left = 0, right = 0, size = 0;
    for (std::size_t j = 0; j < forward.size(); ++j) {
      const Doubles a = to_doubles(forward[j]), w = to_doubles(fresh[j]);
      for (std::size_t e = 0; e < a.size(); ++e) left += a[e] * w[e], size += std::abs(a[e] * w[e]);
    }
    const Tensors backward = reference.vjp(fresh);
    for (std::size_t k = 0; k < backward.size(); ++k) {
      const Doubles g = to_doubles(backward[k]), d = to_doubles(directions[k]);
      for (std::size_t e = 0; e < g.size(); ++e) right += g[e] * d[e], size += std::abs(g[e] * d[e]);
    }
    Dtype dtype = f64;
    for (const Tensor& w : weights_) dtype = coarser(dtype, w.dtype());
    if (std::abs(left - right) <= rounding_slack(dtype) * size || !std::isfinite(size)) return;
    double inside = 0;
    for (std::size_t k = 0; k < directions.size(); ++k) {
      const Doubles d = to_doubles(directions[k]);
      for (std::size_t e = 0; e < d.size(); ++e) inside += std::abs(d[e]) * rounding()[k][e];
    }
    if (std::abs(left - right) <= rounding_slack(dtype) * size + 64 * inside) return;
    session_.add({.verdict = Verdict::fail,
                  .what = "forward product beside the gradient",
                  .input = "inputs",
                  .index = ", random direction",
                  .analytic = left,
                  .numeric = right});
  }

  // A rule may read what its own forward pass left, and nothing that a later one leaves.
  void check_state() {
    Tensors elsewhere;
    bool any = false;
    for (std::size_t i = 0; i < at_.size(); ++i) {
      // Parameters stay, as a tape refuses to go on where one was assigned to.
      const bool moves = problem_.inputs()[i].replaceable;
      elsewhere.push_back(moves ? moved_away(at_[i]) : at_[i]);
      any |= moves;
    }
    if (!any) return;
    for (const Rule rule : rules_of(session_.options)) {
      Recording recording(problem_, at_, grad_inputs_);
      try {
        Recording other(problem_, elsewhere, grad_inputs_);
        other.vjp(weights_, rule);
      } catch (const ArgumentError&) {  // outside the function's domain
      }
      const Tensors g = recording.vjp(weights_, rule);
      for (std::size_t k = 0; k < g.size(); ++k)
        compare(fmt::format("forward at another point before the backward pass, {}", describe(rule)), k, g[k],
                to_doubles(gradient_[k]));
    }
  }
  static Tensor moved_away(const Tensor& t) {
    if (!is_floating(t.dtype())) {  // indices, which stay valid where they change places
      Tensor other = t.copy();
      std::ranges::reverse(other.mutable_values<std::int64_t>());
      return other;
    }
    Doubles x = to_doubles(t);
    std::ranges::reverse(x);
    for (double& v : x) v = 0.9375 * v + 0x1p-8;
    return from_doubles(x, t.shape(), t.dtype());
  }

  /// Gradients of all leaves for sum(weights * f(leaves)), computed on a tape of its own.
  template <class F>
  Tensors on_tape(F&& f) {
    Tape tape;
    Tensors in;
    Tensors leaves;
    for (std::size_t i = 0; i < at_.size(); ++i) {
      const bool tracked = std::ranges::find(grad_inputs_, i) != grad_inputs_.end();
      in.push_back(tracked ? problem_.leaf(tape, i, at_[i]) : problem_.constant(i, at_[i]));
      if (tracked) leaves.push_back(in.back());
    }
    Tensors total;
    f(in, total);
    Tensors sum;
    for (std::size_t k = 0; k < total.size(); ++k) {
      const Tensors g = tape.grad(total[k], leaves, {weights_[k], Record::no});
      if (sum.empty())
        sum = g;
      else
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = add(sum[i], g[i]);
    }
    return sum;
  }

  Doubles doubled(std::size_t k) const {
    Doubles g = to_doubles(gradient_[k]);
    for (double& x : g) x *= 2;
    return g;
  }

  // The incoming gradient is then a sum that nobody else holds, and the gradients of the inputs arrive in two
  // parts.
  void check_result_used_twice() {
    Tensors g = on_tape([&](const Tensors& in, Tensors& total) {
      for (const Tensor& y : problem_.evaluate(in)) total.push_back(add(y, y));
    });
    for (std::size_t k = 0; k < g.size(); ++k) compare("result used twice", k, g[k], doubled(k));
    g = on_tape([&](const Tensors& in, Tensors& total) {
      const Tensors first = problem_.evaluate(in), second = problem_.evaluate(in);
      for (std::size_t j = 0; j < first.size(); ++j) total.push_back(add(first[j], second[j]));
    });
    for (std::size_t k = 0; k < g.size(); ++k) compare("function used twice", k, g[k], doubled(k));
  }

  /// Results need not have the dtype of the inputs.
  static Tensor in_dtype_of(const Tensor& other, const Tensor& t) {
    return t.dtype() == other.dtype() ? t : cast(t, other.dtype());
  }

  // Each input is the result of an operation here, and has a gradient from elsewhere before the rule runs, to
  // which the rule must add.
  void check_inputs_used_elsewhere() {
    for (std::size_t k = 0; k < grad_inputs_.size(); ++k) {
      const std::size_t i = grad_inputs_[k];
      if (!problem_.inputs()[i].replaceable) continue;
      const Tensor other = random_weights(at_[i].shape(), at_[i].dtype(), session_.generator);
      Tape tape;
      Tensors in = at_;
      for (std::size_t j = 0; j < in.size(); ++j) in[j] = problem_.constant(j, in[j]);
      const Tensor leaf = tape.watch(at_[i].copy());
      in[i] = mul(leaf, 1);
      const Tensor inner = in[i];
      const Tensors results = problem_.evaluate(in);
      // The gradients meet at `inner`, that of `other` first.
      Tensor total;
      for (std::size_t j = 0; j < results.size(); ++j) {
        if (!results[j].tracked()) continue;
        const Tensor part = sum(mul(results[j], weights_[j]));
        total = total.defined() ? add(total, in_dtype_of(total, part)) : part;
      }
      if (!total.defined()) continue;
      total = add(total, in_dtype_of(total, sum(mul(inner, other))));
      Doubles expected = to_doubles(gradient_[k]), size = expected;
      const Doubles o = to_doubles(other);
      for (std::size_t e = 0; e < expected.size(); ++e) {
        size[e] = std::abs(expected[e]) + std::abs(o[e]);
        expected[e] += o[e];
      }
      for (const Rule rule : rules_of(session_.options)) {
        const GeneralRules general(rule == Rule::general);
        const Record record = rule == Rule::recorded ? Record::yes : Record::no;
        compare(fmt::format("input used elsewhere too, {}", describe(rule)), k,
                to_doubles(tape.grad(total, leaf, {{}, record})), expected, size);
      }
    }
  }
};

}  // namespace

void check_properties(Session& s, const Problem& problem) { Properties(s, problem).run(); }
void check_surroundings(Session& s, const Problem& problem) { Properties(s, problem).run_surroundings(); }

}  // namespace tapegrad::gradcheck::detail
