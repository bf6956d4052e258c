#include <tapegrad/gradcheck/check/rule_coverage.h>
#include <tapegrad/graph/node.h>

namespace tapegrad::gradcheck::detail {

namespace {

using tapegrad::detail::Node;
using tapegrad::detail::OpTable;
using tapegrad::detail::RuleContext;

thread_local RuleCoverage* current_coverage = nullptr;

void run_observed(RuleContext& c) {
  // The table that the node points to is the first member of what observes it.
  auto& seen = *reinterpret_cast<RuleRuns*>(const_cast<OpTable*>(c.node().op));
  bool is_f64 = c.output_dtype() == f64;
  for (std::size_t i = 0; i < c.inputs(); ++i) is_f64 &= c.input_dtype(i) != f32;
  ++seen.runs[static_cast<std::size_t>(rule_in_use(c))][is_f64];
  seen.original->vjp(c);
}

}  // namespace

RuleCoverage::RuleCoverage() : before_(std::exchange(current_coverage, this)) {}
RuleCoverage::~RuleCoverage() { current_coverage = before_; }

RuleCoverage* RuleCoverage::current() { return current_coverage; }

void RuleCoverage::observe_tape() {
  const Tape* tape = Tape::current();
  if (!tape) return;
  for (const Node* n : tape->nodes()) {
    if (n->leaf || n->op->vjp == &run_observed) continue;
    std::unique_ptr<RuleRuns>& seen = all_[n->op];
    if (!seen) {
      seen = std::make_unique<RuleRuns>();
      seen->table = *n->op;
      seen->table.vjp = &run_observed;
      seen->original = n->op;
    }
    const_cast<Node*>(n)->op = &seen->table;
  }
}

const RuleRuns* RuleCoverage::runs_of(const OpTable* table) const {
  const auto found = all_.find(table);
  return found == all_.end() ? nullptr : found->second.get();
}

}  // namespace tapegrad::gradcheck::detail
