// Not part of the library's interface: what a trainer undoes, and says, of an update that is not finished.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tapegrad/graph/values.h>
#include <tapegrad/nn/data/batch.h>
#include <tapegrad/nn/forward_state.h>
#include <tapegrad/nn/module.h>

#include <fmt/format.h>

namespace tapegrad::nn {

/// "; 'x' of the batch has nan at [3, 0]: look at the data": where the data are at fault, or what the training began
/// with, no other rate will help.
inline std::string culprit_in(const Batch& batch, std::int64_t updates) {
  std::string text;
  batching::for_each(batch, [&](std::string_view name, const Tensor& t) {
    const std::int64_t at = tapegrad::detail::first_non_finite(t);
    if (at >= 0 && text.empty())
      text = fmt::format("; '{}' of the batch has {} at {}: look at the data", name,
                         tapegrad::detail::value_at(t, at), tapegrad::detail::index_text(at, t.shape()));
  });
  if (!text.empty()) return text;
  return updates > 0
             ? "; a lower rate, or clipped gradients, may help"
             : "; no update has been made: look at the initial weights, and at how large the data are";
}

/// The name of a parameter that training has left with elements that are not finite; "" where there is none. Those that
/// are frozen are not its doing.
std::string broken_parameter(const ModuleBase& net);

/// Undoes what a forward pass has changed in a network, unless commit() is called.
class Rollback {
 public:
  explicit Rollback(ModuleBase& net) : before_(net) {}
  ~Rollback() {
    if (!committed_) before_.restore();
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  void commit() noexcept { committed_ = true; }

 private:
  ForwardState before_;
  bool committed_ = false;
};

/// Says while it lives that something is at work: an update, or a call of fit.
class AtWork {
 public:
  explicit AtWork(bool& flag) : flag_(flag) { flag_ = true; }
  ~AtWork() { end(); }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
  void end() noexcept { flag_ = false; }

 private:
  bool& flag_;
};

/// Throws ArgumentError where another thread trains the network: rank threads that share one, for example.
class TrainedByThisThread {
 public:
  explicit TrainedByThisThread(const ModuleBase& net);
  ~TrainedByThisThread();
  TrainedByThisThread(const TrainedByThisThread&) = delete;
  TrainedByThisThread& operator=(const TrainedByThisThread&) = delete;

 private:
  const ModuleBase* net_;
  bool is_first_;  ///< of this thread: a callback may train it as well
};

}  // namespace tapegrad::nn
