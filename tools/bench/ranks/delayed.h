#pragma once

#include <chrono>
#include <thread>

#include "forwarding.h"

namespace tapegrad::bench {

/// Ranks that are far from each other: each operation begins a while later, in which the processor is free.
class Delayed final : public Forwarding {
 public:
  Delayed(nn::Communicator& to, std::chrono::duration<double> delay) : Forwarding(to), delay_(delay) {}

 private:
  void begin(Operation, std::size_t) override { std::this_thread::sleep_for(delay_); }

  std::chrono::duration<double> delay_;
};

}  // namespace tapegrad::bench
