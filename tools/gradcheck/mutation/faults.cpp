#include <algorithm>
#include <array>
#include <string_view>

#include <tapegrad/gradcheck/mutation/faults.h>

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
                            "from stale values",
                            "detached",
                            "formula"};

std::string slip_name(const Site& site, Slip slip) {
  switch (slip) {
    case Slip::left:
      return site.binary ? fmt::format("right of {} forgotten", site.name)
                         : fmt::format("{} forgotten", site.name);
    case Slip::right:
      return fmt::format("left of {} forgotten", site.name);
    case Slip::off_by_one:
      return fmt::format("constant of {} off by one", site.name);
    default:
      return fmt::format("{} the other way", site.name);
  }
}

/// The operations that one gradient's formula is made of.
std::vector<Site> sites_of(const Formula& f, std::size_t gradient, const void* attributes) {
  std::vector<Site> sites;
  const std::array<double, tapegrad::detail::kMaxArity> in{0.25, 0.5, 0.75};
  observer() = {};
  observer().sites = &sites;
  f.slope[gradient](attributes, 1, in.data(), 0.5);
  observer() = {};
  return sites;
}

void add_formula_faults(std::vector<Fault>& all, const Catalog::Op& op, const Samples& samples) {
  const void* attributes = samples.all().empty() ? nullptr : samples.all()[0].attributes.data();
  for (std::size_t g = 0; g < op.formula->arity; ++g) {
    if (!op.formula->slope[g] || (op.nondifferentiable_inputs >> g & 1u)) continue;
    const std::vector<Site> sites = sites_of(*op.formula, g, attributes);
    for (std::size_t i = 0; i < sites.size(); ++i) {
      std::vector<Slip> slips{Slip::left, Slip::opposite};
      constexpr std::array<std::string_view, 9> kDecisions{
          "where", "maximum", "minimum", "<", "<=", ">", ">=", "==", "!="};
      if (std::ranges::find(kDecisions, sites[i].name) != kDecisions.end())
        slips = {Slip::opposite};
      else if (sites[i].binary)
        slips.push_back(Slip::right);
      if (sites[i].constant) slips.push_back(Slip::off_by_one);
      for (const Slip slip : slips) {
        std::string text = slip_name(sites[i], slip);
        text += fmt::format(", operation {}", i + 1);
        if (op.formula->arity > 1) text += fmt::format(" of gradient {}", g);
        all.push_back(
            {.kind = FaultKind::formula, .gradient = g, .site = i, .slip = slip, .formula = std::move(text)});
      }
    }
  }
}

}  // namespace

std::string Fault::kind_name() const {
  return kind == FaultKind::formula ? formula : kNames[static_cast<std::size_t>(kind)];
}

std::string Fault::name() const {
  constexpr std::array<const char*, 3> kRules{"", ", by the general rule", ", as recorded"};
  return kind_name() + kRules[static_cast<std::size_t>(rule)];
}

namespace {

/// False for what cannot be planted in such an op at all.
bool applies(FaultKind kind, const Catalog::Op& op, std::size_t gradients) {
  switch (kind) {
    case FaultKind::swapped:
      return gradients > 1;
    case FaultKind::averaged:
    case FaultKind::not_reduced:  // only elementwise ops stretch their operands
      return op.formula && op.formula->arity > 1;
    case FaultKind::stale_saved:
      return std::ranges::any_of(op.table->saves, [](auto mask) { return mask != 0; });
    default:
      return true;
  }
}

/// Of how many inputs the samples ask the gradient.
std::size_t gradients_of(const Samples& samples) {
  std::size_t most = 0;
  for (const Samples::Sample& s : samples.all()) {
    const auto asked = [](const SampleInput& in) {
      return in.kind != SampleInput::Kind::constant && in.domain.only.empty() &&
             (in.kind != SampleInput::Kind::values || is_floating(in.values.dtype()));
    };
    most = std::max(most, static_cast<std::size_t>(std::ranges::count_if(s.inputs, asked)));
  }
  return most;
}

}  // namespace

std::vector<Fault> faults_of(const Catalog::Op& op) {
  std::vector<Fault> all;
  if (op.max_order == 0) return all;
  Samples samples;
  op.samples(samples);
  const std::size_t gradients = gradients_of(samples);
  for (auto kind = FaultKind::none; kind < FaultKind::formula;
       kind = static_cast<FaultKind>(static_cast<int>(kind) + 1))
    for (const Rule rule : {Rule::usual, Rule::general, Rule::recorded}) {
      if (rule == Rule::recorded && op.max_order < 2) continue;
      if (!applies(kind, op, gradients)) continue;
      if (kind == FaultKind::none && rule != Rule::usual) continue;
      if (kind == FaultKind::detached && rule != Rule::recorded) continue;
      all.push_back({.kind = kind, .rule = rule});
    }
  if (op.formula) add_formula_faults(all, op, samples);
  return all;
}

}  // namespace tapegrad::gradcheck::detail
