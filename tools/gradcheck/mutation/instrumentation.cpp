#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include <tapegrad/gradcheck/mutation/instrumentation.h>
#include <tapegrad/graph/rule_context.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

using tapegrad::detail::Node;
using tapegrad::detail::OpTable;
using tapegrad::detail::RuleContext;
using tapegrad::detail::Saved;
using tapegrad::detail::TensorAccess;

/// The mutation that this thread applies to the rules of one op.
struct Instrumentation {
  const Mutation* mutation = nullptr;
  const Catalog::Op* op = nullptr;
  OpTable table{};
  bool made_a_difference = false;
};
thread_local Instrumentation instrumentation;

// ---- a gradient altered ----

Tensor flattened(const Tensor& g) { return reshape(g, {g.size()}); }

/// The gradient as the mutation makes it; nothing where the mutation does not apply to a gradient of this
/// shape.
std::optional<Tensor> mutated_gradient(MutationKind kind, const Tensor& g, const RuleContext& c) {
  const Shape shape = g.shape();
  const std::int64_t n = g.size();
  const std::int64_t results = c.output_size();
  switch (kind) {
    case MutationKind::zero:
      return mul(g, 0);
    case MutationKind::negated:
      return neg(g);
    case MutationKind::doubled:
      return mul(g, 2);
    case MutationKind::slightly_scaled:
      return mul(g, 1 + 1e-6);
    case MutationKind::single_precision:
      if (g.dtype() != f64) return std::nullopt;
      return cast(cast(g, f32), f64);
    case MutationKind::one_zeroed: {
      if (n == 0) return std::nullopt;
      std::vector<double> keep(static_cast<std::size_t>(n), 1);
      keep[keep.size() / 2] = 0;
      return mul(g, from_doubles(keep, shape, g.dtype()));
    }
    case MutationKind::off_by_one: {
      if (n < 2) return std::nullopt;
      const Tensor f = flattened(g);
      return reshape(concat({slice(f, 0, n - 1, n), slice(f, 0, 0, n - 1)}), shape);
    }
    case MutationKind::transposed:
      if (shape.rank() < 2) return std::nullopt;
      return reshape(transpose(g), shape);
    case MutationKind::without_mean:
      if (n == 0) return std::nullopt;
      return sub(g, mean(g));
    case MutationKind::averaged:
      if (n == 0 || n >= results) return std::nullopt;
      return mul(g, static_cast<double>(n) / static_cast<double>(results));
    case MutationKind::not_reduced:
      if (n == 0 || n >= results) return std::nullopt;
      return broadcast_to(g, c.output_shape());
    case MutationKind::detached:
      return g.detach();
    default:
      return std::nullopt;
  }
}

/// Up to rounding, of the incoming gradient too: a mean that is zero by nature is seldom so to the last bit.
bool same_values(const RuleContext& c, const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return false;
  const std::vector<double> x = to_doubles(a), y = to_doubles(b);
  double largest = 0;
  for (const std::vector<double>& values : {x, to_doubles(c.grad_output())})
    for (const double v : values) largest = std::max(largest, std::isfinite(v) ? std::abs(v) : 0);
  const double slack = std::pow(epsilon_of(a.dtype()), 0.75) * largest;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i] != y[i] && !(std::abs(x[i] - y[i]) <= slack) && !(std::isnan(x[i]) && std::isnan(y[i])))
      return false;
  return true;
}

// ---- the formula, one operation of it altered ----

/// The elements of a tensor, broadcast to a shape.
std::vector<double> broadcast_values(const Tensor& t, const Shape& to) {
  const Pause pause;
  return to_doubles(t.shape() == to ? t.detach() : broadcast_to(t.detach(), to));
}

Tensor by_formula(RuleContext& c, std::size_t input) {
  const Formula& f = *instrumentation.op->formula;
  const Mutation& mutation = *instrumentation.mutation;
  const Shape shape = c.output_shape();
  const std::vector<double> grad_output = broadcast_values(c.grad_output(), shape);
  const auto mask = c.node().op->saves_for_input(input);
  std::vector<std::vector<double>> in(f.arity);
  for (std::size_t i = 0; i < f.arity; ++i)
    if (mask >> i & 1u) in[i] = broadcast_values(c.input(i), shape);
  std::vector<double> y;
  if (mask & kOut) y = broadcast_values(c.output(), shape);
  std::vector<double> g(grad_output.size());
  Observer& o = observer();
  const bool here = mutation.kind == MutationKind::formula && mutation.gradient == input;
  o.mutation_operator = here ? mutation.mutation_operator : MutationOperator::none;
  o.mutated_site = here ? mutation.site : SIZE_MAX;
  for (std::size_t e = 0; e < g.size(); ++e) {
    std::array<double, tapegrad::detail::kMaxArity> x{};
    for (std::size_t i = 0; i < f.arity; ++i)
      if (!in[i].empty()) x[i] = in[i][e];
    o.next = 0;
    g[e] = f.vjp[input](c.attributes(), grad_output[e], x.data(), y.empty() ? 0 : y[e]);
  }
  o = {};
  const Pause pause;
  return tapegrad::detail::sum_to_shape(from_doubles(g, shape, c.output_dtype()), c.input_shape(input));
}

// ---- saved values ----

/// While it lives, the floating values that a node has saved are others.
class StaleValues {
 public:
  explicit StaleValues(Node& node) : node_(node) {
    std::size_t k = 0;
    for (auto m = node.saved_mask; m; m = Node::without_lowest(m), ++k) {
      unsigned bit = 0;
      while (!(m >> bit & 1u)) ++bit;
      const auto& shape = node.saved_shape(bit);
      Saved& s = node.saved()[k];
      before_.push_back(s);
      if (!is_floating(shape.dtype) || shape.size() == 0) continue;
      retain(s.storage);
      const Tensor old = shape.tensor(s.storage, s.data);
      std::vector<double> v = to_doubles(old);
      for (double& x : v) x = -1.25 * x + 0.0625 * (bit + 1);
      changed_ = true;
      Tensor other = from_doubles(v, old.shape(), old.dtype());
      s.data = TensorAccess::data(other);
      s.storage = TensorAccess::disown(other);
      s.storage->version.store(s.version, std::memory_order_relaxed);
    }
  }
  ~StaleValues() {
    for (std::size_t k = 0; k < before_.size(); ++k) {
      Saved& s = node_.saved()[k];
      if (s.storage != before_[k].storage) release(s.storage);
      s = before_[k];
    }
  }
  StaleValues(const StaleValues&) = delete;
  StaleValues& operator=(const StaleValues&) = delete;

  bool changed() const { return changed_; }

 private:
  Node& node_;
  std::vector<Saved> before_;
  bool changed_ = false;
};

// ---- the rule ----

/// An input's gradient from elsewhere, set aside while the rule runs.
struct Aside {
  std::size_t input;  ///< the first that is this node
  tapegrad::detail::Storage* gradient;
  std::byte* data;
  Node* computed_by;
};

void run_original(RuleContext& c) { instrumentation.op->table->vjp(c); }

/// Runs the rule for destinations that are empty, and gives what it has put there.
template <class F>
void run_apart(RuleContext& c, F&& take) {
  Node& node = c.node();
  std::vector<Aside> all;
  for (std::size_t i = 0; i < c.inputs(); ++i) {
    if (!c.needs_grad(i)) continue;
    Node& to = *node.edges()[i].node;
    if (std::ranges::any_of(all, [&](const Aside& a) { return node.edges()[a.input].node == &to; })) continue;
    all.push_back({i, std::exchange(to.gradient, nullptr), to.gradient_data, to.gradient_node});
  }
  const auto put_back = [&](const Aside& a) {
    Node& to = *node.edges()[a.input].node;
    to.gradient = a.gradient;
    to.gradient_data = a.data;
    to.gradient_node = a.computed_by;
  };
  std::vector<std::optional<Tensor>> parts;
  try {
    run_original(c);
  } catch (...) {
    for (const Aside& a : all) {
      node.edges()[a.input].node->drop_gradient();
      put_back(a);
    }
    throw;
  }
  for (const Aside& a : all) {
    const bool any = node.edges()[a.input].node->has_gradient();
    parts.emplace_back(any ? std::optional(c.take_gradient(a.input)) : std::nullopt);
    put_back(a);
  }
  for (std::size_t k = 0; k < all.size(); ++k)
    if (parts[k]) take(all[k].input, parts, k);
}

using Parts = std::vector<std::optional<Tensor>>;

/// The other of the first two gradients of one shape; k itself where it is neither.
std::size_t partner_of(const Parts& parts, std::size_t k) {
  const auto alike = [&](std::size_t a, std::size_t b) {
    return parts[a] && parts[b] && parts[a]->shape() == parts[b]->shape() &&
           parts[a]->dtype() == parts[b]->dtype();
  };
  for (std::size_t a = 0; a < parts.size(); ++a)
    for (std::size_t b = a + 1; b < parts.size(); ++b)
      if (alike(a, b)) return k == a ? b : k == b ? a : k;
  return k;
}

void differs_if(bool yes) { instrumentation.made_a_difference |= yes; }

void run_mutated(RuleContext& c) {
  const Mutation& mutation = *instrumentation.mutation;
  if (rule_in_use(c) != mutation.rule) return run_original(c);
  switch (mutation.kind) {
    case MutationKind::none:
    case MutationKind::formula: {
      if (!instrumentation.op->formula) return run_original(c);
      for (std::size_t i = 0; i < c.inputs(); ++i)
        if (c.needs_grad(i)) {
          const Tensor g = by_formula(c, i);
          if (mutation.kind == MutationKind::formula && mutation.gradient == i) {
            const Mutation unaltered;
            instrumentation.mutation = &unaltered;
            const Tensor right = by_formula(c, i);
            instrumentation.mutation = &mutation;
            differs_if(!same_values(c, right, g));
          }
          c.add(i, g);
        }
      return;
    }
    case MutationKind::stale_saved: {
      const StaleValues stale(c.node());
      differs_if(stale.changed());
      return run_original(c);
    }
    case MutationKind::mutates_incoming: {
      Tensor g = c.grad_output();  // before the rule takes it
      run_original(c);
      if (g.size() == 0) return;
      visit_floating(g.dtype(), [&]<class T> {
        T& x = TensorAccess::data_as<T>(g)[g.size() / 2];
        differs_if(x != 0);
        x *= 2;
      });
      return;
    }
    case MutationKind::overwrites:
      return run_apart(c, [&](std::size_t i, Parts& parts, std::size_t k) {
        Node& to = *c.node().edges()[i].node;
        differs_if(to.has_gradient());
        to.drop_gradient();
        c.add(i, *parts[k]);
      });
    case MutationKind::swapped:
      return run_apart(c, [&](std::size_t i, Parts& parts, std::size_t k) {
        const std::size_t other = partner_of(parts, k);
        const bool can = other != k;
        if (can) differs_if(!same_values(c, *parts[k], *parts[other]));
        c.add(i, can ? *parts[other] : *parts[k]);
      });
    default:
      return run_apart(c, [&](std::size_t i, Parts& parts, std::size_t k) {
        const std::optional<Tensor> bad = mutated_gradient(mutation.kind, *parts[k], c);
        if (bad)
          differs_if(mutation.kind == MutationKind::detached ? parts[k]->tracked()
                                                             : !same_values(c, *parts[k], *bad));
        c.add(i, bad ? *bad : *parts[k]);
      });
  }
}

}  // namespace

MutatedProblem::MutatedProblem(const Problem& of, const Catalog::Op& op, const Mutation& mutation)
    : Problem(of.inputs()), of_(of) {
  instrumentation = {&mutation, &op, *op.table, false};
  instrumentation.table.vjp = &run_mutated;
}

MutatedProblem::~MutatedProblem() { instrumentation = {}; }

bool MutatedProblem::made_a_difference() const { return instrumentation.made_a_difference; }

std::vector<Tensor> MutatedProblem::evaluate(std::span<const Tensor> in) const {
  std::vector<Tensor> results = of_.evaluate(in);
  if (const Tape* tape = Tape::current())
    for (const Node* n : tape->nodes())
      if (n->op == instrumentation.op->table) const_cast<Node*>(n)->op = &instrumentation.table;
  return results;
}

}  // namespace tapegrad::gradcheck::detail
