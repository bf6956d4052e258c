#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

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
  static Trained all;
  return all;
}

}  // namespace

bool has_finite_parameters(const ModuleBase& net) {
  return std::ranges::all_of(net.parameters(), [](const auto& named) {
    return tapegrad::detail::first_non_finite(named.second.data()) < 0;
  });
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
