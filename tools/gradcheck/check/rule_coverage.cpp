#include <utility>

#include <tapegrad/gradcheck/check/rule_coverage.h>

namespace tapegrad::gradcheck::detail {

namespace {
thread_local RuleCoverage* current_coverage = nullptr;
}

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
