#include "exchange_table.h"

#include <chrono>
#include <cmath>
#include <functional>
#include <utility>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/nn/distributed/ordered_sum.h>

#include "../median.h"
#include "agree.h"

namespace tapegrad::bench {

namespace {

constexpr int kRunsOfEach = 5;
constexpr std::int64_t kMostCalls = 20000;

double seconds_of(const std::function<void()>& call, std::int64_t calls) {
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < calls; ++i) call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
         static_cast<double>(calls);
}

/// A collective with what it needs.
struct Candidate {
  CollectiveKind kind;
  std::function<void()> call;
  std::int64_t calls = 1;
  std::vector<double> runs{};
};

}  // namespace

std::vector<CollectiveTime> measure_exchange(nn::Communicator& communicator, std::int64_t most,
                                             double seconds) {
  const int ranks = communicator.size();
  std::vector<CollectiveTime> times;
  for (std::int64_t floats = 1; floats <= most; floats *= 4) {
    std::vector<float> values(static_cast<std::size_t>(floats));
    // The row is filled up, as a bucket is.
    const std::int64_t length = (floats + ranks - 1) / ranks * ranks;
    const nn::Bucket bucket{.dtype = f32, .length = length};
    nn::OrderedSum sum(communicator, ranks);
    Tensor row = bucket.new_row();
    const std::vector<std::uint8_t> is_there(static_cast<std::size_t>(ranks), 1);
    std::vector<Candidate> candidates{
        {CollectiveKind::all_reduce, [&] { communicator.all_reduce(std::span(values)); }},
        {CollectiveKind::ordered_sum, [&] {
           nn::OrderedSum::Terms terms;
           terms.push({.first = communicator.rank()}, std::move(row));
           row = sum.sum(bucket, terms, is_there);
         }}};
    for (Candidate& c : candidates) {
      seconds_of(c.call, 2);
      communicator.barrier();
      const double once = seconds_of(c.call, 3);
      const double calls = std::ceil(seconds / once);
      c.calls =
          of_root(communicator, std::clamp<std::int64_t>(static_cast<std::int64_t>(calls), 1, kMostCalls));
    }
    for (int run = 0; run < kRunsOfEach; ++run)
      for (Candidate& c : candidates) {
        communicator.barrier();
        c.runs.push_back(seconds_of(c.call, c.calls));
      }
    for (const Candidate& c : candidates)
      times.push_back({c.kind, static_cast<double>(floats) * sizeof(float), ranks, median_of(c.runs)});
  }
  return times;
}

}  // namespace tapegrad::bench
