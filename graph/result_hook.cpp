#include <utility>

#include <tapegrad/graph/result_hook.h>

namespace tapegrad::detail {

namespace {
thread_local ResultHook* current = nullptr;
}  // namespace

ResultHook::ResultHook() : before_(std::exchange(current, this)) {}
ResultHook::~ResultHook() { current = before_; }

void ResultHook::replace(const OpTable& op, std::span<const Tensor* const> inputs, Tensor& out) {
  ResultHook* const hook = current;
  if (!hook || hook->busy_) return;
  struct Busy {
    bool& flag;
    ~Busy() { flag = false; }
  };
  hook->busy_ = true;
  const Busy busy{hook->busy_};
  if (Tensor other = hook->run(op, inputs, out); other.defined()) out = std::move(other);
}

}  // namespace tapegrad::detail
