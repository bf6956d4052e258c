// Trains a task of the benchmark on ranks of MPI, for traffic.sh, and prints two numbers of bytes that a rank sends in
// a step: the fewest there can be for the gradient, along a ring, and those by the benchmark's cost model.
// usage: mpirun -n RANKS distributed_traffic TASK MICRO_BATCHES|fast BUCKET_BYTES UPDATES
#include <cstdint>
#include <cstdlib>
#include <string>

#include <tapegrad/nn/distributed/mpi/run_with_mpi.h>

#include <fmt/format.h>

#include "bench/ranks/recorder.h"
#include "bench/ranks/training.h"

using namespace tapegrad;

int main(int argc, char** argv) {
  if (argc != 5) return EXIT_FAILURE;
  const std::string task = argv[1], summing = argv[2];
  const std::int64_t bucket_bytes = std::atoll(argv[3]), updates = std::atoll(argv[4]);
  return nn::run_with_mpi([&](nn::Communicator& comm) {
    bench::Training training(task);
    bench::Recorder recorder(comm);
    nn::DataParallel ranks{
        .communicator = &recorder, .strict = summing != "fast", .bucket_bytes = bucket_bytes};
    if (ranks.strict) ranks.micro_batches = std::atoll(summing.c_str());
    const auto last = training.run(ranks, updates, &recorder).back();
    const double gradient = static_cast<double>(training.parameters()) * sizeof(float);
    if (comm.is_root())
      fmt::print("{} {}\n", 2.0 * (comm.size() - 1) / comm.size() * gradient,
                 bench::bytes_sent(last.collectives, comm.size()));
    return 0;
  });
}
