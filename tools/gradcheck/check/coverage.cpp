#include <algorithm>
#include <array>
#include <string_view>

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
  Dtype dtype;
  const char* name;
};
constexpr std::array<Variant, 4> kVariants{{{detail::Rule::fused, f64, "first-order rule"},
                                            {detail::Rule::fused, f32, "first-order rule"},
                                            {detail::Rule::general, f64, "general rule"},
                                            {detail::Rule::recorded, f64, "recorded rule"}}};

class Survey {
 public:
  Survey(const Catalog& catalog, const Options& options, const Shard& shard)
      : catalog_(catalog), options_(options) {
    options_.mode = Mode::fast;
    options_.order = std::max(options_.order, 2);
    std::size_t place = 0;
    for (const Catalog::Op& op : catalog.ops())
      if (shard.has(place++)) ops_.push_back(&op);
    for (const Catalog::Module& m : catalog.modules())
      if (shard.has(place++)) modules_.push_back(&m);
    result_.ops = ops_.size();
    result_.modules = modules_.size();
  }

  Coverage run() {
    for (const Isa isa : tapegrad::detail::kIsas) {
      if (!tapegrad::detail::is_usable(isa)) continue;
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
    detail::RuleCoverage all;
    for (const Catalog::Op* op : ops_) {
      detail::RuleCoverage own;  // the rules that other ops' checks run are no proof
      examine(check_op(*op, options_), std::min<int>(options_.order, op->max_order));
      if (op->max_order == 0) continue;
      examine_rules(*op, own);
      examine_threads(*op, own.shared());
    }
    for (const Catalog::Module* m : modules_) examine(check_module_samples(*m, options_), options_.order);
    for (const auto& [table, runs] : all.all())
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

  void examine_rules(const Catalog::Op& op, const detail::RuleCoverage& coverage) {
    const detail::RuleRuns* found = coverage.runs_of(op.table);
    const detail::RuleRuns runs = found ? *found : detail::RuleRuns{};
    const auto count = [&](bool run, const std::string& variant) {
      ++result_.variants;
      if (run)
        ++result_.covered;
      else
        gap(fmt::format("{}: the {} was never run{}", op.name, variant, where()));
    };
    for (const auto& [name, values] : runs.attributes)
      if (values.size() == 1)
        gap(fmt::format("{}: its attribute '{}' is {} in all samples", op.name, name, *values.begin()));
    for (const Variant& v : kVariants) {
      const auto rule = static_cast<std::size_t>(v.rule);
      if (v.rule == detail::Rule::recorded && op.max_order < 2) continue;
      count(runs.of_dtype[rule][static_cast<std::size_t>(v.dtype)] > 0,
            fmt::format("{} in {}", v.name, name_of(v.dtype)));
      if (v.dtype != f64) continue;
      for (unsigned i = 0; op.table->optional_inputs >> i; ++i) {
        if (!(op.table->optional_inputs >> i & 1u)) continue;
        count(runs.with_input[rule] >> i & 1u, fmt::format("{} with its optional input {}", v.name, i));
        count(runs.without_input[rule] >> i & 1u, fmt::format("{} without its optional input {}", v.name, i));
      }
    }
  }

  /// Which passes no sample is large enough for: one thread was then compared with one.
  void examine_threads(const Catalog::Op& op, const detail::SharedPasses& shared) {
    const auto count = [&](bool run, const char* pass) {
      if (run)
        ++result_.shared;
      else if (std::string text = fmt::format("{}: {}", op.name, pass);
               std::ranges::find(result_.unshared, text) == result_.unshared.end())
        result_.unshared.push_back(std::move(text));
    };
    count(shared.forward, "forward");
    for (const Variant& v : kVariants)
      if (v.dtype == f64 && (v.rule != detail::Rule::recorded || op.max_order > 1))
        count(shared.backward[static_cast<std::size_t>(v.rule)], v.name);
  }

  /// By name: of an op that is a template, for a function of the user's, one stands for all.
  bool is_listed(const tapegrad::detail::OpTable* table) const {
    const auto has = [&](const Catalog& c) {
      return std::ranges::any_of(
          c.ops(), [&](const Catalog::Op& op) { return std::string_view(op.table->name) == table->name; });
    };
    return has(catalog_) || has(library_catalog());
  }

  const Catalog& catalog_;
  std::vector<const Catalog::Op*> ops_;
  std::vector<const Catalog::Module*> modules_;
  Options options_;
  Coverage result_;
};

}  // namespace

Coverage coverage_of(const Catalog& catalog, const Options& options, const Shard& shard) {
  return Survey(catalog, options, shard).run();
}

}  // namespace tapegrad::gradcheck
