#include <algorithm>
#include <cmath>

#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>

namespace tapegrad::gradcheck::detail {

Tensor Problem::leaf(Tape& tape, std::size_t, const Tensor& value) const { return tape.watch(value); }
Tensor Problem::constant(std::size_t, const Tensor& value) const { return value; }

std::vector<std::size_t> Problem::grad_inputs() const {
  std::vector<std::size_t> list;
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (inputs_[i].needs_grad) list.push_back(i);
  return list;
}

std::vector<Tensor> Problem::values() const {
  std::vector<Tensor> list;
  for (const Input& in : inputs_) list.push_back(in.value);
  return list;
}

// ---- other ways to call a function ----

std::vector<Tensor> VariantProblem::all(std::span<const Tensor> in) const {
  std::vector<Tensor> list(of_.inputs().size());
  for (std::size_t i = 0; i < in.size(); ++i)
    for (const std::size_t place : stands_for_[i]) list[place] = in[i];
  return list;
}

VariantProblem at_point(const Problem& of, std::span<const Tensor> values) {
  std::vector<Input> at = of.inputs();
  StandsFor itself;
  for (std::size_t i = 0; i < at.size(); ++i) {
    at[i].value = values[i];
    itself.push_back({i});
  }
  return VariantProblem(of, std::move(at), std::move(itself));
}

VariantProblem in_single_precision(const Problem& of) {
  std::vector<Tensor> single;
  for (const Input& in : of.inputs()) single.push_back(converted(in.value, f32));
  return at_point(of, single);
}

Variant Problem::variant(const Pattern& pattern) const {
  const auto among = [](const std::vector<std::size_t>& list, std::size_t i) {
    return std::ranges::find(list, i) != list.end();
  };
  std::vector<Input> at;
  StandsFor stands_for;
  std::size_t first_of_same = 0;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const bool same = among(pattern.same, i);
    if (same && i != pattern.same[0]) {
      stands_for[first_of_same].push_back(i);
      continue;
    }
    if (same) first_of_same = at.size();
    at.push_back(inputs_[i]);
    at.back().needs_grad &= !among(pattern.constant, i);
    stands_for.push_back({i});
  }
  return {std::make_unique<VariantProblem>(*this, std::move(at), stands_for), stands_for};
}

// ---- gradients as a problem ----

namespace {

/// Sum over k of the gradients of sum(weights[k] * results[k]).
std::vector<Tensor> weighted_gradients(Tape& tape, std::span<const Tensor> results,
                                       std::span<const Tensor> weights, std::span<const Tensor> xs,
                                       Record record) {
  std::vector<Tensor> sum;
  for (std::size_t k = 0; k < results.size(); ++k) {
    if (!weights[k].defined()) continue;
    // A result that has one dtype whatever the inputs have, as that of a cast, needs a weight of that dtype.
    const Dtype dtype = results[k].dtype();
    const Tensor weight = weights[k].dtype() == dtype ? weights[k] : cast(weights[k], dtype);
    std::vector<Tensor> g = tape.grad(results[k], xs, {weight, record});
    if (sum.empty())
      sum = std::move(g);
    else
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = add(sum[i], g[i]);
  }
  if (sum.empty())
    for (const Tensor& x : xs) sum.push_back(Tensor::zeros(x.shape(), x.dtype()));
  return sum;
}

std::vector<Input> with_weights(const Problem& of, std::span<const Tensor> weights) {
  std::vector<Input> all = of.inputs();
  for (std::size_t k = 0; k < weights.size(); ++k)
    all.push_back(
        {.name = weights.size() == 1 ? "incoming gradient" : "incoming gradient " + std::to_string(k),
         .value = weights[k],
         .needs_grad = is_floating(weights[k].dtype())});
  return all;
}

}  // namespace

GradientProblem::GradientProblem(const Problem& of, std::span<const Tensor> weights)
    : Problem(with_weights(of, weights)), of_(of), grad_inputs_(of.grad_inputs()) {}

GradientProblem::GradientProblem(std::unique_ptr<const Problem> of, std::span<const Tensor> weights)
    : Problem(with_weights(*of, weights)),
      owned_(std::move(of)),
      of_(*owned_),
      grad_inputs_(of_.grad_inputs()) {}

Variant GradientProblem::variant(const Pattern& pattern) const {
  Variant inner = of_.variant(pattern);
  const std::size_t before = of_.inputs().size();
  if (inner.results.empty())
    for (std::size_t k = before; k < inputs_.size(); ++k) inner.results.push_back({k - before});
  Variant v;
  v.inputs = inner.inputs;
  std::vector<Tensor> weights;
  for (std::vector<std::size_t> results : inner.results) {
    weights.push_back(inputs_[before + results[0]].value);
    for (std::size_t& k : results) k += before;
    v.inputs.push_back(std::move(results));
  }
  for (const std::size_t a : inner.problem->grad_inputs()) {
    v.results.emplace_back();
    for (const std::size_t i : inner.inputs[a])
      v.results.back().push_back(
          static_cast<std::size_t>(std::ranges::find(grad_inputs_, i) - grad_inputs_.begin()));
  }
  v.problem = std::make_unique<GradientProblem>(std::move(inner.problem), weights);
  return v;
}

std::vector<Tensor> GradientProblem::evaluate(std::span<const Tensor> in) const {
  const std::span<const Tensor> point = in.first(of_.inputs().size());
  const std::span<const Tensor> weights = in.subspan(point.size());
  const bool recorded = std::ranges::any_of(in, [](const Tensor& t) { return t.tracked(); });
  if (!recorded) {
    Recording r(of_, point, grad_inputs_);
    return r.vjp(weights);
  }
  Tape& tape = *Tape::current();
  // An input that is not a leaf of the caller's tape becomes one: its gradient is a result here.
  std::vector<Tensor> tracked(point.begin(), point.end()), xs;
  for (const std::size_t i : grad_inputs_) {
    if (!tracked[i].tracked()) tracked[i] = of_.leaf(tape, i, tracked[i]);
    xs.push_back(tracked[i]);
  }
  const std::vector<Tensor> results = of_.evaluate(tracked);
  return weighted_gradients(tape, results, weights, xs, Record::yes);
}

Tensor GradientProblem::leaf(Tape& tape, std::size_t i, const Tensor& value) const {
  return i < of_.inputs().size() ? of_.leaf(tape, i, value) : tape.watch(value);
}

Tensor GradientProblem::constant(std::size_t i, const Tensor& value) const {
  return i < of_.inputs().size() ? of_.constant(i, value) : value;
}

// ---- a tape ----

Recording::Recording(const Problem& problem, std::span<const Tensor> at, std::span<const std::size_t> track) {
  std::vector<Tensor> in;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const bool tracked = std::ranges::find(track, i) != track.end();
    in.push_back(tracked ? problem.leaf(tape_, i, at[i]) : problem.constant(i, at[i]));
    if (tracked) leaves_.push_back(in.back());
  }
  results_ = problem.evaluate(in);
}

std::vector<Tensor> Recording::vjp(std::span<const Tensor> weights, Rule rule) {
  const GeneralRules rules(rule == Rule::general);
  return weighted_gradients(tape_, results_, weights, leaves_,
                            rule == Rule::recorded ? Record::yes : Record::no);
}

// ---- numbers ----

Doubles to_doubles(const Tensor& t) {
  Doubles v(static_cast<std::size_t>(t.size()));
  visit_dtype(t.dtype(), [&]<class T> {
    std::ranges::transform(t.values<T>(), v.begin(), [](T x) { return static_cast<double>(x); });
  });
  return v;
}

Doubles to_doubles(std::span<const Tensor> all) {
  Doubles v;
  for (const Tensor& t : all) {
    const Doubles one = to_doubles(t);
    v.insert(v.end(), one.begin(), one.end());
  }
  return v;
}

double largest_of(std::span<const Tensor> list) {
  double largest = 0;
  for (const double x : to_doubles(list)) largest = std::max(largest, std::isfinite(x) ? std::abs(x) : 0);
  return largest;
}

Tensor from_doubles(std::span<const double> values, const Shape& shape, Dtype dtype) {
  Tensor t = Tensor::empty(shape, dtype);
  visit_floating(dtype, [&]<class T> {
    std::ranges::transform(values, t.mutable_values<T>().begin(), [](double x) { return static_cast<T>(x); });
  });
  return t;
}

Tensor converted(const Tensor& t, Dtype dtype) {
  if (!is_floating(t.dtype())) return t.detach();
  return from_doubles(to_doubles(t), t.shape(), dtype);
}

Tensor beside(const Tensor& t, Generator& generator, double unit) {
  Doubles x = to_doubles(t);
  unit = std::max(unit, epsilon_of(t.dtype()));
  std::uint64_t signs = 0;
  for (std::size_t i = 0; i < x.size(); ++i, signs >>= 1) {
    if (i % 64 == 0) signs = generator();
    x[i] *= 1 + (signs & 1u ? unit : -unit);
  }
  return from_doubles(x, t.shape(), t.dtype());
}

std::vector<Tensor> beside(std::span<const Tensor> all, Generator& generator, double unit) {
  std::vector<Tensor> moved;
  for (const Tensor& t : all) moved.push_back(is_floating(t.dtype()) ? beside(t, generator, unit) : t);
  return moved;
}

Doubles random_weights(std::size_t count, double width, Generator& generator) {
  Doubles w = to_doubles(uniform({static_cast<std::int64_t>(count)}, generator, -1, 1, f64));
  for (double& x : w) x = std::copysign(1 + width * std::abs(x), x);
  return w;
}

Tensor random_weights(const Shape& shape, Dtype dtype, Generator& generator) {
  return from_doubles(random_weights(static_cast<std::size_t>(shape.size()), 1, generator), shape, dtype);
}

}  // namespace tapegrad::gradcheck::detail
