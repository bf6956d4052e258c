// Random programs of the library's operations, each on inputs that others have computed: fan-out, broadcasting, views,
// inputs in several places. The gradients by every rule are compared with each other and with finite differences.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/format.h>
#include <tapegrad/graph/rule_probe.h>
#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/ops/functional/numeric.h>
#include <tapegrad/ops/op_info.h>
#include <tapegrad/ops/samples.h>

#include "op_support.h"

namespace random_graphs_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(random_graphs)

namespace {

#if TAPEGRAD_ASAN || TAPEGRAD_TSAN
constexpr std::uint64_t kPrograms = 200;
#else
constexpr std::uint64_t kPrograms = 2000;
#endif

/// What a program may do: an operation with the attributes and the shapes of one of its samples.
struct Step {
  const OpInfo* op;
  const Samples::Sample* sample;
  bool once;  ///< differentiable once only
};

std::int64_t elements(const Samples::Sample& s) {
  std::int64_t n = 0;
  for (const SampleInput& in : s.inputs) n += in.shape.size();
  return n;
}

bool varies(const SampleInput& in) {
  return in.kind == SampleInput::Kind::random || in.kind == SampleInput::Kind::distinct;
}

/// All that finite differences can judge: of numbers that move, few enough, and where the derivative exists.
const std::vector<Step>& all_steps() {
  static std::vector<Samples> samples;  // never changed once it is read
  static const std::vector<Step> steps = [] {
    samples.resize(library_ops().size());
    std::vector<Step> list;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const OpInfo& op = *library_ops()[i];
      if (op.table->max_order == 0) continue;
      op.samples(samples[i]);
      std::vector<Step> of_op;
      for (const Samples::Sample& s : samples[i].all())
        if (s.uncertain_from > 1 && s.gradients.empty() && elements(s) <= 60 &&
            std::any_of(s.inputs.begin(), s.inputs.end(), varies))
          of_op.push_back({&op, &s, op.table->max_order < 2});
      // As likely as any other, however many samples it has.
      Generator rng(i);
      for (int k = 0; k < 8 && !of_op.empty(); ++k) list.push_back(of_op[rng.below(of_op.size())]);
    }
    return list;
  }();
  return steps;
}

/// A program by its number: which steps, on what, follows from the number alone, and not from the values.
class Program {
 public:
  explicit Program(std::uint64_t number) : number_(number) {}

  std::vector<Tensor> leaves() const {
    Generator rng(number_, 1);
    std::vector<Tensor> all(1 + rng.below(3));
    for (Tensor& leaf : all) {
      const std::size_t rank = rng.below(4);
      Shape shape;
      for (std::size_t i = 0; i < rank; ++i)
        shape = shape.inserted(i, static_cast<std::int64_t>(1 + rng.below(4)));
      leaf = uniform(shape, rng, -2, 2, f64);
    }
    return all;
  }

  /// One number, which depends on every value that no other one does. Where `text` is given the program is written
  /// there; where `once`, whether it has an operation that is differentiable once only.
  Tensor run(const std::vector<Tensor>& leaves, std::string* text = nullptr, bool* once = nullptr) const {
    Generator rng(number_, 2);
    std::vector<Tensor> values = leaves;
    std::vector<bool> used(values.size(), false);
    const std::size_t length = 3 + rng.below(10);
    for (std::size_t i = 0; i < length; ++i) {
      const Step& step = all_steps()[rng.below(all_steps().size())];
      if (text) *text += fmt::format("  v{} = {}(", values.size(), step.op->name());
      if (once) *once |= step.once;
      std::vector<Tensor> inputs(step.sample->inputs.size());
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        const SampleInput& in = step.sample->inputs[k];
        if (text && k > 0) *text += ", ";
        if (!varies(in)) {
          if (in.kind != SampleInput::Kind::absent)
            inputs[k] = is_floating(in.values.dtype()) ? cast(in.values, f64) : in.values;
        } else if (!in.domain.only.empty()) {
          inputs[k] = one_of(in, rng);
        } else if (step.op->nondifferentiable_inputs >> k & 1u) {
          inputs[k] = uniform(in.shape, rng, in.domain.lo, in.domain.hi, f64);
        } else {
          // The last ones more often, so that chains are long; all of them now and then.
          const std::size_t back =
              rng.below(3) == 0 ? values.size() : std::min<std::size_t>(values.size(), 2);
          const std::size_t from = values.size() - 1 - rng.below(back);
          if (text) *text += fmt::format("v{} {}", from, to_string(values[from].shape()));
          inputs[k] = in_domain(fit(values[from], in.shape, rng), in, rng);
          used[from] = true;
        }
        if (text && inputs[k].defined()) *text += fmt::format(" as {}", to_string(inputs[k].shape()));
      }
      std::vector<const Tensor*> handles;
      for (const Tensor& t : inputs) handles.push_back(&t);
      Tensor y = step.sample->function(step.sample->attributes.data(), handles.data(), handles.size());
      if (text) *text += fmt::format(")  -> {}  [{}]\n", to_string(y.shape()), step.sample->label);
      if (!is_floating(y.dtype()) || y.size() == 0) continue;
      values.push_back(y.dtype() == f64 ? y : cast(y, f64));
      used.push_back(false);
    }
    Tensor total = scalar_of(0);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!used[i])
        total = total + sum(values[i] / sqrt(values[i] * values[i] + 9) *
                            uniform(values[i].shape(), rng, 0.5, 1.5, f64));
    return total;
  }

  std::string text() const {
    std::string all = fmt::format("program {}:\n", number_);
    std::size_t i = 0;
    const std::vector<Tensor> x = leaves();
    for (const Tensor& leaf : x) all += fmt::format("  v{} = {}\n", i++, leaf);
    run(x, &all);
    return all;
  }

 private:
  static Tensor scalar_of(double v) { return Tensor::scalar(v, f64); }

  /// A value under another shape: as a view, by broadcasting, or with its elements repeated or left out.
  static Tensor fit(const Tensor& v, const Shape& shape, Generator& rng) {
    if (v.shape() == shape) return v;
    if (v.size() == shape.size()) return reshape(v, shape);
    if (shape.size() > 0 && broadcasts_to(v.shape(), shape)) return broadcast_to(v, shape);
    const Tensor flat = flatten(v);
    if (v.size() > shape.size()) {
      const auto begin =
          static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(v.size() - shape.size() + 1)));
      return reshape(slice(flat, 0, begin, begin + shape.size()), shape);
    }
    std::vector<std::int64_t> index;
    for (std::int64_t i = 0; i < shape.size(); ++i) index.push_back(i % v.size());
    return reshape(index_select(flat, 0, Tensor::from(index)), shape);
  }

  /// Moved into the domain, each element by a way of its own: repeated ones differ, as maxima without ties need it.
  static Tensor in_domain(const Tensor& v, const SampleInput& in, Generator& rng) {
    const Tensor by = uniform(v.shape(), rng, -1, 1, f64);
    const Tensor scaled = v / sqrt(v * v + 4);  // in (-1, 1)
    return in.domain.lo + (in.domain.hi - in.domain.lo) * (0.5 + 0.24 * (scaled + by));
  }

  static Tensor one_of(const SampleInput& in, Generator& rng) {
    Tensor t = Tensor::empty(in.shape, f64);
    for (double& x : t.mutable_values<double>()) x = in.domain.only[rng.below(in.domain.only.size())];
    return t;
  }

  std::uint64_t number_;
};

double dot_of(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t k = 0; k < a[i].values<double>().size(); ++k)
      total += a[i].values<double>()[k] * b[i].values<double>()[k];
  return total;
}
double norm_of(const std::vector<Tensor>& a) { return std::sqrt(dot_of(a, a)); }

/// How far apart, as a share of the larger.
double distance(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double square = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t k = 0; k < a[i].values<double>().size(); ++k)
      square += std::pow(a[i].values<double>()[k] - b[i].values<double>()[k], 2);
  return square == 0 ? 0 : std::sqrt(square) / std::max({norm_of(a), norm_of(b), 1e-3});
}

enum class Rule { fused, general, recorded };

std::vector<Tensor> gradients(const Program& program, const std::vector<Tensor>& x, Rule rule) {
  const detail::GeneralRules general(rule == Rule::general);
  Tape tape;
  std::vector<Tensor> watched;
  for (const Tensor& leaf : x) watched.push_back(tape.watch(leaf));
  const Tensor y = program.run(watched);
  if (!y.tracked()) {
    std::vector<Tensor> none;
    for (const Tensor& leaf : x) none.push_back(Tensor::zeros(leaf.shape(), f64));
    return none;
  }
  return tape.grad(y, watched, {.record = rule == Rule::recorded ? Record::yes : Record::no});
}

struct Outcome {
  std::string failure{};    ///< empty where all agree
  bool conclusive = false;  ///< by finite differences
  bool recorded = false;    ///< the rules could be recorded, too
};

Outcome check(std::uint64_t number) {
  const Program program(number);
  const std::vector<Tensor> x = program.leaves();
  Outcome outcome;
  const auto failed = [&](const std::string& what) {
    outcome.failure = fmt::format("{}: {}", what, program.text());
    return outcome;
  };
  try {
    const std::vector<Tensor> fused = gradients(program, x, Rule::fused);
    const double norm = norm_of(fused);
    if (!std::isfinite(norm)) return failed("the gradient is not finite");

    const double general = distance(fused, gradients(program, x, Rule::general));
    if (!(general < 1e-6)) return failed(fmt::format("the general rules differ by {}", general));
    bool once = false;
    program.run(x, nullptr, &once);
    if (!once) {
      outcome.recorded = true;
      const double recorded = distance(fused, gradients(program, x, Rule::recorded));
      if (!(recorded < 1e-6)) return failed(fmt::format("the recorded rules differ by {}", recorded));
    }

    // Along one direction, that of the gradient in part, so that it is not orthogonal to it.
    Generator rng(number, 3);
    std::vector<Tensor> direction;
    for (std::size_t i = 0; i < x.size(); ++i)
      direction.push_back(fused[i] * (1 / std::max(norm, 1e-9)) + uniform(x[i].shape(), rng, -0.5, 0.5, f64));
    const auto along = [&](double t) {
      std::vector<Tensor> moved;
      for (std::size_t i = 0; i < x.size(); ++i) moved.push_back(x[i] + direction[i] * t);
      return program.run(moved).item();
    };
    const double slope = dot_of(fused, direction);
    const NumericalDerivative difference = numerical_derivative(along, 0, 1e-3);
    const double size = std::max(std::abs(slope), 1e-3);
    if (!(std::abs(slope - difference.value) <= 3 * difference.error + 1e-6 * size))
      return failed(
          fmt::format("the slope is {}, by differences {} +- {}", slope, difference.value, difference.error));
    outcome.conclusive = difference.error < 1e-4 * size;
  } catch (const Error& e) {
    return failed(e.what());
  }
  return outcome;
}

/// Makes the rules of one operation wrong by a hundredth.
class WrongRule final : public detail::RuleHook {
 public:
  explicit WrongRule(std::string_view op) : op_(op) {}
  void run(detail::RuleProbe& probe) override {
    if (probe.op().name != op_) return probe.run();
    std::vector<Tensor> parts = probe.run_apart();
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (parts[i].defined()) probe.add(i, parts[i] * 1.01);
  }

 private:
  std::string_view op_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(every_rule_and_finite_differences_agree) {
  std::uint64_t conclusive = 0;
  std::uint64_t recorded = 0;
  for (std::uint64_t number = 0; number < kPrograms; ++number) {
    const Outcome outcome = check(number);
    BOOST_REQUIRE_MESSAGE(outcome.failure.empty(), outcome.failure);
    conclusive += outcome.conclusive;
    recorded += outcome.recorded;
  }
  BOOST_TEST_MESSAGE(conclusive << " of " << kPrograms << " conclusive, " << recorded << " recorded");
  BOOST_TEST(conclusive > kPrograms * 9 / 10);
  BOOST_TEST(recorded > kPrograms / 2);
}

BOOST_AUTO_TEST_CASE(a_wrong_rule_is_found) {
  for (const char* op : {"matmul", "softmax", "tanh", "var", "slice"}) {
    const WrongRule wrong(op);
    std::string failure;
    for (std::uint64_t number = 0; number < 500 && failure.empty(); ++number) failure = check(number).failure;
    BOOST_TEST(failure.find("by differences") != std::string::npos, op);
    // Slices are also taken in between, where no line names them.
    const bool named = failure.find(fmt::format("= {}(", op)) != std::string::npos;
    BOOST_TEST((named || std::string_view(op) == "slice"), op);
  }
}

// A program is the same whenever it runs: one that fails can be repeated by its number.
BOOST_AUTO_TEST_CASE(a_program_follows_from_its_number) {
  for (const std::uint64_t number : {3, 4}) {
    const Program program(number);
    BOOST_TEST(program.text() == Program(number).text());
    BOOST_TEST(program.run(program.leaves()).item() == program.run(program.leaves()).item());
  }
  BOOST_TEST(Program(3).text() != Program(4).text());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace random_graphs_test
