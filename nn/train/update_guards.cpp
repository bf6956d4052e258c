#include <map>
#include <mutex>
#include <string>
#include <thread>

#include <tapegrad/graph/at_fork.h>
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
  return all;
}
std::mutex& mutex_of_trained() noexcept { return trained().mutex; }
/// A child of fork has no other thread that could train.
void keep_those_of_this_thread() noexcept {
  std::erase_if(trained().by, [](const auto& entry) { return entry.second != std::this_thread::get_id(); });
}

}  // namespace

std::string broken_parameter(const ModuleBase& net) {
  for (const auto& [name, parameter] : net.parameters())
    if (!parameter.frozen() && tapegrad::detail::first_non_finite(parameter.data()) >= 0) return name;
  return "";
}

TrainedByThisThread::TrainedByThisThread(const ModuleBase& net) : net_(&net) {
  tapegrad::detail::unlock_in_children<&mutex_of_trained, &keep_those_of_this_thread>();
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
