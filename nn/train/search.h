#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>

/// A search for hyper-parameters: trials with settings drawn at random, ranked by what they reach. Bergstra,
/// Bengio: Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
namespace tapegrad::nn {

/// Where a hyper-parameter is looked for. Its sampling is uniform in the logarithm, so that each power of ten
/// gets as many trials, or in the value itself.
struct Range {
  std::string name;         ///< of the hyper-parameter
  double lo = 0;            ///< the least value
  double hi = 0;            ///< the largest value
  bool logarithmic = true;  ///< each power of ten gets as many trials
};

/// What a trial came to, the higher the better; NaN ranks last.
struct TrialResult {
  /// A score, and what was reached on the way.
  TrialResult(double reached, std::vector<double> progress = {})
      : score(reached), curve(std::move(progress)) {}
  double score;               ///< the higher the better
  std::vector<double> curve;  ///< how it got there, for one the validation accuracy of each epoch
};

/// One setting of the hyper-parameters, and what it came to.
struct TAPEGRAD_API Trial {
  std::int64_t number = 0;  ///< from 0
  std::uint64_t seed = 0;   ///< of its own, for the weights and the order of the items
  std::vector<std::pair<std::string, double>> values{};  ///< in the order of the ranges
  TrialResult result = 0;                                ///< when it has ended

  /// The value of a hyper-parameter. Throws ArgumentError where there is none of this name.
  double operator[](std::string_view name) const;
};

/// How a search goes about it.
struct SearchOptions {
  std::int64_t trials = 20;  ///< how many settings are tried
  int threads = 1;           ///< how many trials run at a time
  std::uint64_t seed = 0;    ///< of what is drawn
  /// Called as trials end, one call at a time, from any of the threads.
  Callback<void(const Trial&)> on_trial{};
};

/// Runs trials and returns them ranked, the best first; of equal scores the earlier trial.
///
///     const auto ranked = nn::random_search(
///         {{"lr", 1e-6, 1e-2}, {"weight_decay", 1e-8, 1e-4}},
///         [&](const nn::Trial& trial) -> nn::TrialResult {
///           Generator rng(trial.seed);
///           nn::MultiLayerNet net(784, 10, rng, {.hidden = {100}, .weight_decay = trial["weight_decay"]});
///           optim::SGD sgd(net, trial["lr"]);
///           nn::Trainer trainer(net, sgd, {.epochs = 20});
///           return trainer.fit(split.training, split.validation).epochs.back().validation.metric;
///         },
///         {.trials = 100, .threads = 2});
///
/// `run` is called by several threads at once and makes all that it changes itself: network, optimizer, tape.
/// What it only reads, such as data sets, may be shared. What is drawn for a trial depends on the seed and
/// the trial's number alone, so that the result is the same, to the bit, for any number of threads.
///
/// A trial whose training diverges (Diverged is thrown) scores NaN: it is ranked last, as all that score NaN.
/// Throws ArgumentError for no ranges or trials, an empty or repeated name, and a range that is not finite,
/// empty, or has logarithms of what is not positive. Where trials throw, the others at work are finished, no
/// more are begun, and the exception of the earliest is thrown.
TAPEGRAD_API std::vector<Trial> random_search(const std::vector<Range>& ranges,
                                              const Callback<TrialResult(const Trial&)>& run,
                                              const SearchOptions& options = {});

}  // namespace tapegrad::nn
