#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/result_hook.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/values.h>

#include <fmt/format.h>

namespace tapegrad::detail {

std::int64_t first_non_finite(const Tensor& t) noexcept {
  if (!is_floating(t.dtype())) return -1;
  return visit_floating(t.dtype(), [&]<class T>() -> std::int64_t {
    const T* x = TensorAccess::data_as<T>(t);
    constexpr std::int64_t kBlock = 256;  // a whole one is examined without a branch
    for (std::int64_t start = 0; start < t.size(); start += kBlock) {
      const std::int64_t end = std::min(start + kBlock, t.size());
      bool finite = true;
      for (std::int64_t i = start; i < end; ++i) finite &= std::abs(x[i]) <= std::numeric_limits<T>::max();
      if (finite) continue;
      for (std::int64_t i = start; i < end; ++i)
        if (!std::isfinite(x[i])) return i;
    }
    return -1;
  });
}

double value_at(const Tensor& t, std::int64_t flat) noexcept {
  return visit_floating(t.dtype(),
                        [&]<class T> { return static_cast<double>(TensorAccess::data_as<T>(t)[flat]); });
}

std::string index_text(std::int64_t flat, const Shape& shape) {
  std::array<std::int64_t, Shape::kMaxRank> index{};
  for (std::size_t i = shape.rank(); i-- > 0;) {
    index[i] = flat % shape[i];
    flat /= shape[i];
  }
  return fmt::format(
      "[{}]", fmt::join(index.begin(), index.begin() + static_cast<std::ptrdiff_t>(shape.rank()), ", "));
}

/// Shields the thread's tape from what an operation runs: under Pause, so that it may open a tape of
/// its own, and with the nodes held fast that the caller has resolved.
class RecordingGuard {
 public:
  explicit RecordingGuard(Tape* tape) : tape_(tape), busy_(tape && std::exchange(tape->busy_, true)) {}
  ~RecordingGuard() {
    if (tape_) tape_->busy_ = busy_;
  }
  RecordingGuard(const RecordingGuard&) = delete;
  RecordingGuard& operator=(const RecordingGuard&) = delete;

 private:
  const OperationPause pause_;
  Tape* tape_;
  bool busy_;
};

namespace {

constexpr std::size_t kInline = 4;  // operations of more inputs take their lists from the pool

void check_result(const OpTable& op, const Tensor& out, const Tensor* const* inputs, std::size_t count) {
  const std::int64_t at = first_non_finite(out);
  if (at < 0) return;
  std::string shapes;
  for (std::size_t i = 0; i < count; ++i) {
    if (!inputs[i]->defined()) continue;
    const std::int64_t bad = first_non_finite(*inputs[i]);
    shapes += fmt::format(
        "{}{}{}", shapes.empty() ? "" : ", ", to_string(inputs[i]->shape()),
        bad < 0 ? "" : fmt::format(" (itself not finite at {})", index_text(bad, inputs[i]->shape())));
  }
  throw NonFinite(fmt::format("{}: forward produced {} at {} of its result {} from inputs {}",
                              op_label(op.name), value_at(out, at), index_text(at, out.shape()),
                              to_string(out.shape()), shapes));
}

/// On plain values, and without the tape: of an operation that may apply others, and of any one where a tape records
/// everything, which would take what it reads for the user's.
Tensor forward_shielded(const OpTable& op, const void* attributes, const Tensor* const* inputs,
                        std::size_t count, Tape* tape, Tensor* residuals) {
  const bool tagged =
      std::any_of(inputs, inputs + count, [](const Tensor* t) { return TensorAccess::tag(*t).epoch != 0; });
  if (!tape && !tagged) return op.forward(attributes, inputs, count, residuals);
  const RecordingGuard guard(tape);
  std::array<Tensor, kInline> plain;
  std::array<const Tensor*, kInline> handles;
  std::vector<Tensor, PoolAllocator<Tensor>> many_plain;
  std::vector<const Tensor*, PoolAllocator<const Tensor*>> many_handles;
  Tensor* t = plain.data();
  const Tensor** h = handles.data();
  if (count > kInline) {
    many_plain.resize(count);
    many_handles.resize(count);
    t = many_plain.data();
    h = many_handles.data();
  }
  for (std::size_t i = 0; i < count; ++i) {
    t[i] = inputs[i]->detach();
    h[i] = &t[i];
  }
  return op.forward(attributes, h, count, residuals);
}

/// What an operation met while it computed, with its name and the shapes of its inputs.
template <class E>
[[noreturn]] void throw_of(const OpTable& op, const Tensor* const* inputs, std::size_t count,
                           const char* what) {
  constexpr std::size_t kShown = 4;
  std::string shapes;
  for (std::size_t i = 0; i < std::min(count, kShown); ++i)
    shapes +=
        fmt::format("{}{}", i ? ", " : "", inputs[i]->defined() ? to_string(inputs[i]->shape()) : "none");
  throw E(fmt::format("{} of {}{}: {}", op_label(op.name), shapes, count > kShown ? ", ..." : "", what));
}

inline Tensor run_forward(const OpTable& op, const void* attributes, const Tensor* const* inputs,
                          std::size_t count, Tape* tape, bool shielded, Tensor* residuals) {
  try {
    return shielded ? forward_shielded(op, attributes, inputs, count, tape, residuals)
                    : op.forward(attributes, inputs, count, residuals);
  } catch (const OutOfMemory& e) {
    throw_of<OutOfMemory>(op, inputs, count, e.what());
  } catch (const ImpossibleShape& e) {
    throw_of<ShapeError>(op, inputs, count, e.what());
  } catch (const std::bad_alloc&) {  // of a container that the operation works with
    throw_of<OutOfMemory>(op, inputs, count, "there is not enough memory");
  }
}

[[noreturn, gnu::cold, gnu::noinline]] void throw_undefined_input(const OpTable& op, std::size_t i) {
  throw_undefined_tensor(op_label(op.name), fmt::format("input {}", i));
}
[[noreturn, gnu::cold, gnu::noinline]] void throw_undefined_result(const OpTable& op) {
  throw Error(fmt::format("{}: its value is an undefined tensor", op_label(op.name)));
}

/// What is computed from values without a history is no more differentiable than those, unless it is constant between
/// its steps, as a sign; of values of several tapes, one of the active tape counts, or else the newest. What another
/// thread's tape has recorded loses its history here.
inline Tag tag_of_constant(const Tape* tape, const OpTable& op, const Tensor* const* inputs,
                           std::size_t count) noexcept {
  std::uint64_t epoch = 0;
  const Tape* const innermost = tape || !current_thread ? nullptr : current_thread->innermost;
  if (op.max_order > 0)
    for (std::size_t i = 0; i < count; ++i) {
      const Tag& tag = TensorAccess::tag(*inputs[i]);
      const bool foreign = !tape && tag.epoch && !(innermost && innermost->is_live_here(tag.epoch));
      const std::uint64_t lost = foreign ? tag.epoch : tag.lost_epoch();
      if (!lost || (epoch && tape && tape->is_live(epoch))) continue;
      epoch = tape && tape->is_live(lost) ? lost : std::max(epoch, lost);
    }
  return Tag::without_history(epoch);
}

/// An input without elements must be one that the op declares optional.
inline void require_defined(const OpTable& op, const Tensor& input, std::size_t i) {
  if (!input.defined() && (i >= 8 || !(op.optional_inputs >> i & 1u))) [[unlikely]]
    throw_undefined_input(op, i);
}

/// Fills in the node of each input, null for constants and absent ones; true where there is a node.
inline bool resolve_inputs(Tape& tape, const OpTable& op, const Tensor* const* inputs, std::size_t count,
                           Node** nodes) {
  bool tracked = false;
  for (std::size_t i = 0; i < count; ++i) {
    require_defined(op, *inputs[i], i);
    nodes[i] = tape.resolve(*inputs[i], op.name);
    tracked |= nodes[i] != nullptr;
  }
  return tracked;
}

/// The same for a tape that records everything: constants become leaves.
[[gnu::noinline]] bool resolve_everything(Tape& tape, const OpTable& op, const Tensor* const* inputs,
                                          std::size_t count, Node** nodes) {
  bool recorded = resolve_inputs(tape, op, inputs, count, nodes);
  for (std::size_t i = 0; i < count; ++i)
    if (!nodes[i] && inputs[i]->defined()) {
      nodes[i] = tape.add_constant(*inputs[i]);
      recorded = true;
    }
  return recorded;
}

/// How a call treats residuals: the op has none; they are made where they are recorded; the caller reads them.
enum class ResidualUse : std::uint8_t { none, recorded, read };

/// `nodes` has place for the node of each input, `residuals` for those of an op that has any. A template, since most
/// ops have none and should not pay for them.
template <ResidualUse kUse>
[[gnu::always_inline]] inline Tensor apply_with(const OpTable& op, const void* attributes,
                                                const Tensor* const* inputs, std::size_t count, Node** nodes,
                                                Tensor* residuals) {
  const ThreadState* thread = current_thread;
  Tape* const tape = thread ? thread->active : nullptr;
  const bool everything = tape && tape->records_everything();
  bool recorded = false;
  if (everything) [[unlikely]]
    recorded = resolve_everything(*tape, op, inputs, count, nodes);
  else if (tape && op.max_order > 0)
    recorded = resolve_inputs(*tape, op, inputs, count, nodes);
  else
    for (std::size_t i = 0; i < count; ++i) require_defined(op, *inputs[i], i);
  Tensor* produced = nullptr;
  if constexpr (kUse != ResidualUse::none)
    if (recorded || kUse == ResidualUse::read) produced = residuals;
  Tensor out = run_forward(op, attributes, inputs, count, tape, op.composed || everything, produced);
  if (!out.defined()) [[unlikely]]
    throw_undefined_result(op);
  if (tape && tape->checks_finite()) [[unlikely]]
    check_result(op, out, inputs, count);
  if (recorded && (is_floating(out.dtype()) || everything))
    tape->record(out, op, attributes, inputs, nodes, count, kUse == ResidualUse::none ? nullptr : residuals);
  else
    TensorAccess::set_tag(out, tag_of_constant(tape, op, inputs, count));
  if (thread && thread->result_hook && tape && tape->records_rule()) [[unlikely]]
    thread->result_hook->replace(op, {inputs, count}, out);
  return out;
}

template <ResidualUse kUse>
[[gnu::noinline]] Tensor apply_many(const OpTable& op, const void* attributes, const Tensor* const* inputs,
                                    std::size_t count, Tensor* residuals) {
  std::vector<Node*, PoolAllocator<Node*>> nodes(count);
  return apply_with<kUse>(op, attributes, inputs, count, nodes.data(), residuals);
}

template <ResidualUse kUse>
Tensor apply_any_count(const OpTable& op, const void* attributes, const Tensor* const* inputs,
                       std::size_t count, Tensor* residuals) {
  if (count > kInline) [[unlikely]]
    return apply_many<kUse>(op, attributes, inputs, count, residuals);
  Node* nodes[kInline];
  return apply_with<kUse>(op, attributes, inputs, count, nodes, residuals);
}

// Apart, since the place of residuals takes time to set up.
__attribute__((noinline)) Tensor apply_with_residuals(const OpTable& op, const void* attributes,
                                                      const Tensor* const* inputs, std::size_t count) {
  std::array<Tensor, kMaxResiduals> residuals;
  return apply_any_count<ResidualUse::recorded>(op, attributes, inputs, count, residuals.data());
}

}  // namespace

Tensor apply(const OpTable& op, const void* attributes, const Tensor* const* inputs, std::size_t count) {
  if (op.residuals) [[unlikely]]
    return apply_with_residuals(op, attributes, inputs, count);
  return apply_any_count<ResidualUse::none>(op, attributes, inputs, count, nullptr);
}

Tensor apply(const OpTable& op, const void* attributes, const Tensor* const* inputs, std::size_t count,
             Tensor* residuals) {
  return apply_any_count<ResidualUse::read>(op, attributes, inputs, count, residuals);
}

}  // namespace tapegrad::detail
