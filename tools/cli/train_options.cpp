#include "train_options.h"

#include <tapegrad/optim/rules.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "program.h"
#include "settings.h"

namespace tapegrad::cli {

const std::vector<std::string_view>& may_change() {
  static const std::vector<std::string_view> names{
      "--data",    "--csv",      "--test-csv",        "--epochs", "--iterations",
      "--lr",      "--schedule", "--warm-up",         "--clip",   "--patience",
      "--threads", "--report",   "--checkpoint-every"};
  return names;
}

/// A rate or a norm below it would be 0 in f32, and train nothing.
static constexpr double kLeast = 1e-30;

void TrainOptions::add_to(CLI::App& c) {
  data.add_to(c);
  CLI::Option* const table = c.get_option("--csv");
  c.add_flag(
       "--standardize{all}", standardize,
       "Scale the images to mean 0 and standard deviation 1 by those of the training images: of all pixels "
       "together, or with --standardize=pixels of each pixel by itself")
      ->check(CLI::IsMember({"all", "pixels"}))
      ->excludes(table);
  model.add_to(c);
  c.add_option("--optimizer", optimizer, "Update rule")
      ->check(CLI::IsMember(optim::optimizer_names()))
      ->capture_default_str();
  c.add_option("--lr", lr, "Learning rate")->check(at_least(kLeast))->capture_default_str();
  c.add_option(
       "--schedule", schedule,
       "Of the rate: constant, step[:LEFT], exponential[:LEFT], inverse[:LEFT], linear[:LEFT], cosine[:LEFT] "
       "or one-cycle; LEFT is the share of the rate that is left in the end, for step after a third")
      ->capture_default_str();
  c.add_option("--warm-up", warm_up, "Iterations in which the rate rises first")->check(whole(0));
  c.add_option("--plateau", plateau, "Reduce the rate to a tenth after so many epochs without a better one")
      ->check(whole(1));
  c.add_option("--weight-decay", model.weight_decay,
               "Of the weights; default 0, for adamw 0.01 of all parameters")
      ->check(at_least(0));
  c.add_option("--clip", clip, "Largest global norm of a gradient")->check(at_least(kLeast));
  c.add_option("--validation", validation,
               "Share of the training data held out, by which the best epoch is found");
  c.add_option("--patience", patience, "End after so many epochs without a better one")->check(whole(1));
  c.add_option("--batch", batch, "Items in a batch")->check(whole(1))->capture_default_str();
  CLI::Option* const of_epochs = c.add_option("--epochs", epochs, "Passes over the training data")
                                     ->check(whole(1))
                                     ->capture_default_str();
  c.add_option("--iterations", iterations, "Batches in all, in place of --epochs")
      ->check(whole(1))
      ->excludes(of_epochs);
  c.add_option("--seed", seed, "Of the initial weights, the order of the items, and what is held out")
      ->check(whole(0))
      ->capture_default_str();
  c.add_option("--threads", threads, "Threads that compute; the result does not depend on it")
      ->check(number_of_threads())
      ->capture_default_str();
  ranks.add_to(c);
  CLI::Option* const of_out =
      c.add_option("--out", out, "Folder for history.csv and parameters.safetensors; needed but for --resume")
          ->check(folder_to_write());
  c.add_flag("--force", force, "Replace what another run has left in that folder");
  c.add_option(
       "--report", report,
       "HTML page to write: curves, confusion matrix or predictions, precision and recall, misclassified "
       "images, weights, graph; - is the standard output, and what is said in training goes to the standard "
       "error")
      ->transform(file_to_write());
  c.add_option(
       "--checkpoint-every", checkpoint_every,
       "Save the whole training after so many iterations, and in the end, for --resume to go on from; the "
       "last 3 stay, in OUT/checkpoints")
      ->check(whole(1));
  c.add_option(
       std::string(kResume), resume,
       fmt::format("Folder of a run that was interrupted, or is to be longer: goes on from its newest "
                   "checkpoint with its settings, to the bit. Others may be given for {}. It writes in this "
                   "folder alone: a --report elsewhere is to be given again",
                   fmt::join(may_change(), ", ")))
      ->check(not_empty())
      ->excludes(of_out);
}

}  // namespace tapegrad::cli
