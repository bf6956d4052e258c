#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include <tapegrad/gradcheck/mutation/mutations.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

constexpr std::array kNames{"none",
                            "zero",
                            "negated",
                            "doubled",
                            "scaled by 1 + 1e-6",
                            "in single precision",
                            "one zeroed",
                            "off by one",
                            "transposed",
                            "without its mean",
                            "swapped with another input's",
                            "averaged where it should be summed",
                            "not summed",
                            "overwrites",
                            "changes the incoming gradient",
                            "from stale saved values",
                            "from stale residuals",
                            "from what the last forward pass left",
                            "scaled by 1 + 1e-3 in f32",
                            "doubled where some inputs need no gradient",
                            "the whole for each of equal elements",
                            "detached",
                            "formula",
                            "term"};

std::string operator_name(const Site& site, MutationOperator mutation_operator) {
  switch (mutation_operator) {
    case MutationOperator::left_operand:
      return site.binary ? fmt::format("right of {} omitted", site.name)
                         : fmt::format("{} omitted", site.name);
    case MutationOperator::right_operand:
      return fmt::format("left of {} omitted", site.name);
    case MutationOperator::off_by_one:
      return fmt::format("constant of {} off by one", site.name);
    default:
      return fmt::format("{} inverted", site.name);
  }
}

/// The operations that one gradient's formula is made of.
std::vector<Site> sites_of(const Formula& f, std::size_t gradient, const void* attributes) {
  std::vector<Site> sites;
  const std::array<double, tapegrad::detail::kMaxFormulaArity> in{0.25, 0.5, 0.75};
  observer() = {};
  observer().sites = &sites;
  f.vjp[gradient](attributes, 1, in.data(), 0.5);
  observer() = {};
  return sites;
}

void add_formula_mutations(std::vector<Mutation>& all, const Catalog::Op& op, const Samples& samples) {
  const void* attributes = samples.all().empty() ? nullptr : samples.all()[0].attributes.data();
  for (std::size_t g = 0; g < op.formula->arity; ++g) {
    if (!op.formula->vjp[g] || (op.nondifferentiable_inputs >> g & 1u)) continue;
    const std::vector<Site> sites = sites_of(*op.formula, g, attributes);
    std::map<std::string_view, int> of_name;
    for (std::size_t i = 0; i < sites.size(); ++i) {
      std::vector<MutationOperator> mutated{MutationOperator::left_operand, MutationOperator::inverse};
      constexpr std::array<std::string_view, 10> kDecisions{
          "where", "maximum", "minimum", "<", "<=", ">", ">=", "==", "!=", "is_nothing"};
      if (std::ranges::find(kDecisions, sites[i].name) != kDecisions.end())
        mutated = {MutationOperator::inverse};
      else if (sites[i].binary)
        mutated.push_back(MutationOperator::right_operand);
      if (sites[i].constant) mutated.push_back(MutationOperator::off_by_one);
      const int number = ++of_name[sites[i].name];
      for (const MutationOperator mutation_operator : mutated) {
        std::string text = operator_name(sites[i], mutation_operator);
        text += fmt::format(", {} {}", sites[i].name, number);
        if (op.formula->arity > 1) text += fmt::format(" of gradient {}", g);
        all.push_back({.kind = MutationKind::formula,
                       .gradient = g,
                       .site = i,
                       .mutation_operator = mutation_operator,
                       .formula = std::move(text)});
      }
    }
  }
}

}  // namespace

std::string Mutation::kind_name() const {
  return kind == MutationKind::formula ? formula
         : kind == MutationKind::term  ? term.name()
                                       : kNames[static_cast<std::size_t>(kind)];
}

std::string Mutation::name() const {
  constexpr std::array<const char*, 3> kOfRule{"", ", by the general rule", ", as recorded"};
  return kind_name() + (rule ? kOfRule[static_cast<std::size_t>(*rule)] : ", by every rule");
}

namespace {

/// Inputs and the output among the values that an op saves; the others are residuals.
constexpr SaveMask kValues = (SaveMask{1} << tapegrad::detail::kResidualBit) - 1;

/// False for a mutation that cannot be applied to such an op.
bool applies(MutationKind kind, const Catalog::Op& op, std::size_t gradients) {
  switch (kind) {
    case MutationKind::swapped:
    case MutationKind::some_inputs:
      return gradients > 1;
    case MutationKind::ties:  // of elementwise ops between operands
      return !op.formula || op.formula->arity > 1;
    case MutationKind::last_forward:
      return std::ranges::any_of(op.table->saves, [](auto mask) { return mask != 0; });
    case MutationKind::averaged:
    case MutationKind::not_reduced:  // only elementwise ops broadcast their operands
      return op.formula && op.formula->arity > 1;
    case MutationKind::stale_saved:
      return std::ranges::any_of(op.table->saves, [](auto mask) { return (mask & kValues) != 0; });
    case MutationKind::stale_residual:
      return std::ranges::any_of(op.table->saves, [](auto mask) { return (mask & ~kValues) != 0; });
    default:
      return true;
  }
}

/// Of how many inputs the samples ask the gradient.
std::size_t gradients_of(const Samples& samples) {
  std::size_t most = 0;
  for (const Samples::Sample& s : samples.all()) {
    const auto asked = [](const SampleInput& in) {
      return in.kind != SampleInput::Kind::constant && in.kind != SampleInput::Kind::absent &&
             in.domain.only.empty() &&
             (in.kind != SampleInput::Kind::values || is_floating(in.values.dtype()));
    };
    most = std::max(most, static_cast<std::size_t>(std::ranges::count_if(s.inputs, asked)));
  }
  return most;
}

}  // namespace

std::vector<Mutation> mutations_of(const Catalog::Op& op, std::uint64_t seed) {
  std::vector<Mutation> all;
  if (op.max_order == 0) return all;
  Samples samples;
  op.samples(samples);
  const std::size_t gradients = gradients_of(samples);
  for (auto kind = MutationKind::none; kind < MutationKind::formula;
       kind = static_cast<MutationKind>(static_cast<int>(kind) + 1))
    for (const std::optional<Rule> rule : {std::optional(Rule::fused), std::optional(Rule::general),
                                           std::optional(Rule::recorded), std::optional<Rule>()}) {
      if (rule == Rule::recorded && op.max_order < 2) continue;
      if (!applies(kind, op, gradients)) continue;
      if (kind == MutationKind::none && rule != Rule::fused) continue;
      if (kind == MutationKind::detached && rule != Rule::recorded) continue;
      all.push_back({.kind = kind, .rule = rule});
    }
  if (op.formula)
    add_formula_mutations(all, op, samples);
  else if (op.max_order >= 2)
    for (MutatedTerm& term : mutated_terms_of(op, seed))
      all.push_back({.kind = MutationKind::term, .rule = Rule::recorded, .term = std::move(term)});
  return all;
}

}  // namespace tapegrad::gradcheck::detail
