#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "models.h"
#include "rank_options.h"
#include "train_data.h"

namespace tapegrad::cli {

/// What the options of `tapegrad train` say.
struct TrainOptions {
  DataOptions data;
  ModelOptions model;
  std::string optimizer = "sgd";
  double lr = 0.1;
  std::int64_t batch = 100;
  std::int64_t epochs = 17;
  std::int64_t iterations = 0;  ///< 0: as many as the epochs hold
  std::string schedule = "constant";
  std::int64_t warm_up = 0;
  std::int64_t plateau = 0;
  double clip = 0;
  double validation = 0;
  std::int64_t patience = 0;
  std::uint64_t seed = 0;
  int threads = 1;
  std::string standardize;  ///< empty: not
  RankOptions ranks;
  std::string out;
  bool force = false;  ///< what another run has left in `out` is replaced
  std::string report;
  std::int64_t checkpoint_every = 0;  ///< 0: none are saved
  std::string resume;                 ///< the folder of the run that is gone on with; empty: a new one

  void add_to(CLI::App& command);
};

/// The options that a run that goes on may have otherwise.
const std::vector<std::string_view>& may_change();

}  // namespace tapegrad::cli
