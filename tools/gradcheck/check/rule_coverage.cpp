#include <utility>

#include <tapegrad/gradcheck/check/rule_coverage.h>
#include <tapegrad/graph/attributes.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

thread_local RuleCoverage* current_coverage = nullptr;

/// Adds the values of attributes to those there are.
class Values final : public AttributeVisitor {
 public:
  explicit Values(std::map<std::string, std::set<std::string>>& to) : to_(to) {}

 protected:
  void boolean(std::string_view name, bool value) override { add(name, value); }
  void integer(std::string_view name, std::int64_t value) override { add(name, value); }
  void number(std::string_view name, double value) override { add(name, value); }
  void dtype(std::string_view, Dtype) override {}  // what is differenced is f64
  void integers(std::string_view name, std::span<const std::int64_t> values) override {
    add(name, fmt::format("[{}]", fmt::join(values, ", ")));
  }

 private:
  template <class T>
  void add(std::string_view name, const T& value) {
    std::set<std::string>& all = to_[std::string(name)];
    if (all.size() < 2) all.insert(fmt::format("{}", value));
  }
  std::map<std::string, std::set<std::string>>& to_;
};

}  // namespace

RuleCoverage::RuleCoverage() : before_(std::exchange(current_coverage, this)) {}
RuleCoverage::~RuleCoverage() { current_coverage = before_; }

RuleCoverage* RuleCoverage::current() { return current_coverage; }

void RuleCoverage::run(tapegrad::detail::RuleProbe& probe) {
  RuleRuns& runs = all_[&probe.op()];
  const auto rule = static_cast<std::size_t>(probe.kind());
  Dtype dtype = probe.output_dtype();
  for (std::size_t i = 0; i < probe.inputs(); ++i)
    if (probe.has_input(i)) dtype = coarser(dtype, probe.input_dtype(i));
  ++runs.of_dtype[rule][static_cast<std::size_t>(dtype)];
  Values values(runs.attributes);
  if (probe.op().describe) probe.op().describe(probe.attributes(), values);
  for (unsigned i = 0; probe.op().optional_inputs >> i; ++i)
    if (probe.op().optional_inputs >> i & 1u)
      (probe.has_input(i) ? runs.with_input : runs.without_input)[rule] |= 1u << i;
  probe.run();
}

const RuleRuns* RuleCoverage::runs_of(const tapegrad::detail::OpTable* op) const {
  const auto found = all_.find(op);
  return found == all_.end() ? nullptr : &found->second;
}

}  // namespace tapegrad::gradcheck::detail
