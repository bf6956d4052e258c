#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include <tapegrad/gradcheck/check/samples.h>
#include <tapegrad/gradcheck/mutation/term_mutations.h>
#include <tapegrad/graph/rule_probe.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

using tapegrad::detail::OpTable;
using tapegrad::detail::RuleProbe;

constexpr std::array<std::string_view, 2> kSums{"add", "sub"};
constexpr std::array<std::string_view, 2> kElementProducts{"mul", "div"};
constexpr std::array<std::string_view, 2> kMatrixProducts{"matmul", "affine"};
constexpr std::array<std::string_view, 3> kByNumber{"add.scalar", "mul.scalar", "div.scalar"};
constexpr std::string_view kNegation = "neg";

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// What can be wrong with the result of such an operation. A name is no proof of what it takes: a user's
/// operation may have that of one of the library's.
std::vector<TermMutation> term_mutations_of(const OpTable& op, std::span<const Tensor* const> in,
                                            const Tensor& out) {
  if (in.empty() || !std::ranges::all_of(in, &Tensor::defined)) return {};
  if (is_one_of(kSums, op.name) && in.size() == 2)
    return {TermMutation::without_left, TermMutation::without_right, TermMutation::right_negated};
  if (is_one_of(kElementProducts, op.name) && in.size() == 2)
    return {TermMutation::without_left, TermMutation::without_right, TermMutation::negated};
  if (is_one_of(kByNumber, op.name)) return {TermMutation::without_right, TermMutation::negated};
  if (op.name == kNegation) return {TermMutation::negated};
  if (!is_one_of(kMatrixProducts, op.name)) return {};
  if (out.shape().rank() < 2) return {TermMutation::negated};
  return {TermMutation::negated, TermMutation::transposed};
}

/// What the operations of a rule compute, as text: of g, the incoming gradient; x0, x1, ..., the op's inputs;
/// y, its output; r0, r1, ..., its residuals; c, all other values.
class Expressions {
 public:
  explicit Expressions(RuleProbe& probe) {
    name(probe.grad_output(), "g");
    for (const unsigned bit : probe.saved_bits()) {
      using namespace tapegrad::detail;
      name(probe.saved(bit), bit < kOutputBit    ? fmt::format("x{}", bit)
                             : bit == kOutputBit ? std::string("y")
                                                 : fmt::format("r{}", bit - kResidualBit));
    }
  }

  /// Of the result of an operation.
  std::string add(const OpTable& op, std::span<const Tensor* const> in, const Tensor& out) {
    Levels levels{std::string(op.name) + "(..)"};
    for (std::size_t depth = 1; depth < levels.size(); ++depth) {
      std::string operands;
      for (const Tensor* t : in)
        operands += (operands.empty() ? "" : ", ") + (t->defined() ? of(*t)[depth - 1] : std::string("none"));
      levels[depth] = fmt::format("{}({})", op.name, operands);
    }
    known_.push_back({out, levels});
    return levels.back();
  }

 private:
  static constexpr std::size_t kDepth = 4;
  using Levels = std::array<std::string, kDepth>;  ///< by how far down operands are told
  struct Known {
    Tensor value;  ///< kept, so that no other takes its place in memory
    Levels text;
  };

  void name(const Tensor& value, const std::string& text) {
    Levels levels;
    levels.fill(text);
    if (value.defined()) known_.push_back({value, levels});
  }
  Levels of(const Tensor& t) const {
    using tapegrad::detail::TensorAccess;
    for (std::size_t i = known_.size(); i-- > 0;)
      if (known_[i].value.shape() == t.shape() &&
          TensorAccess::data(known_[i].value) == TensorAccess::data(t))
        return known_[i].text;
    Levels other;
    other.fill("c");
    return other;
  }

  std::vector<Known> known_;
};

/// Sees which operations the rule of an op applies.
class Sites final : public tapegrad::detail::RuleHook {
 public:
  explicit Sites(const OpTable* op) : op_(op) {}

  void run(RuleProbe& probe) override {
    if (&probe.op() != op_) return probe.run();
    Results results(*this, probe);
    probe.run();
  }

  struct Site {
    std::string expression;  ///< where it was seen first
    std::vector<TermMutation> mutations{};
  };
  /// By name and place.
  std::map<std::pair<std::string, std::size_t>, Site> all;

 private:
  class Results final : public tapegrad::detail::ResultHook {
   public:
    Results(Sites& to, RuleProbe& probe) : to_(to), expressions_(probe) {}
    Tensor run(const OpTable& op, std::span<const Tensor* const> in, const Tensor& out) override {
      const std::size_t place = places_[op.name]++;
      const std::string expression = expressions_.add(op, in, out);
      Site& site = to_.all.try_emplace({op.name, place}, Site{expression}).first->second;
      for (const TermMutation m : term_mutations_of(op, in, out))
        if (std::ranges::find(site.mutations, m) == site.mutations.end()) site.mutations.push_back(m);
      return {};
    }

   private:
    Sites& to_;
    Expressions expressions_;
    std::map<std::string, std::size_t> places_;
  };

  const OpTable* op_;
};

/// An operand in the place of the result.
Tensor alone(const Tensor& operand, const Tensor& out) {
  if (operand.shape() == out.shape()) return operand;
  return operand.size() == 0 || out.size() % operand.size() != 0 ? Tensor()
                                                                 : broadcast_to(operand, out.shape());
}

}  // namespace

std::string MutatedTerm::name() const {
  constexpr std::array kNames{"",
                              "left of {0} omitted",
                              "right of {0} omitted",
                              "{0} negated",
                              "right of {0} negated",
                              "{0} transposed"};
  return fmt::format(fmt::runtime(kNames[static_cast<std::size_t>(mutation)]), op) +
         fmt::format(", {} of the rule", expression);
}

Tensor MutatedTermHook::run(const OpTable& op, std::span<const Tensor* const> in, const Tensor& out) {
  if (op.name != term_.op || next_++ != term_.place) return {};
  // At another sample another operation may be at this place.
  const std::vector<TermMutation> possible = term_mutations_of(op, in, out);
  if (std::ranges::find(possible, term_.mutation) == possible.end()) return {};
  const bool difference = op.name == kSums[1];
  switch (term_.mutation) {
    case TermMutation::without_left: {
      const Tensor right = alone(*in[1], out);
      if (!right.defined()) return right;
      return difference ? neg(right) : op.name == kElementProducts[1] ? div(1, right) : right;
    }
    case TermMutation::without_right:
      return alone(*in[0], out);
    case TermMutation::right_negated:
      return difference ? add(*in[0], *in[1]) : sub(*in[0], *in[1]);
    case TermMutation::negated:
      return neg(out);
    case TermMutation::transposed:
      return reshape(transpose(out), out.shape());
    default:
      return {};
  }
}

std::vector<MutatedTerm> mutated_terms_of(const Catalog::Op& op, std::uint64_t seed) {
  Samples samples;
  op.samples(samples);
  Sites sites(op.table);
  for (std::size_t i = 0; i < samples.all().size(); ++i) {
    Generator generator(seed_of(op.name, i, seed), 1);
    const SampleProblem problem(op, samples.all()[i], generator);
    const std::vector<std::size_t> track = problem.grad_inputs();
    if (track.empty()) continue;
    Recording recording(problem, problem.values(), track);
    std::vector<Tensor> ones;
    for (const Tensor& r : recording.results()) ones.push_back(Tensor::ones(r.shape(), r.dtype()));
    recording.vjp(ones, Rule::recorded);
  }
  std::vector<MutatedTerm> all;
  std::map<std::string, int> same;
  for (const auto& [place, site] : sites.all) {
    if (site.mutations.empty()) continue;
    std::string expression = site.expression;
    if (const int number = ++same[expression]; number > 1) expression += fmt::format(" #{}", number);
    for (const TermMutation mutation : site.mutations)
      all.push_back({place.first, place.second, mutation, expression});
  }
  return all;
}

}  // namespace tapegrad::gradcheck::detail
