#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include <tapegrad/graph/arena.h>
#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/gradients.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/graph/node.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

namespace detail {
class Backward;
class RecordingGuard;
class RuleContext;
}  // namespace detail

/// Whether backward keeps what the tape saved, so that it may run again.
enum class RetainGraph : bool { no, yes };
/// Whether a gradient is itself recorded, so that it can be differentiated.
enum class Record : bool { no, yes };

/// What Tape::grad starts from, and whether it records.
struct GradOptions {
  /// The gradient of the quantity of interest with respect to y; undefined: ones, for a y of one element.
  Tensor cotangent{};
  Record record = Record::no;  ///< whether the gradient is itself recorded
};

/// What Tape::backward starts from, what it leaves, and whom it tells.
struct BackwardOptions {
  /// The gradient of the quantity of interest with respect to y; undefined: ones, for a y of one element.
  Tensor cotangent{};
  RetainGraph retain_graph = RetainGraph::no;  ///< whether backward may run again
  /// Called once for each parameter and watched tensor, as soon as its gradient is complete, while those of leaves that
  /// were read earlier are still to be computed: the last layer's come first. (Where the graph is retained, when all
  /// are complete.) The gradient has the elements of that which backward returns. What it throws ends the pass.
  Callback<void(const Gradients::Entry&)> on_leaf{};
};

/// What a tape records: operations on tracked tensors, to differentiate them; or every operation, with all values, to
/// look at them.
enum class Recording : bool { tracked, everything };

namespace detail {
/// That a tape of everything saw elements taken out of a tensor, and where: see TapeView::Read.
struct Read {
  Tensor tensor;
  const char* function;
  const ScopePath* scope;
};
}  // namespace detail

/// A place on a tape to return to; see Tape::mark.
class Mark {
  friend class Tape;
  std::uint64_t epoch_ = 0;
  std::size_t depth_ = 0;
};

/// Records operations on tracked tensors while it is this thread's innermost tape, and differentiates them in
/// reverse.
///
///     Tape tape;                                   // from here on, what depends on a Parameter is recorded
///     Tensor loss = softmax_with_loss(net(x), t);
///     Gradients g = tape.backward(loss);           // the tape is spent: from here on, operations are plain
///     optimizer.step(g);
///
/// Tapes of one thread nest, last in, first out. A tape is *active* while it is the innermost, not spent and
/// not paused; without an active tape operations compute values and record nothing. A tape belongs to its
/// thread.
class TAPEGRAD_API Tape {
 public:
  /// Throws Error inside a rule that is being recorded: what it computed could not be differentiated again; and inside
  /// of a tape that records everything, which would not see what this one records.
  Tape();
  /// Recording::everything: a tape for TapeView. It records operations on constants, on integers and without a
  /// derivative as well, each constant as a leaf, and holds every value; it is not paused, and knows whose elements
  /// were read. What it recorded cannot be differentiated: backward and grad throw Error. Throws as Tape().
  explicit Tape(Recording recording);
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  static void* operator new(std::size_t) = delete;
  static void* operator new[](std::size_t) = delete;

  /// The same values as a leaf of this tape: its gradient is asked. Throws DtypeError for integers,
  /// TapeSpent, ForeignTape, and ArgumentError for a tensor that this tape has computed (use grad for those).
  Tensor watch(const Tensor& x);

  /// Gradients of a one-element loss for all leaves; no two share elements. Releases what was saved as it
  /// goes and leaves the tape spent, unless the graph is retained. Throws NotTracked where the loss does not
  /// depend on any leaf, ShapeError for a loss of several elements without a cotangent, TapeSpent,
  /// StaleTensor, ForeignTape and MutatedSaved.
  Gradients backward(const Tensor& loss, RetainGraph retain_graph = RetainGraph::no);
  /// The product of `cotangent`, of y's shape, with the Jacobian of y.
  Gradients backward(const Tensor& y, const Tensor& cotangent, RetainGraph retain_graph = RetainGraph::no);
  /// The same with more to say, as a function that is told of each gradient when it is complete.
  Gradients backward(const Tensor& y, const BackwardOptions& options);

  /// Gradients of y for tensors on this tape, leaves or intermediate ones. Does not spend the tape. Zeros
  /// for an x that y does not depend on. With Record::yes the gradients are tracked: derivatives of any
  /// order. Takes the time of the operations that lead from the xs to y, however many others were recorded.
  /// Throws NotTracked for an x that is not on the tape, and where gradients of this tape that were not recorded, or
  /// copies of what it did record, went into y or an operation on the way to it: detach() what is to be a constant.
  std::vector<Tensor> grad(const Tensor& y, std::span<const Tensor> xs, const GradOptions& options = {});
  std::vector<Tensor> grad(const Tensor& y, std::initializer_list<Tensor> xs,
                           const GradOptions& options = {}) {
    return grad(y, std::span(xs.begin(), xs.size()), options);
  }
  Tensor grad(const Tensor& y, const Tensor& x, const GradOptions& options = {});

  /// Forgets everything recorded; the tape is active again. Tensors it recorded become stale.
  void reset();
  /// A place to come back to: rewind(mark) forgets what was recorded after it, as often as needed.
  /// Differentiate in between with grad, or with backward and RetainGraph::yes, which leave the tape unspent.
  Mark mark();
  /// Throws ArgumentError for a mark of another tape, from before a reset, or one that was rewound past.
  void rewind(const Mark& mark);

  /// From here on, every result and every gradient is examined; the first NaN or infinity throws NonFinite
  /// with the operation, the module, the shapes and the index.
  void check_finite(bool on = true) noexcept { check_finite_ = on; }

  /// Whether operations of this thread are recorded here: it is the innermost tape, not spent and not paused.
  bool active() const noexcept;
  /// Whether a backward has released what was saved.
  bool spent() const noexcept { return spent_; }
  /// Whether the parameter was read here, so that backward returns a gradient for it.
  bool has_read(const Parameter& parameter) const noexcept {
    return parameter.defined() && find_parameter(parameter.id());
  }
  /// Number of recorded nodes, leaves included.
  std::size_t size() const noexcept { return count_; }
  /// Bytes of the nodes; the values they hold are not counted.
  std::size_t node_bytes() const noexcept { return arena_.capacity(); }

  /// This thread's active tape, or null.
  static Tape* current() noexcept {
    const detail::ThreadState* t = detail::current_thread;
    return t ? t->active : nullptr;
  }

  // Below: the engine's side, used by operations and parameters.

  /// True where tensors tagged with this epoch belong to what is recorded here.
  bool is_live(std::uint64_t epoch) const noexcept {
    return epoch == epoch_ || (segments_.size() > 1 && is_live_slow(epoch));
  }
  /// The same of this tape or of one outside of it.
  bool is_live_here(std::uint64_t epoch) const noexcept {
    for (const Tape* t = this; t; t = t->outer_)
      if (t->is_live(epoch)) return true;
    return false;
  }
  /// The node of an input of `op`, null for a constant. Throws StaleTensor, ForeignTape or MutatedSaved.
  detail::Node* resolve(const Tensor& input, const char* op) {
    const detail::Tag& tag = detail::TensorAccess::tag(input);
    if (tag.epoch == 0) return nullptr;
    if (tag.epoch != epoch_) [[unlikely]]
      require_live(input, op);
    if (tag.node->version != input.version()) [[unlikely]]
      throw_mutated(tag.node, input, op);
    return tag.node;
  }
  /// Appends a node for `out`, which the operation has just computed, and tags it.
  void record(Tensor& out, const detail::OpTable& op, const void* attributes, const Tensor* const* inputs,
              detail::Node* const* nodes, std::size_t count, const Tensor* residuals = nullptr);
  /// The tracked value of a parameter.
  Tensor track(Tensor value, std::uint64_t parameter);
  /// True where results are to be examined; those of a rule are, as the gradient they amount to.
  bool checks_finite() const noexcept { return check_finite_ && !rule_; }
  /// See Recording::everything.
  bool records_everything() const noexcept { return everything_; }
  /// The leaf of a tape of everything for a constant that an operation takes.
  detail::Node* add_constant(const Tensor& x);
  /// Keeps for TapeView::reads that elements were read: of a tape of everything.
  void note_read(const Tensor& t, const char* function);
  /// True where operations are applied by a rule that is being recorded.
  bool records_rule() const noexcept { return rule_ != nullptr; }

 private:
  friend class Pause;
  friend class detail::Backward;
  friend class detail::RecordingGuard;
  friend class detail::RuleContext;
  friend class TapeView;

  /// What was recorded since a mark has an epoch of its own, so that rewinding makes it stale.
  struct Segment {
    std::uint64_t epoch;
    detail::Arena::Position start;
    detail::Node* last;
    std::size_t count;
    detail::Node* last_leaf;
    std::size_t reads;
  };
  template <class T>
  using PoolVector = std::vector<T, detail::PoolAllocator<T>>;

  bool is_live_slow(std::uint64_t epoch) const noexcept;
  bool live_not_foreign(const Tensor& t, const char* op) const;
  void require_live(const Tensor& t, const char* op) const;
  [[noreturn]] void throw_mutated(const detail::Node* node, const Tensor& input, const char* op) const;
  void require_thread(const char* what) const;
  void require_idle(const char* what) const;
  detail::Tag tag_of(detail::Node* node) const noexcept;
  /// Whether a tensor that is not on the tape depends on what the tape recorded since its reset.
  bool lost_history(const Tensor& t) const noexcept;
  detail::Node* append(const detail::OpTable& op, std::size_t inputs, std::size_t saved,
                       std::size_t residuals);
  const detail::PackedShape* pack(const Shape& shape, Dtype dtype);
  const detail::PackedShape* shape_like(detail::Node* const* nodes, std::size_t count, const Tensor& out);
  const detail::ScopePath* path_of(NameScope* scope);
  Tensor add_leaf(Tensor value, std::uint64_t parameter);
  detail::Node* find_parameter(std::uint64_t id) const noexcept;
  void index_parameter(detail::Node* leaf);
  void forget_parameters() noexcept;
  void release_back_to(detail::Node* last) noexcept;
  void open_segment();
  void clear() noexcept;
  static void choose_active(detail::ThreadState& t) noexcept;

  detail::ThreadState* thread_;
  Tape* outer_;
  std::uint64_t epoch_ = 0;
  detail::Node* last_ = nullptr;
  detail::Node* last_leaf_ = nullptr;
  std::size_t count_ = 0;
  const detail::Node* rule_ = nullptr;  ///< whose rule is being recorded now
  std::uint32_t paused_ = 0;
  bool spent_ = false;
  bool busy_ = false;  ///< a backward pass or a composed operation holds pointers to nodes
  bool check_finite_ = false;
  bool everything_ = false;          ///< see Recording::everything
  std::vector<detail::Read> reads_;  ///< of a tape of everything
  detail::Arena arena_;
  PoolVector<Segment> segments_;          ///< at least one, in order of their epochs
  PoolVector<detail::Node*> parameters_;  ///< open addressing by parameter id, a power of two in size
  std::size_t parameter_count_ = 0;
};

/// While it lives, this thread's innermost tape records nothing; one that records everything does. A tape opened inside
/// is not affected.
class TAPEGRAD_API Pause {
 public:
  Pause() noexcept : Pause(false) {}
  ~Pause();
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 protected:
  /// Whether a tape that records everything pauses as well.
  explicit Pause(bool of_everything) noexcept;

 private:
  Tape* tape_;
};

namespace detail {
/// For what an operation computes within itself, which is no part of what a tape of everything shows.
class OperationPause : public Pause {
 public:
  OperationPause() noexcept : Pause(true) {}
};

/// Runs an operation on its inputs by the tape's rules, and records it where an input is tracked.
TAPEGRAD_API Tensor apply(const OpTable& op, const void* attributes, const Tensor* const* inputs,
                          std::size_t count);
/// The same, and gives the caller the residuals that forward has produced, recorded or not. What the caller
/// hands on to a user must be a copy: the tape holds the residuals themselves.
TAPEGRAD_API Tensor apply(const OpTable& op, const void* attributes, const Tensor* const* inputs,
                          std::size_t count, Tensor* residuals);
}  // namespace detail

}  // namespace tapegrad
