#include <algorithm>
#include <unordered_set>
#include <vector>

#include <tapegrad/graph/ancestors.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/nothing.h>
#include <tapegrad/graph/rule_context.h>
#include <tapegrad/graph/rule_probe.h>
#include <tapegrad/graph/tape.h>

#include <fmt/format.h>

namespace tapegrad {
namespace detail {

/// One pass in reverse: a loop over the nodes from y back, since a node's inputs are older than the node. A node's
/// gradient is complete when the loop arrives there; its rule then adds to the gradients of its inputs.
class Backward {
 public:
  Backward(Tape& tape, const char* what, const Tensor& y) : tape_(tape), what_(what), y_(y) {
    tape.require_thread(what);
    tape.require_idle(what);
    if (tape.spent_)
      throw TapeSpent(
          fmt::format("{}: the tape is spent: an earlier backward released what it saved. Record again after "
                      "reset(), or ask that backward to retain it (RetainGraph::yes)",
                      what));
    if (tape.everything_)
      throw Error(fmt::format(
          "{}: this tape records everything, to be looked at, and holds nothing that gradients need; "
          "differentiate under a tape of its own",
          what));
    if (!y.defined()) throw_undefined_tensor(what, "the tensor to differentiate");
    require_floating(y.dtype(), "the tensor to differentiate");
    if (TensorAccess::tag(y).epoch) {
      tape.require_live(y, what);
      root_ = TensorAccess::tag(y).node;
    }
  }

  /// Gradients of all leaves.
  Gradients all_leaves(const BackwardOptions& options) {
    const bool retain_graph = options.retain_graph == RetainGraph::yes;
    if (!root_) {
      require_recorded();
      throw NotTracked(
          fmt::format("{}: the loss of shape {} depends on no parameter and no watched tensor of this tape; "
                      "compute it while the tape is active, and detach() nothing on the way",
                      what_, to_string(y_.shape())));
    }
    Tensor cotangent = cotangent_or_one(options.cotangent);
    Gradients gradients;
    Guard guard(tape_, !retain_graph);
    {
      const Pause pause;
      root_->put_gradient(std::move(cotangent));
      if (retain_graph) {
        walk_from_root(-1, [this](Node& n) {
          if (n.has_gradient()) differentiate(n, false, true);
        });
      } else {  // visits all, since all release what they saved
        for (Node* n = tape_.last_; n != root_; n = n->prev) n->drop_saved();
        for (Node* n = root_; n; n = n->prev) {
          if (n->has_gradient()) {
            if (!n->leaf)
              differentiate(*n, false, true);
            else if (options.on_leaf)
              take_leaf(*n, gradients, options);
          }
          n->drop_saved();
        }
      }
    }
    take_leaves(gradients, options);
    guard.finish();  // every gradient was consumed on the way
    return gradients;
  }

  /// Gradients of some tensors; only what lies between them and y is differentiated.
  std::vector<Tensor> some(std::span<const Tensor> xs, const GradOptions& options) {
    const bool record = options.record == Record::yes;
    if (record && !tape_.active())
      throw Error(fmt::format("{}: Record::yes needs the tape active: innermost and not paused", what_));
    PoolVector<Node*> targets;
    for (const Tensor& x : xs) targets.push_back(target(x));
    require_recorded();
    Tensor cotangent = cotangent_or_one(options.cotangent);
    Node* const cotangent_node = record ? tape_.resolve(cotangent, what_) : nullptr;
    std::vector<Tensor> gradients(xs.size());
    if (root_) {
      Guard guard(tape_, false);
      mark_needs_grad(targets);
      if (root_->needs_grad) {
        root_->put_gradient(std::move(cotangent), cotangent_node);
        if (record) {
          sweep(true);
        } else {
          const Pause pause;
          sweep(false);
        }
      }
      for (std::size_t i = 0; i < xs.size(); ++i)
        if (targets[i]->has_gradient())
          gradients[i] = targets[i]->copy_gradient(tape_.tag_of(targets[i]->gradient_node));
      for (Node* n : between_) clear_marks(*n);
      for (Node* n : targets) clear_marks(*n);
      guard.finish();
    }
    for (std::size_t i = 0; i < xs.size(); ++i) {
      if (!gradients[i].defined()) gradients[i] = Tensor::zeros(xs[i].shape(), xs[i].dtype());
      if (!record) make_unrecorded(gradients[i]);
    }
    return gradients;
  }

 private:
  template <class T>
  using PoolVector = std::vector<T, PoolAllocator<T>>;

  /// However the pass ends, the tape is left in order: where a rule throws, no gradient stays behind on a
  /// node.
  class Guard {
   public:
    Guard(Tape& tape, bool spend) : tape_(tape), spend_(spend) { tape_.busy_ = true; }
    ~Guard() {
      if (!finished_)
        for (Node* n = tape_.last_; n; n = n->prev) {
          clear_marks(*n);
          if (spend_) n->drop_saved();
        }
      tape_.busy_ = false;
      tape_.rule_ = nullptr;
      if (spend_) {
        tape_.spent_ = true;
        Tape::choose_active(*tape_.thread_);
      }
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    void finish() noexcept { finished_ = true; }

   private:
    Tape& tape_;
    bool spend_;
    bool finished_ = false;
  };

  static void clear_marks(Node& n) noexcept {
    n.drop_gradient();
    n.needs_grad = n.target = n.listed = false;
  }

  /// Rules hand one tensor on to several inputs, and the cotangent is the user's: gradients that leave the
  /// tape are copied where elements would be shared, so that each may be changed in place.
  void make_unrecorded(Tensor& gradient) const {
    if (!is_unique(TensorAccess::storage(gradient))) gradient = gradient.copy();
    TensorAccess::set_tag(gradient, Tag::without_history(tape_.segments_.front().epoch));
  }

  static constexpr const char* kLostHistory =
      "gradients that were not recorded, a copy(), or what another thread has computed, of this tape. Ask for gradients "
      "with Tape::grad and {.record = Record::yes}, leave out copy(), or detach() what is meant as a constant";

  /// What was computed from values without a history has a derivative, and none is known.
  void require_recorded() const {
    if (tape_.lost_history(y_))
      throw NotTracked(fmt::format("{}: y, of shape {}, was computed from {}", what_, to_string(y_.shape()),
                                   kLostHistory));
  }

  void require_floating(Dtype dtype, const char* tensor) const {
    if (!is_floating(dtype))
      throw DtypeError(fmt::format("{}: {} is of {} and has no gradient; compute in f32 or f64", what_,
                                   tensor, name_of(dtype)));
  }

  /// The gradient that enters at y: the cotangent, or one for a single element.
  Tensor cotangent_or_one(const Tensor& given) const {
    if (!given.defined()) {
      if (y_.size() != 1)
        throw ShapeError(
            fmt::format("{}: y has shape {}; reduce it to one element, for example with sum or mean, or give "
                        "a cotangent of that shape",
                        what_, to_string(y_.shape())));
      return Tensor::ones(y_.shape(), y_.dtype());
    }
    if (given.shape() != y_.shape())
      throw ShapeError(fmt::format("{}: the cotangent has shape {}, y has {}; they must be equal", what_,
                                   to_string(given.shape()), to_string(y_.shape())));
    if (given.dtype() != y_.dtype())
      throw DtypeError(fmt::format("{}: the cotangent is {}, y is {}; cast the cotangent", what_,
                                   name_of(given.dtype()), name_of(y_.dtype())));
    if (given.tracked()) return given;
    // A gradient serves as a constant, recorded or not.
    return with_nothing_for_zero(TensorAccess::tag(given).lost_epoch() ? given.detach() : given);
  }

  /// Elements of y that a constant cotangent leaves out contribute nothing at any order.
  static Tensor with_nothing_for_zero(const Tensor& cotangent) {
    Tensor result = cotangent;
    visit_floating(cotangent.dtype(), [&]<class T> {
      const T* from = TensorAccess::data_as<T>(cotangent);
      const T* const end = from + cotangent.size();
      if (std::find(from, end, T{0}) == end) return;
      result = cotangent.copy();
      std::replace(TensorAccess::data_as<T>(result), TensorAccess::data_as<T>(result) + result.size(), T{0},
                   static_cast<T>(kNothing));
    });
    return result;
  }

  static Gradients::Key key_of(Node& leaf) {
    const Leaf& l = leaf.as_leaf();
    return l.parameter ? Gradients::Key{l.parameter, {}} : Gradients::Key{0, {l.epoch, &leaf}};
  }

  /// The gradient of a leaf, which is complete.
  void take_leaf(Node& leaf, Gradients& gradients, const BackwardOptions& options) const {
    Tensor value =
        leaf.has_gradient() ? leaf.take_gradient() : Tensor::zeros(leaf.shape->shape(), leaf.shape->dtype);
    make_unrecorded(value);
    const Gradients::Key key = key_of(leaf);
    if (options.on_leaf) options.on_leaf({key, value});
    gradients.insert(key, std::move(value));
  }

  /// Those that were not taken on the way.
  void take_leaves(Gradients& gradients, const BackwardOptions& options) const {
    const bool some_taken = !gradients.empty();
    PoolVector<Node*> leaves;
    for (Node* n = tape_.last_leaf_; n; n = n->as_leaf().previous)
      if (!some_taken || !gradients.find(key_of(*n))) leaves.push_back(n);
    gradients.reserve(gradients.size() + leaves.size());
    // Oldest first: most are then in order already.
    for (auto n = leaves.rbegin(); n != leaves.rend(); ++n) take_leaf(**n, gradients, options);
  }

  Node* target(const Tensor& x) const {
    if (!x.defined()) throw_undefined_tensor(what_, "an x");
    require_floating(x.dtype(), "an x");
    const Tag& tag = TensorAccess::tag(x);
    if (!tag.epoch)
      throw NotTracked(fmt::format(
          "{}: an x of shape {} is not on the tape; watch it, or make it a Parameter, before y is "
          "computed",
          what_, to_string(x.shape())));
    tape_.require_live(x, what_);
    return tag.node;
  }

  template <class Visit>
  void walk_from_root(std::int64_t oldest, Visit visit) {
    Ancestors<Visit>::walk(root_, oldest, visit);
  }

  void mark_needs_grad(const PoolVector<Node*>& targets) {
    const Node* oldest = *std::ranges::min_element(targets, {}, &Node::index);
    // Nodes link backward only, so those between are listed once and walked forward.
    walk_from_root(oldest->index, [this](Node& n) { between_.push_back(&n); });
    for (Node* t : targets) t->target = t->needs_grad = true;
    if (root_->below_lacking) [[unlikely]]
      require_history();
    for (auto n = between_.rbegin(); n != between_.rend(); ++n)
      (*n)->needs_grad = (*n)->needs_grad || feeds_needs_grad(**n);
  }

  /// What has lost its history may depend on a target by ways that are not on the tape: it must not go into y, but
  /// through targets.
  void require_history() const {
    std::vector<const Node*> waiting{root_};
    std::unordered_set<const Node*> seen;
    while (!waiting.empty()) {
      const Node* const n = waiting.back();
      waiting.pop_back();
      if (n->target || !n->below_lacking || !seen.insert(n).second) continue;
      if (n->lacks_derivative) throw_lacks_derivative(*n);
      for (const Edge* e = n->edges(); e != n->edges() + n->inputs; ++e)
        if (e->node) waiting.push_back(e->node);
    }
  }

  [[noreturn]] void throw_lacks_derivative(const Node& n) const {
    throw NotTracked(
        fmt::format("{}: {}, which y depends on, was computed from {}", what_, label_of(n), kLostHistory));
  }

  static bool feeds_needs_grad(const Node& n) {
    return std::any_of(n.edges(), n.edges() + n.inputs,
                       [](const Edge& e) { return e.node && e.node->needs_grad; });
  }

  void sweep(bool recording) {
    for (Node* n : between_)
      if (n->has_gradient() && feeds_needs_grad(*n)) differentiate(*n, recording, false);
  }

  void differentiate(Node& n, bool recording, bool all_need_grad) {
    if (n.lacks_derivative) [[unlikely]]
      throw_lacks_derivative(n);
    if (recording) {
      if (n.order < 2)
        throw NotDifferentiable(
            fmt::format("{}: {} is differentiable once more only, and its gradient was asked to be "
                        "recorded for a further derivative; use Record::no",
                        what_, label_of(n)));
      tape_.rule_ = &n;
    }
    try {
      RuleContext context(tape_, n, recording, all_need_grad);
      if (hook_) [[unlikely]]
        hook_->run_rule(context, *n.op);
      else
        n.op->vjp(context);
    } catch (const OutOfMemory& e) {
      throw OutOfMemory(fmt::format("backward of {}, whose result is {}: {}", label_of(n),
                                    to_string(n.shape->shape()), e.what()));
    }
    tape_.rule_ = nullptr;
  }

  Tape& tape_;
  const char* what_;
  const Tensor& y_;
  RuleHook* const hook_ = tape_.thread_->rule_hook;
  Node* root_ = nullptr;
  PoolVector<Node*>
      between_;  ///< the nodes that lead to y and are newer than the oldest target, newest first
};

}  // namespace detail

Gradients Tape::backward(const Tensor& loss, RetainGraph retain_graph) {
  return backward(loss, {.retain_graph = retain_graph});
}

Gradients Tape::backward(const Tensor& y, const Tensor& cotangent, RetainGraph retain_graph) {
  if (!cotangent.defined()) detail::throw_undefined_tensor("backward", "the cotangent");
  return backward(y, {.cotangent = cotangent, .retain_graph = retain_graph});
}

Gradients Tape::backward(const Tensor& y, const BackwardOptions& options) {
  return detail::Backward(*this, "backward", y).all_leaves(options);
}

std::vector<Tensor> Tape::grad(const Tensor& y, std::span<const Tensor> xs, const GradOptions& options) {
  if (xs.empty()) return {};
  return detail::Backward(*this, "grad", y).some(xs, options);
}

Tensor Tape::grad(const Tensor& y, const Tensor& x, const GradOptions& options) {
  return grad(y, std::span(&x, 1), options)[0];
}

}  // namespace tapegrad
