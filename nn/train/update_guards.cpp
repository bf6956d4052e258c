#include <map>
#include <mutex>
#include <string>
#include <thread>

#include <pthread.h>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/train/update_guards.h>

namespace tapegrad::nn {

namespace {

/// The networks that are trained, and by whom.
struct Trained {
  std::mutex mutex{};
  std::map<const ModuleBase*, std::thread::id> by{};
};

Trained& trained() {
  static Trained& all = *new Trained;
  // A child of fork gets it unlocked, whatever the parent's other threads were doing.
  [[maybe_unused]] static const int at_fork =
      pthread_atfork([] { all.mutex.lock(); }, [] { all.mutex.unlock(); }, [] { all.mutex.unlock(); });
  return all;
}

}  // namespace

std::string broken_parameter(const ModuleBase& net) {
  for (const auto& [name, parameter] : net.parameters())
    if (!parameter.frozen() && tapegrad::detail::first_non_finite(parameter.data()) >= 0) return name;
  return "";
}

TrainedByThisThread::TrainedByThisThread(const ModuleBase& net) : net_(&net) {
  const std::lock_guard lock(trained().mutex);
  const auto [place, is_first] = trained().by.try_emplace(net_, std::this_thread::get_id());
  is_first_ = is_first;
  if (place->second != std::this_thread::get_id())
    throw ArgumentError(
        "trainer: another thread trains this network; each thread, as each rank of run_on_threads, needs one of its "
        "own");
}

TrainedByThisThread::~TrainedByThisThread() {
  if (!is_first_) return;
  const std::lock_guard lock(trained().mutex);
  trained().by.erase(net_);
}

}  // namespace tapegrad::nn
