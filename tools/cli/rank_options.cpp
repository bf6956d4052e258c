#include "rank_options.h"

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/batch_norm.h>

#include <fmt/format.h>

#include "program.h"

namespace tapegrad::cli {

void RankOptions::add_to(CLI::App& command) {
  CLI::Option* const ranks =
      command
          .add_flag(
              "--distributed{strict}", distributed,
              "Train on the ranks that mpirun starts, as in mpirun -n 4 tapegrad train --distributed ...: each has "
              "--threads of its own. Weights do not depend on the number of ranks, or with --distributed=fast "
              "sums are taken as MPI does")
          ->check(CLI::IsMember({"strict", "fast"}));
  command
      .add_option(
          "--micro-batches", micro_batches,
          fmt::format("Parts of a batch that ranks share, unless fast; at least as many as ranks; default {}",
                      nn::DataParallel{}.micro_batches))
      ->check(whole(1))
      ->needs(ranks);
  command
      .add_flag(
          "--sync-batch-norm", sync_batch_norm,
          "Take the mean and variance of batch norm over all ranks, of the whole batch and not of their parts; "
          "with --distributed=fast")
      ->needs(ranks);
}

nn::DataParallel RankOptions::apply(nn::Communicator& ranks, nn::ModuleBase& net) const {
  const bool strict = distributed != "fast";
  if (!strict && micro_batches)
    throw ArgumentError("--micro-batches: with --distributed=fast there is one for each rank");
  if (sync_batch_norm) {
    if (strict)
      throw ArgumentError(
          "--sync-batch-norm: weights depend on the number of ranks then, by rounding, which --distributed promises "
          "against; give --distributed=fast");
    if (nn::synchronise_batch_norm(net, &ranks) == 0)
      throw ArgumentError(
          "--sync-batch-norm: the network has no batch norm; --batch-norm, or batch-norm in --layers, adds it");
  }
  nn::DataParallel result{.communicator = &ranks, .strict = strict};
  if (micro_batches) result.micro_batches = *micro_batches;
  return result;
}

std::string RankOptions::describe() const {
  if (distributed != "fast")
    return fmt::format("{} micro-batches", micro_batches.value_or(nn::DataParallel{}.micro_batches));
  return sync_batch_norm ? "fast, batch norm over all ranks" : "fast";
}

}  // namespace tapegrad::cli
