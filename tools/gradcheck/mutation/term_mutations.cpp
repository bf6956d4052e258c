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
constexpr std::array<std::string_view, 3> kByNumber{"add_scalar", "mul_scalar", "div_scalar"};
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

/// Sees which operations the rule of an op applies.
class Sites final : public tapegrad::detail::RuleHook {
 public:
  explicit Sites(const OpTable* op) : op_(op) {}

  void run(RuleProbe& probe) override {
    if (&probe.op() != op_) return probe.run();
    Results results(*this);
    probe.run();
  }

  /// By name and place.
  std::map<std::pair<std::string, std::size_t>, std::vector<TermMutation>> all;

 private:
  class Results final : public tapegrad::detail::ResultHook {
   public:
    explicit Results(Sites& to) : to_(to) {}
    Tensor run(const OpTable& op, std::span<const Tensor* const> in, const Tensor& out) override {
      const std::size_t place = places_[op.name]++;
      std::vector<TermMutation>& known = to_.all[{op.name, place}];
      for (const TermMutation m : term_mutations_of(op, in, out))
        if (std::ranges::find(known, m) == known.end()) known.push_back(m);
      return {};
    }

   private:
    Sites& to_;
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
         fmt::format(", {} {} of the rule", op, place + 1);
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
  for (const auto& [site, mutations] : sites.all)
    for (const TermMutation mutation : mutations) all.push_back({site.first, site.second, mutation});
  return all;
}

}  // namespace tapegrad::gradcheck::detail
