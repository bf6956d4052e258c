#include <algorithm>
#include <array>
#include <cmath>
#include <list>
#include <map>

#include <tapegrad/gradcheck/mutation/mutated_rules.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

namespace tapegrad::gradcheck::detail {

namespace {

using tapegrad::detail::kOutputBit;
using tapegrad::detail::kResidualBit;
using tapegrad::detail::RuleProbe;
using tapegrad::detail::TensorAccess;

// ---- a gradient altered ----

Tensor flattened(const Tensor& g) { return reshape(g, {g.size()}); }

/// The gradient as the mutation makes it; an undefined tensor where the mutation does not apply to a gradient
/// of this shape.
Tensor mutated_gradient(MutationKind kind, const Tensor& g, const Shape& result) {
  const Shape shape = g.shape();
  const std::int64_t n = g.size();
  switch (kind) {
    case MutationKind::zero:
      return mul(g, 0);
    case MutationKind::negated:
      return neg(g);
    case MutationKind::doubled:
    case MutationKind::some_inputs:
      return mul(g, 2);
    case MutationKind::f32_alone:
      return g.dtype() == f32 ? mul(g, 1 + 1e-3) : Tensor();
    case MutationKind::slightly_scaled:
      return mul(g, 1 + 1e-6);
    case MutationKind::single_precision:
      if (g.dtype() != f64) return {};
      return cast(cast(g, f32), f64);
    case MutationKind::one_zeroed: {
      if (n == 0) return {};
      Doubles factors(static_cast<std::size_t>(n), 1);
      factors[factors.size() / 2] = 0;
      return mul(g, from_doubles(factors, shape, g.dtype()));
    }
    case MutationKind::off_by_one: {
      if (n < 2) return {};
      const Tensor f = flattened(g);
      return reshape(concat({slice(f, 0, n - 1, n), slice(f, 0, 0, n - 1)}), shape);
    }
    case MutationKind::transposed:
      if (shape.rank() < 2) return {};
      return reshape(transpose(g), shape);
    case MutationKind::without_mean:
      if (n == 0) return {};
      return sub(g, mean(g));
    case MutationKind::averaged:
      if (n == 0 || n >= result.size()) return {};
      return mul(g, static_cast<double>(n) / static_cast<double>(result.size()));
    case MutationKind::not_reduced:
      if (n == 0 || n >= result.size()) return {};
      return broadcast_to(g, result);
    case MutationKind::detached:
      return g.detach();
    default:
      return {};
  }
}

/// Up to rounding, of the incoming gradient too: a mean that is zero by nature is seldom so to the last bit.
bool same_values(const Tensor& incoming, const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return false;
  const Doubles x = to_doubles(a), y = to_doubles(b);
  double largest = 0;
  for (const Doubles& values : {x, to_doubles(incoming)})
    for (const double v : values) largest = std::max(largest, std::isfinite(v) ? std::abs(v) : 0);
  const double slack = rounding_slack(a.dtype()) * largest;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i] != y[i] && !(std::abs(x[i] - y[i]) <= slack) && !(std::isnan(x[i]) && std::isnan(y[i])))
      return false;
  return true;
}

/// By more than the checker lets pass: a term may correct the rounding of others, and nothing else.
bool is_wrong(const Tensor& right, const Tensor& got) {
  const Doubles x = to_doubles(right), y = to_doubles(got);
  const double slack = rounding_slack(right.dtype()) * largest_of({&right, 1});
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!(std::abs(x[i] - y[i]) <= std::max(slack, Options{}.rtol * std::abs(x[i]))) && x[i] != y[i] &&
        !(std::isnan(x[i]) && std::isnan(y[i])))
      return true;
  return false;
}

/// The elements of a tensor, broadcast to a shape.
Doubles broadcast_values(const Tensor& t, const Shape& to) {
  const Pause pause;
  return to_doubles(t.shape() == to ? t.detach() : broadcast_to(t.detach(), to));
}

/// Other values of the same kind: integers, which may be indices, change places.
Tensor stale(const Tensor& saved, unsigned bit) {
  if (is_floating(saved.dtype())) {
    Doubles v = to_doubles(saved);
    for (double& x : v) x = -1.25 * x + 0.0625 * (bit + 1);
    return from_doubles(v, saved.shape(), saved.dtype());
  }
  Tensor other = saved.copy();
  const std::span<std::int64_t> v = other.mutable_values<std::int64_t>();
  if (!v.empty()) std::rotate(v.begin(), v.begin() + 1, v.end());
  return other;
}

/// Of those that can have one.
bool all_need_gradients(const RuleProbe& probe) {
  for (std::size_t i = 0; i < probe.inputs(); ++i)
    if (probe.has_input(i) && is_floating(probe.input_dtype(i)) && !probe.needs_grad(i)) return false;
  return true;
}

/// The other of the first two gradients of one shape; k itself where it is neither.
std::size_t partner_of(const std::vector<Tensor>& parts, std::size_t k) {
  const auto alike = [&](std::size_t a, std::size_t b) {
    return parts[a].defined() && parts[b].defined() && parts[a].shape() == parts[b].shape() &&
           parts[a].dtype() == parts[b].dtype();
  };
  for (std::size_t a = 0; a < parts.size(); ++a)
    for (std::size_t b = a + 1; b < parts.size(); ++b)
      if (alike(a, b)) return k == a ? b : k == b ? a : k;
  return k;
}

}  // namespace

// ---- the rule ----

void MutatedRules::run(Probe& probe) {
  if (&probe.op() != op_.table || (mutation_.rule && probe.kind() != *mutation_.rule)) return probe.run();
  if (observed_ && observed_->recording_saved()) return probe.run();
  switch (mutation_.kind) {
    case MutationKind::none:
    case MutationKind::formula:
      return op_.formula ? run_formula(probe) : probe.run();
    case MutationKind::stale_saved:
    case MutationKind::stale_residual:
    case MutationKind::last_forward:
      return run_with_other_values(probe);
    case MutationKind::ties:
      return run_and_share_ties(probe);
    case MutationKind::term:
      return run_with_mutated_term(probe);
    case MutationKind::mutates_incoming:
      return run_and_change_incoming(probe);
    case MutationKind::overwrites:
      return run_and_overwrite(probe);
    case MutationKind::swapped:
      return run_and_swap(probe);
    default:
      return run_and_change_gradients(probe);
  }
}

/// The gradient of an input by the op's formula, element by element, with one operation of it replaced.
Doubles MutatedRules::by_formula(Probe& probe, std::size_t input, MutationOperator mutation_operator) const {
  const Formula& f = *op_.formula;
  const Shape shape = probe.output_shape();
  const Doubles grad_output = broadcast_values(probe.grad_output(), shape);
  const auto mask = probe.op().saves_for_input(input);
  std::vector<Doubles> in(f.arity);
  for (unsigned i = 0; i < f.arity; ++i)
    if (mask >> i & 1u) in[i] = broadcast_values(probe.saved(i), shape);
  Doubles y;
  if (mask & kOut) y = broadcast_values(probe.saved(kOutputBit), shape);
  Doubles g(grad_output.size());
  Observer& o = observer();
  o.mutation_operator = mutation_operator;
  o.mutated_site = mutation_operator == MutationOperator::none ? SIZE_MAX : mutation_.site;
  for (std::size_t e = 0; e < g.size(); ++e) {
    std::array<double, tapegrad::detail::kMaxFormulaArity> x{};
    for (std::size_t i = 0; i < f.arity; ++i)
      if (!in[i].empty()) x[i] = in[i][e];
    o.next = 0;
    g[e] = f.vjp[input](probe.attributes(), grad_output[e], x.data(), y.empty() ? 0 : y[e]);
  }
  o = {};
  return g;
}

void MutatedRules::run_formula(Probe& probe) {
  for (std::size_t i = 0; i < probe.inputs(); ++i) {
    if (!probe.needs_grad(i)) continue;
    const auto reduced = [&](MutationOperator mutation_operator) {
      const Doubles g = by_formula(probe, i, mutation_operator);
      const Pause pause;
      return tapegrad::detail::sum_to_shape(from_doubles(g, probe.output_shape(), probe.output_dtype()),
                                            probe.input_shape(i));
    };
    const bool here = mutation_.kind == MutationKind::formula && mutation_.gradient == i;
    const Tensor g = reduced(here ? mutation_.mutation_operator : MutationOperator::none);
    if (here) note(!same_values(probe.grad_output(), reduced(MutationOperator::none), g));
    probe.add(i, g);
  }
}

void MutatedRules::run_with_other_values(Probe& probe) {
  std::map<unsigned, Tensor> others;
  if (mutation_.kind == MutationKind::last_forward) {
    others = observed_->last_saved();
  } else {
    for (const unsigned bit : probe.saved_bits())
      if ((bit >= kResidualBit) == (mutation_.kind == MutationKind::stale_residual))
        others.emplace(bit, stale(probe.saved(bit), bit));
  }
  const Parts right = probe.run_apart();
  Parts wrong;
  {
    std::list<Probe::Replacement> replaced;
    for (const auto& [bit, other] : others) {
      const Tensor own = probe.has_saved(bit) ? probe.saved(bit) : Tensor();
      if (own.defined() && own.shape() == other.shape() && own.dtype() == other.dtype())
        replaced.emplace_back(probe, bit, other.copy());
    }
    wrong = probe.run_apart();
  }
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    if (!wrong[i].defined()) continue;
    note(!same_values(probe.grad_output(), right[i], wrong[i]));
    probe.add(i, wrong[i]);
  }
}

void MutatedRules::run_with_mutated_term(Probe& probe) {
  const Parts right = probe.run_apart();
  Parts wrong;
  {
    MutatedTermHook hook(mutation_.term);
    wrong = probe.run_apart();
  }
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    if (!wrong[i].defined()) continue;
    note(is_wrong(right[i], wrong[i]));
    probe.add(i, wrong[i]);
  }
}

/// As a maximum whose rule compares each element with the result, and forgets that it may find several.
void MutatedRules::run_and_share_ties(Probe& probe) {
  // Elsewhere other elements may be equal, in gradients that the checker computes and does not look at.
  if (!observed_->at_the_point()) return probe.run();
  const Parts parts = probe.run_apart();
  std::vector<Doubles> x(parts.size()), g(parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Tensor in = parts[i].defined() ? observed_->last_input(i) : Tensor();
    if (!in.defined() || in.shape() != parts[i].shape() || !is_floating(in.dtype())) continue;
    x[i] = to_doubles(in);
    g[i] = to_doubles(parts[i]);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].defined()) continue;
    Doubles whole = g[i];
    if (op_.formula) {
      for (std::size_t j = 0; j < parts.size(); ++j)
        for (std::size_t e = 0; j != i && g[j].size() == g[i].size() && e < whole.size(); ++e)
          if (x[i][e] == x[j][e]) whole[e] += g[j][e];
    } else {
      std::map<double, double> sums;
      for (std::size_t e = 0; e < whole.size(); ++e)
        if (!std::isnan(x[i][e])) sums[x[i][e]] += g[i][e];
      for (std::size_t e = 0; e < whole.size(); ++e)
        if (!std::isnan(x[i][e])) whole[e] = sums[x[i][e]];
    }
    const Tensor wrong = from_doubles(whole, parts[i].shape(), parts[i].dtype());
    const bool differs = !g[i].empty() && !same_values(probe.grad_output(), parts[i], wrong);
    note(differs);
    probe.add(i, differs ? wrong : parts[i]);
  }
}

void MutatedRules::run_and_change_incoming(Probe& probe) {
  Tensor g = probe.grad_output();  // before the rule takes it
  probe.run();
  if (g.size() == 0) return;
  visit_floating(g.dtype(), [&]<class T> {
    T& x = TensorAccess::data_as<T>(g)[g.size() / 2];
    note(x != 0);
    x *= 2;
  });
}

void MutatedRules::run_and_overwrite(Probe& probe) {
  const Parts parts = probe.run_apart();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].defined()) continue;
    note(probe.has_gradient(i));
    probe.overwrite(i, parts[i]);
  }
}

void MutatedRules::run_and_swap(Probe& probe) {
  const Parts parts = probe.run_apart();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].defined()) continue;
    const Tensor& other = parts[partner_of(parts, i)];
    note(!same_values(probe.grad_output(), parts[i], other));
    probe.add(i, other);
  }
}

void MutatedRules::run_and_change_gradients(Probe& probe) {
  const Parts parts = probe.run_apart();
  if (mutation_.kind == MutationKind::some_inputs && all_need_gradients(probe)) {
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (parts[i].defined()) probe.add(i, parts[i]);
    return;
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].defined()) continue;
    const Tensor g = mutated_gradient(mutation_.kind, parts[i], probe.output_shape());
    if (g.defined())
      note(mutation_.kind == MutationKind::detached ? parts[i].tracked()
                                                    : !same_values(probe.grad_output(), parts[i], g));
    probe.add(i, g.defined() ? g : parts[i]);
  }
}

}  // namespace tapegrad::gradcheck::detail
