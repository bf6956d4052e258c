#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::Node;
using detail::TensorAccess;
using detail::ThreadState;

namespace {

// An epoch is the thread's number and a count: no two tapes, resets or marks of a process ever share one.
constexpr unsigned kCountBits = 32;
constexpr std::uint64_t kMaxCount = (std::uint64_t{1} << kCountBits) - 1;
std::uint64_t thread_of(std::uint64_t epoch) { return epoch >> kCountBits; }

std::uint64_t next_epoch(ThreadState& t) {
  if (t.epochs == kMaxCount) {
    t.number = detail::new_thread_number();
    t.epochs = 0;
  }
  return (t.number << kCountBits) | ++t.epochs;
}

}  // namespace

// ---- life of a tape ----

Tape::Tape() : thread_(detail::this_thread()), outer_(nullptr) {
  if (!thread_) throw Error("tape: this thread is ending; a tape cannot be opened any more");
  outer_ = thread_->innermost;
  // What runs under a Pause there, the value of an operation for one, is not part of what is recorded.
  if (outer_ && outer_->rule_ && outer_->paused_ == 0)
    throw Error(
        fmt::format("tape: the rule of {} is being recorded (Record::yes) and cannot open a tape: what it "
                    "computes there could not be "
                    "differentiated again. Give the operation max_order 1, or express its rule in operations",
                    outer_->rule_->op->name));
  if (outer_ && outer_->everything_ && outer_->paused_ == 0)
    throw Error(
        "tape: what is differentiated inside of a tape that records everything (save_onnx records a network so) "
        "would not be seen there");
  if (thread_->number > kMaxCount) throw Error("tape: the process has started too many threads");
  open_segment();
  thread_->innermost = this;
  choose_active(*thread_);
}

Tape::Tape(Recording recording) : Tape() { everything_ = recording == Recording::everything; }

Tape::~Tape() {
  clear();
  // Innermost, unless somebody has found a way to end tapes out of order.
  Tape** link = &thread_->innermost;
  while (*link != this) link = &(*link)->outer_;
  *link = outer_;
  choose_active(*thread_);
}

void Tape::choose_active(ThreadState& t) noexcept {
  Tape* top = t.innermost;
  t.active = top && !top->spent_ && top->paused_ == 0 ? top : nullptr;
}

void Tape::open_segment() {
  const std::uint64_t epoch = next_epoch(*thread_);
  segments_.push_back({epoch, arena_.position(), last_, count_, last_leaf_, reads_.size()});
  epoch_ = epoch;
}

void Tape::clear() noexcept {
  release_back_to(nullptr);
  segments_.clear();
  reads_.clear();
  arena_.rewind({});
  count_ = 0;
  last_leaf_ = nullptr;
}

void Tape::release_back_to(Node* last) noexcept {
  if (!spent_)  // the backward that spent the tape has released everything on its way
    for (Node* n = last_; n != last; n = n->prev) n->drop_saved();
  last_ = last;
}

void Tape::reset() {
  require_thread("reset");
  require_idle("reset");
  clear();
  forget_parameters();
  spent_ = false;
  open_segment();
  choose_active(*thread_);
}

Mark Tape::mark() {
  require_thread("mark");
  if (spent_) throw TapeSpent("mark: the tape is spent; reset it first");
  Mark m;
  m.epoch_ = epoch_;
  m.depth_ = segments_.size();
  open_segment();
  return m;
}

void Tape::rewind(const Mark& mark) {
  require_thread("rewind");
  require_idle("rewind");
  if (spent_) throw TapeSpent("rewind: the tape is spent; reset it instead");
  if (mark.depth_ == 0 || mark.depth_ >= segments_.size() || segments_[mark.depth_ - 1].epoch != mark.epoch_)
    throw ArgumentError(
        "rewind: the mark is of another tape, or the tape was reset or rewound to an earlier mark since; "
        "take a new mark()");
  const Segment to = segments_[mark.depth_];
  release_back_to(to.last);
  last_leaf_ = to.last_leaf;
  count_ = to.count;
  reads_.erase(reads_.begin() + static_cast<std::ptrdiff_t>(to.reads), reads_.end());
  arena_.rewind(to.start);
  segments_.resize(mark.depth_);
  open_segment();
  forget_parameters();
  for (Node* leaf = last_leaf_; leaf; leaf = leaf->as_leaf().previous)
    if (leaf->as_leaf().parameter) index_parameter(leaf);
}

bool Tape::active() const noexcept { return thread_ == detail::current_thread && thread_->active == this; }

void Tape::require_thread(const char* what) const {
  if (thread_ != detail::current_thread)
    throw ForeignTape(
        fmt::format("{}: this tape belongs to another thread; each thread opens its own", what));
}

void Tape::require_idle(const char* what) const {
  if (busy_)
    throw Error(fmt::format(
        "{}: the tape is in the middle of an operation or a backward pass; call it afterwards", what));
}

// ---- which tensors are tracked ----

bool Tape::is_live_slow(std::uint64_t epoch) const noexcept {
  const auto s = std::ranges::lower_bound(segments_, epoch, {}, &Segment::epoch);
  return s != segments_.end() && s->epoch == epoch;
}

// False for a stale tensor; throws for one that another tape tracks, or tracked in another thread.
bool Tape::live_not_foreign(const Tensor& t, const char* op) const {
  const std::uint64_t epoch = TensorAccess::tag(t).epoch;
  if (is_live(epoch)) return true;
  for (const Tape* tape = outer_; tape; tape = tape->outer_)
    if (tape->is_live(epoch))
      throw ForeignTape(
          fmt::format("{}: a tensor of shape {} was recorded by an outer tape; use its detach() here, or "
                      "compute under one tape",
                      op_label(op), to_string(t.shape())));
  if (thread_of(epoch) != thread_->number)
    throw ForeignTape(fmt::format(
        "{}: a tensor of shape {} was recorded by another thread's tape; pass its detach() across "
        "threads",
        op_label(op), to_string(t.shape())));
  return false;
}

void Tape::require_live(const Tensor& t, const char* op) const {
  if (!live_not_foreign(t, op))
    throw StaleTensor(
        fmt::format("{}: a tensor of shape {} was recorded by a tape that was reset, rewound or destroyed "
                    "since; compute it again, or use its detach() as a constant",
                    op_label(op), to_string(t.shape())));
}

void Tape::throw_mutated(const Node* node, const Tensor& input, const char* op) const {
  throw MutatedSaved(
      fmt::format("{}: a tensor of shape {} was changed since the tape {} it (version {} then, {} now); "
                  "change a copy(), change it after backward, or reset() the tape",
                  op_label(op), to_string(input.shape()), node->leaf ? "first read" : "recorded",
                  node->version, input.version()));
}

detail::Tag Tape::tag_of(Node* node) const noexcept {
  if (!node) return {};
  const auto after = std::ranges::upper_bound(segments_, node->index, {}, &Segment::count);
  return {std::prev(after)->epoch, node};
}

// ---- Pause ----

Pause::Pause(bool of_everything) noexcept : tape_(nullptr) {
  if (ThreadState* t = detail::current_thread;
      t && t->innermost && (of_everything || !t->innermost->records_everything())) {
    tape_ = t->innermost;
    ++tape_->paused_;
    t->active = nullptr;
  }
}

Pause::~Pause() {
  if (!tape_) return;
  --tape_->paused_;
  Tape::choose_active(*tape_->thread_);
}

}  // namespace tapegrad
