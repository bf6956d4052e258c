// What run.sh starts as ranks of MPI:
// exchange | average | trainers | synchronised | fail RANK | all-fail | differ | leave RANK | twice.
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/mpi/run_with_mpi.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

#include "communicator_support.h"
#include "trainer_support.h"

using namespace tapegrad;
using nn::Communicator;

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

/// Each rank has made its parameters in another order, and all take the same step.
void average_by_hand(Communicator& comm) {
  std::vector<Parameter> unused(static_cast<std::size_t>(comm.rank()), Parameter(Tensor::zeros({1})));
  Generator rng(1);
  nn::Affine net(3, 2, rng);
  optim::SGD sgd(net, 0.1);
  for (int step = 0; step < 3; ++step) {
    Tape tape;
    Gradients g = tape.backward(mean(square(net(Tensor::full({4, 3}, comm.rank() + 1.0)))));
    g = average(comm, net, g);
    sgd.step(g);
  }
  const std::vector<float> own = net.weight().data().to_vector<float>();
  std::vector<float> all(own.size() * static_cast<std::size_t>(comm.size()));
  comm.all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
  for (std::size_t i = 0; i < all.size(); ++i) require(all[i] == own[i % own.size()], "other weights");
}

/// Prints a digest of what is trained, which must not depend on the number of ranks.
void train(Communicator& comm) {
  nn::MultiLayerNet net =
      test::quarter_net(comm.is_root() ? 1 : 99, {.hidden = {16, 8}, .batch_norm = true, .dropout = 0.2});
  optim::Adam adam(net, 0.01);
  nn::Trainer trainer(net, adam, {.epochs = 2, .batch = 64, .clip_norm = 1, .data_parallel = {&comm}});
  trainer.fit(test::quarters(256), test::quarters(1500, 8));
  std::string digest;
  for (const auto& [name, t] : net.state())
    for (const double v : cast(t, f64).to_vector<double>()) digest += fmt::format("{:a},", v);
  for (const std::string& other : all_gather(comm, digest))
    require(other == digest, "ranks have other weights");
  if (comm.is_root())
    fmt::print("{:016x} {:a}\n", std::hash<std::string>()(digest),
               trainer.history().epochs.back().validation.loss);
}

/// With a synchronised layer ranks are trained as one on the whole batch.
void train_synchronised(Communicator& comm) {
  const auto trained = [&](Communicator* with) {
    Generator rng(1);
    nn::Sequential net{nn::Affine(2, 8, rng), nn::BatchNorm(8, {.communicator = with}), nn::Tanh(),
                       nn::Affine(8, 4, rng)};
    optim::SGD sgd(net, 0.1, {.momentum = 0.9});
    nn::Trainer trainer(net, sgd,
                        {.epochs = 2,
                         .batch = 31,
                         .data_parallel = {.communicator = with, .strict = false, .bucket_bytes = 1}});
    trainer.fit(test::quarters(100));
    return test::values_of(net);
  };
  const std::vector<double> on_ranks = trained(&comm), whole = trained(nullptr);
  for (std::size_t i = 0; i < whole.size(); ++i)
    require(std::abs(on_ranks[i] - whole[i]) < 1e-5, "other weights than of the whole batch");
}

int run(Communicator& comm, std::string_view what, int rank) {
  if (what == "exchange") {
    const std::string wrong = test::wrong_exchange(comm);
    require(wrong.empty(), wrong.c_str());
  } else if (what == "average") {
    average_by_hand(comm);
  } else if (what == "trainers") {
    train(comm);
  } else if (what == "synchronised") {
    train_synchronised(comm);
  } else if (what == "fail") {
    comm.barrier();
    require(comm.rank() != rank, "the disk is away");
    comm.barrier();
  } else if (what == "leave") {
    if (comm.rank() == rank) {
      fmt::print(stderr, "left\n");
      std::_Exit(3);
    }
    comm.barrier();
  } else if (what == "twice") {
    comm.barrier();
  } else if (what == "all-fail") {
    throw FileError("there is no 'data.csv'");
  } else if (what == "differ") {
    Generator rng(1);
    nn::Affine net(3, comm.rank() == 1 ? 5 : 4, rng);
    Tape tape;
    average(comm, net, tape.backward(sum(net(Tensor::ones({2, 3})))));
  } else {
    throw std::logic_error("see the first lines of the source");
  }
  if (comm.is_root()) fmt::print("{} holds on {} ranks\n", what, comm.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const int rank = argc > 2 ? std::atoi(argv[2]) : 0;
  const auto once = [&] {
    return nn::run_with_mpi([&](Communicator& comm) { return run(comm, what, rank); });
  };
  if (what != "twice") return once();
  once();
  try {
    once();
  } catch (const Error& e) {
    fmt::print("{}\n", e.what());
    return 0;
  }
  return 1;
}
