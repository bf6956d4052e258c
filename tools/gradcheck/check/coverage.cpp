#include <algorithm>
#include <array>

#include <tapegrad/gradcheck/check/coverage.h>
#include <tapegrad/gradcheck/check/rule_coverage.h>
#include <tapegrad/ops/loops/isa.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

namespace {

using tapegrad::detail::Isa;

/// While it lives, operations use one instruction set.
class UseIsa {
 public:
  explicit UseIsa(Isa isa) : before_(tapegrad::detail::set_isa(isa)) {}
  ~UseIsa() { tapegrad::detail::set_isa(before_); }
  UseIsa(const UseIsa&) = delete;
  UseIsa& operator=(const UseIsa&) = delete;

 private:
  Isa before_;
};

/// A rule in one precision.
struct Variant {
  detail::Rule rule;
  bool is_f64;
  const char* name;
};
constexpr std::array<Variant, 4> kVariants{{{detail::Rule::usual, true, "first-order rule in f64"},
                                            {detail::Rule::usual, false, "first-order rule in f32"},
                                            {detail::Rule::general, true, "general rule in f64"},
                                            {detail::Rule::recorded, true, "recorded rule in f64"}}};

class Survey {
 public:
  Survey(const Catalog& catalog, const Options& options) : catalog_(catalog), options_(options) {
    options_.mode = Mode::fast;
    options_.order = std::max(options_.order, 2);
    result_.ops = catalog.ops().size();
    result_.modules = catalog.modules().size();
  }

  Coverage run() {
    for (auto isa = Isa::base; isa <= tapegrad::detail::best_isa();
         isa = static_cast<Isa>(static_cast<int>(isa) + 1)) {
      result_.instruction_sets.emplace_back(tapegrad::detail::name_of(isa));
      const UseIsa use(isa);
      survey();
    }
    return std::move(result_);
  }

 private:
  std::string where() const { return fmt::format(" with {}", result_.instruction_sets.back()); }
  void gap(std::string text) {
    if (std::ranges::find(result_.gaps, text) == result_.gaps.end()) result_.gaps.push_back(std::move(text));
  }

  void survey() {
    const detail::RuleCoverage runs_seen;
    for (const Catalog::Op& op : catalog_.ops()) {
      const Subject s = check_op(op, options_);
      examine(s, std::min<int>(options_.order, op.max_order));
      if (op.max_order > 0) examine_rules(op, runs_seen);
    }
    for (const Catalog::Module& m : catalog_.modules())
      examine(check_module_samples(m, options_), options_.order);
    for (const auto& [table, runs] : runs_seen.all())
      if (!is_listed(table))
        gap(fmt::format("{}: recorded on a tape, and in no list of ops that are checked", table->name));
  }

  void examine(const Subject& s, int order) {
    if (s.samples.empty()) gap(fmt::format("{}: it has no samples", s.name));
    for (const std::string& line : s.unproven) gap(fmt::format("{}: {}", s.name, line));
    if (s.standing == Subject::Standing::fail || s.standing == Subject::Standing::inconclusive)
      gap(fmt::format("{}: {}{}", s.name, name_of(s.standing), where()));
    if (order > 0 && s.order < order)
      gap(fmt::format("{}: checked at order {}, it claims {}", s.name, s.order, order));
  }

  void examine_rules(const Catalog::Op& op, const detail::RuleCoverage& runs_seen) {
    const detail::RuleRuns* runs = runs_seen.runs_of(op.table);
    for (const Variant& v : kVariants) {
      if (v.rule == detail::Rule::recorded && op.max_order < 2) continue;
      ++result_.variants;
      if (runs && runs->runs[static_cast<std::size_t>(v.rule)][v.is_f64] > 0)
        ++result_.covered;
      else
        gap(fmt::format("{}: the {} was never run{}", op.name, v.name, where()));
    }
  }

  bool is_listed(const tapegrad::detail::OpTable* table) const {
    const auto has = [&](const Catalog& c) {
      return std::ranges::any_of(c.ops(), [&](const Catalog::Op& op) { return op.table == table; });
    };
    return has(catalog_) || has(library_catalog());
  }

  const Catalog& catalog_;
  Options options_;
  Coverage result_;
};

}  // namespace

Coverage coverage_of(const Catalog& catalog, const Options& options) {
  return Survey(catalog, options).run();
}

}  // namespace tapegrad::gradcheck
