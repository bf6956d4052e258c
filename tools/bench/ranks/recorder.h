#pragma once

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "cost_model.h"
#include "forwarding.h"

namespace tapegrad::bench {

/// Writes down which collectives a step calls, and when. An operation that is called by the thread which has made the
/// recorder is one that the computation waits for.
class Recorder final : public Forwarding {
 public:
  explicit Recorder(nn::Communicator& to) : Forwarding(to) {}

  /// What there was since the last call, in its order, with times since then; then starts over. An exchange and the
  /// all_gather of shares as long behind it, which the same thread has called, are one ordered sum.
  std::vector<Collective> take();

 private:
  using Clock = std::chrono::steady_clock;
  struct Call {
    Operation operation;
    double bytes;
    double at;
    bool blocks;
  };
  void begin(Operation operation, std::size_t bytes) override;

  std::thread::id computes_ = std::this_thread::get_id();
  std::mutex mutex_;
  Clock::time_point start_ = Clock::now();
  std::vector<Call> calls_;
};

/// Bytes that leave a rank in these collectives, for what the library itself cuts into messages; of MPI's own
/// collectives, by the algorithms of traffic_of.
double bytes_sent(const std::vector<Collective>& collectives, int ranks);

}  // namespace tapegrad::bench
