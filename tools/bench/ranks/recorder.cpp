#include "recorder.h"

#include <algorithm>

namespace tapegrad::bench {

void Recorder::begin(Operation operation, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  calls_.push_back({operation, static_cast<double>(bytes),
                    std::chrono::duration<double>(Clock::now() - start_).count(),
                    std::this_thread::get_id() == computes_});
}

std::vector<Collective> Recorder::take() {
  const std::lock_guard lock(mutex_);
  std::vector<Collective> all;
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const Call& call = calls_[i];
    Collective c{.bytes = call.bytes, .at = call.at, .blocks = call.blocks};
    switch (call.operation) {
      case Operation::all_reduce:
        c.kind = CollectiveKind::all_reduce;
        break;
      case Operation::broadcast:
        c.kind = CollectiveKind::broadcast;
        break;
      case Operation::all_gather:
        c.kind = CollectiveKind::gather;
        break;
      case Operation::exchange: {
        // Without its all_gather it has only half of the messages of an ordered sum, and is taken as a part of one.
        c.kind = CollectiveKind::ordered_sum;
        c.bytes *= size();
        const auto second = std::find_if(
            calls_.begin() + static_cast<std::ptrdiff_t>(i) + 1, calls_.end(), [&](const Call& other) {
              return other.operation == Operation::all_gather && other.blocks == call.blocks;
            });
        if (second != calls_.end() && second->bytes == call.bytes) calls_.erase(second);
        break;
      }
      case Operation::barrier:
        continue;
    }
    all.push_back(c);
  }
  calls_.clear();
  start_ = Clock::now();
  return all;
}

double bytes_sent(const std::vector<Collective>& collectives, int ranks) {
  double sum = 0;
  for (const Collective& c : collectives) sum += traffic_of(c.kind, c.bytes, ranks).bytes;
  return sum;
}

}  // namespace tapegrad::bench
