#include <algorithm>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/rule_probe.h>

#include <fmt/format.h>

namespace tapegrad::detail {

// ---- the probe ----

RuleKind RuleProbe::kind() const {
  if (context_.recording()) return RuleKind::recorded;
  return general_rules_only() ? RuleKind::general : RuleKind::fused;
}

Dtype RuleProbe::output_dtype() const { return context_.node_.shape->dtype; }

bool RuleProbe::has_saved(unsigned bit) const { return context_.node_.saved_mask >> bit & 1u; }

Tensor RuleProbe::saved(unsigned bit) const { return context_.saved(bit); }

std::vector<unsigned> RuleProbe::saved_bits() const {
  std::vector<unsigned> bits;
  for (unsigned bit = 0; bit < kResidualBit + kMaxResiduals; ++bit)
    if (has_saved(bit)) bits.push_back(bit);
  return bits;
}

RuleProbe::Replacement::Replacement(RuleProbe& probe, unsigned bit, Tensor value)
    : place_(probe.context_.node_.saved_at(bit)), before_(place_) {
  if (!probe.has_saved(bit) || !probe.context_.node_.saved_shape(bit).describes(value))
    throw ArgumentError(
        fmt::format("{}: a tensor of another shape or dtype cannot stand in for what it has saved",
                    label_of(probe.context_.node_)));
  place_.data = TensorAccess::data(value);
  place_.storage = TensorAccess::disown(value);
  place_.version = place_.storage->version.load(std::memory_order_relaxed);
}

RuleProbe::Replacement::~Replacement() {
  release(place_.storage);
  place_ = before_;
}

void RuleProbe::run() {
  if (next_)
    next_->run_rule(context_, op_);
  else
    op_.vjp(context_);
}

namespace {

/// Gradients that the inputs have from elsewhere, set aside while a rule runs.
class SetAside {
 public:
  struct Gradient {
    std::size_t input;  ///< the first that is this node
    Node* node;
    Storage* storage;
    std::byte* data;
    Node* computed_by;
  };

  void take(std::size_t input, Node& node) {
    if (std::ranges::any_of(all_, [&](const Gradient& g) { return g.node == &node; })) return;
    all_.push_back({input, &node, node.gradient, node.gradient_data, node.gradient_node});
    node.gradient = nullptr;  // behind what may throw
  }
  ~SetAside() {
    for (const Gradient& g : all_) {
      g.node->drop_gradient();
      g.node->gradient = g.storage;
      g.node->gradient_data = g.data;
      g.node->gradient_node = g.computed_by;
    }
  }
  const std::vector<Gradient>& all() const { return all_; }

 private:
  std::vector<Gradient> all_;
};

}  // namespace

std::vector<Tensor> RuleProbe::run_apart() {
  std::vector<Tensor> parts(inputs());
  SetAside aside;
  for (std::size_t i = 0; i < inputs(); ++i)
    if (needs_grad(i)) aside.take(i, *context_.node_.edges()[i].node);
  run();
  for (const SetAside::Gradient& g : aside.all())
    if (g.node->has_gradient())
      parts[g.input] = g.node->take_gradient(context_.tag_of(g.node->gradient_node));
  return parts;
}

bool RuleProbe::has_gradient(std::size_t i) const {
  return needs_grad(i) && context_.node_.edges()[i].node->has_gradient();
}

void RuleProbe::overwrite(std::size_t i, Tensor gradient) {
  if (needs_grad(i)) context_.node_.edges()[i].node->drop_gradient();
  add(i, std::move(gradient));
}

// ---- what this thread's passes run ----

ThreadState& running_thread(const char* what) {
  ThreadState* thread = this_thread();
  if (!thread) throw Error(fmt::format("{}: this thread is ending; use it before the thread ends", what));
  return *thread;
}

GeneralRules::GeneralRules(bool on) {
  ThreadState& thread = running_thread("general rules");
  before_ = std::exchange(thread.general_rules, thread.general_rules || on);
}

GeneralRules::~GeneralRules() {
  if (ThreadState* thread = current_thread) thread->general_rules = before_;
}

RuleHook::RuleHook() : before_(std::exchange(running_thread("rule hook").rule_hook, this)) {}

RuleHook::~RuleHook() {
  if (ThreadState* thread = current_thread) thread->rule_hook = before_;
}

void RuleHook::run_rule(RuleContext& context, const OpTable& op) {
  RuleProbe probe(context, op);
  probe.next_ = before_;
  run(probe);
}

}  // namespace tapegrad::detail
