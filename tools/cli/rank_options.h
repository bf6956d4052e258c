#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tapegrad/nn/distributed/communicator.h>
#include <tapegrad/nn/distributed/data_parallel.h>
#include <tapegrad/nn/module.h>

#include <CLI/CLI.hpp>

namespace tapegrad::cli {

/// How a training is shared among ranks: what --distributed, --micro-batches and --sync-batch-norm say.
struct RankOptions {
  std::string distributed{};  ///< "strict" or "fast"; empty: there are no ranks
  std::optional<std::int64_t> micro_batches{};
  bool sync_batch_norm = false;

  void add_to(CLI::App& command);
  bool any() const noexcept { return !distributed.empty(); }
  /// For the trainer of a network, whose batch norm is synchronised where that is asked for. Throws ArgumentError where
  /// it has none then, where ranks are strict, and where these are not and micro-batches are given.
  nn::DataParallel apply(nn::Communicator& ranks, nn::ModuleBase& net) const;
  /// As in "8 micro-batches" and "fast, batch norm over all ranks".
  std::string describe() const;
};

}  // namespace tapegrad::cli
