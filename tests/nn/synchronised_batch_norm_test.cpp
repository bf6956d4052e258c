// Sums over ranks that are differentiated, and BatchNorm by the statistics of all ranks: they are those of the whole
// batch on one rank.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/distributed/all_reduce_op.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "support.h"
#include "trainer_support.h"

namespace synchronised_batch_norm_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Communicator;

// Boost's assertions are for one thread: what ranks find wrong they throw.
void require_close(const Tensor& a, const Tensor& b, double tolerance, const std::string& what) {
  if (a.shape() != b.shape()) throw std::logic_error(what + ": another shape");
  if (a.size() == 0) return;
  const double distance = max(abs(cast(a, f64) - cast(b, f64))).item();
  if (!(distance <= tolerance)) throw std::logic_error(what + ": off by " + std::to_string(distance));
}

/// Unequal shares of 13 items: of 3 ranks 2, 4 and 7 of them; where `some_have_none`, rank 0 has no items.
std::int64_t begin_of(int rank, int ranks, bool some_have_none = false) {
  if (some_have_none) return rank <= 1 ? 0 : 13 * (rank - 1) / (ranks - 1);
  return 13 * rank * (rank + 1) / (ranks * (ranks + 1));
}

/// What is computed of a batch: by the layer y, the loss sum(y^2 w / 2 + sin(y)), its gradients, and those of the
/// product of the gradients and some constants, which are second derivatives.
struct Computed {
  Tensor y, dx, dgamma, dbeta, second_x, second_gamma, mean, variance;
};

Computed compute(const Tensor& all_x, std::int64_t from, std::int64_t to, Communicator* communicator) {
  Generator rng(3);
  const std::int64_t channels = all_x.dim(1);
  nn::BatchNorm layer(channels, {.momentum = 0.7, .dtype = f64, .communicator = communicator});
  layer.gamma() = Parameter(randn({channels}, rng, f64));
  layer.beta() = Parameter(randn({channels}, rng, f64));
  const Tensor w = slice(randn(all_x.shape(), rng, f64), 0, from, to);
  const Tensor v = slice(randn(all_x.shape(), rng, f64), 0, from, to);
  const Tensor u = randn({channels}, rng, f64);
  Computed c;
  Tape tape;
  const Tensor x = tape.watch(slice(all_x, 0, from, to).copy());
  const Tensor gamma = layer.gamma().value();
  const Tensor y = layer(x);
  const Tensor loss = sum(square(y) * w / 2 + sin(y));
  const std::vector<Tensor> leaves{x, layer.gamma().value(), layer.beta().value()};
  const std::vector<Tensor> first = tape.grad(loss, leaves, {.record = Record::yes});
  const std::vector<Tensor> second = tape.grad(sum(first[0] * v) + sum(first[1] * u), {x, gamma});
  return {y.detach(),         first[0].detach(),  first[1].detach(),    first[2].detach(),
          second[0].detach(), second[1].detach(), layer.running_mean(), layer.running_var()};
}

void require_whole_batch(const Tensor& x, int ranks, bool some_have_none, double tolerance) {
  const Computed whole = compute(x, 0, x.dim(0), nullptr);
  nn::run_on_threads(ranks, [&](Communicator& comm) {
    const std::int64_t from = begin_of(comm.rank(), ranks, some_have_none);
    const std::int64_t to = begin_of(comm.rank() + 1, ranks, some_have_none);
    const Computed part = compute(x, from, to, &comm);
    const auto share = [&](const Tensor& t) { return slice(t, 0, from, to); };
    require_close(part.y, share(whole.y), tolerance, "y");
    require_close(part.dx, share(whole.dx), tolerance, "the gradient of x");
    require_close(part.second_x, share(whole.second_x), tolerance, "the second derivative of x");
    // Of a parameter each rank has its part.
    require_close(all_reduce(part.dgamma, comm), whole.dgamma, tolerance, "the gradient of gamma");
    require_close(all_reduce(part.dbeta, comm), whole.dbeta, tolerance, "the gradient of beta");
    require_close(all_reduce(part.second_gamma, comm), whole.second_gamma, tolerance,
                  "the second derivative of gamma");
    require_close(part.mean, whole.mean, tolerance, "the running mean");
    require_close(part.variance, whole.variance, tolerance, "the running variance");
  });
}

/// A network with a synchronised layer, or with a plain one.
nn::Sequential net_of(Communicator* communicator) {
  Generator rng(1);
  return nn::Sequential{nn::Affine(2, 8, rng),
                        nn::named("norm", nn::BatchNorm(8, {.communicator = communicator})), nn::Tanh(),
                        nn::Affine(8, 4, rng)};
}

/// What a trainer with a synchronised layer on so many ranks throws.
std::string refusal(int ranks, const nn::TrainerOptions& given, std::int64_t items = 64) {
  std::string message;
  try {
    nn::run_on_threads(ranks, [&](Communicator& comm) {
      nn::Sequential net = net_of(&comm);
      optim::SGD sgd(net, 0.1);
      nn::TrainerOptions options = given;
      options.data_parallel.communicator = &comm;
      nn::Trainer trainer(net, sgd, options);
      trainer.fit(quarters(items));
    });
  } catch (const ArgumentError& e) {
    message = e.what();
  }
  return message;
}

BOOST_AUTO_TEST_SUITE(synchronised_batch_norm)

BOOST_AUTO_TEST_CASE(the_checker_finds_the_sum_right) {
  gradcheck::Catalog catalog;
  catalog.add_ops(TypeList<op::AllReduce>{});
  const gradcheck::Subject s = gradcheck::check_op(catalog.ops()[0], {.order = 3});
  BOOST_TEST(!s.samples.empty());
  for (const auto& sample : s.samples) BOOST_TEST(sample.report.ok(), sample.report.text());
}

BOOST_AUTO_TEST_CASE(a_sum_over_ranks_and_its_derivatives_of_three_orders) {
  // On rank r x = r + 1, and L = the sum over ranks of (r + 1) s^3, for s the sum of all x.
  for (const Dtype dtype : {f32, f64})
    nn::run_on_threads(3, [&](Communicator& comm) {
      Tape tape;
      const Tensor x = tape.watch(Tensor::full({2}, comm.rank() + 1, dtype));
      const Tensor s = all_reduce(x, comm);
      require_close(s, Tensor::full({2}, 6, f64), 0, "the sum");
      require_close(x, Tensor::full({2}, comm.rank() + 1, f64), 0, "what is summed");
      const Tensor loss = sum((comm.rank() + 1) * s * s * s);
      const Tensor first = tape.grad(loss, x, {.record = Record::yes});
      require_close(first, Tensor::full({2}, 6 * 3 * 36, f64), 0, "the first derivative");
      // d/dx of the sum over ranks of dL/dx on each: thrice 36 s.
      const Tensor second = tape.grad(sum(first), x, {.record = Record::yes});
      require_close(second, Tensor::full({2}, 3 * 6 * 6 * 6, f64), 0, "the second derivative");
      const Tensor third = tape.grad(sum(second), x);
      require_close(third, Tensor::full({2}, 3 * 3 * 36, f64), 0, "the third derivative");
    });
}

BOOST_AUTO_TEST_CASE(a_sum_takes_floating_numbers_alone) {
  nn::OneRank one;
  BOOST_CHECK_EXCEPTION(nn::all_reduce(Tensor::from({1, 2}, i64), one), DtypeError, mentions("all_reduce"));
}

BOOST_AUTO_TEST_CASE(unequal_shares_are_normalised_as_the_whole_batch) {
  Generator rng(8);
  const Tensor features = randn({13, 5}, rng, f64) * 3 + 2, images = randn({13, 3, 4, 2}, rng, f64) - 1;
  for (const int ranks : {1, 2, 3, 4}) {
    require_whole_batch(features, ranks, false, 1e-12);
    require_whole_batch(images, ranks, false, 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(a_rank_may_have_no_items) {
  Generator rng(8);
  for (const int ranks : {2, 3}) require_whole_batch(randn({13, 5}, rng, f64), ranks, true, 1e-12);
}

BOOST_AUTO_TEST_CASE(deviations_are_taken_from_the_mean_of_all) {
  // As a difference of mean squares the variance would have lost 12 of 16 digits.
  Generator rng(8);
  const Tensor x = randn({13, 5}, rng, f64) + 1e6;
  const Computed whole = compute(x, 0, 13, nullptr);
  nn::run_on_threads(3, [&](Communicator& comm) {
    const std::int64_t from = begin_of(comm.rank(), 3), to = begin_of(comm.rank() + 1, 3);
    const Computed part = compute(x, from, to, &comm);
    require_close(part.y, slice(whole.y, 0, from, to), 1e-8, "y");
    require_close(part.variance, whole.variance, 1e-8, "the running variance");
  });
}

BOOST_AUTO_TEST_CASE(numbers_of_f32_are_normalised_in_f64) {
  Generator rng(8);
  const Tensor x = randn({13, 5}, rng) * 1e30 + 1e30;  // whose squares are beyond f32
  nn::BatchNorm plain(5);
  const Tensor expected = plain(x);
  nn::run_on_threads(2, [&](Communicator& comm) {
    nn::BatchNorm layer(5, {.communicator = &comm});
    const std::int64_t from = begin_of(comm.rank(), 2), to = begin_of(comm.rank() + 1, 2);
    require_close(layer(slice(x, 0, from, to)), slice(expected, 0, from, to), 1e-6, "y");
    require_close(layer.running_var() / plain.running_var(), Tensor::ones({5}, f64), 1e-6,
                  "the running variance");
  });
}

BOOST_AUTO_TEST_CASE(evaluation_state_and_clones_are_those_of_a_plain_layer) {
  Generator rng(8);
  const Tensor x = randn({6, 3}, rng);
  nn::run_on_threads(2, [&](Communicator& comm) {
    nn::BatchNorm plain(3), layer(3, {.communicator = &comm});
    const std::unique_ptr<nn::BatchNorm> copy = nn::clone(layer);
    if (copy->communicator() != &comm) throw std::logic_error("a clone is not synchronised");
    plain.load_state(layer.state());
    plain.eval();
    layer.eval();
    // On one rank alone: nothing is exchanged.
    if (comm.is_root()) require_close(layer(x), plain(x), 0, "evaluation");
  });
}

BOOST_AUTO_TEST_CASE(one_rank_has_the_bits_of_a_plain_layer) {
  Generator rng(8);
  const Tensor x = randn({6, 3, 5}, rng);
  nn::OneRank one;
  nn::BatchNorm plain(3), layer(3, {.communicator = &one});
  BOOST_TEST(layer(x).to_vector<float>() == plain(x).to_vector<float>(), boost::test_tools::per_element());
  BOOST_TEST(layer.running_var().to_vector<double>() == plain.running_var().to_vector<double>(),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_normalised_is_refused_on_all_ranks) {
  const auto refused = [](const Tensor& x, std::vector<std::string> parts) {
    nn::run_on_threads(2, [&](Communicator& comm) {
      nn::BatchNorm layer(2, {.dtype = f64, .communicator = &comm});
      const Tensor own = comm.is_root() ? x : slice(x, 0, 0, 0);
      try {
        layer(own);
      } catch (const ArgumentError& e) {
        for (const std::string& part : parts)
          if (std::string(e.what()).find(part) == std::string::npos) throw std::logic_error(e.what());
        comm.barrier();  // to which all come
        return;
      }
      throw std::logic_error("it is taken");
    });
  };
  refused(Tensor::zeros({1, 2}, f64), {"batch_norm", "1 element of each feature", "2 ranks"});
  refused(Tensor::zeros({0, 2}, f64), {"batch_norm", "no element of each feature"});
  refused(Tensor::from({{1.0, 1e200}, {2.0, -1e200}}, f64), {"batch_norm", "feature 1", "scale the inputs"});
}

BOOST_AUTO_TEST_CASE(two_ranks_are_trained_as_one_on_the_whole_batch) {
  const nn::TrainerOptions options{.epochs = 3,
                                   .batch = 31};  // the last batch of 7 items, whose shares differ
  nn::Sequential whole = net_of(nullptr);
  optim::SGD sgd(whole, 0.1, {.momentum = 0.9});
  nn::Trainer trainer(whole, sgd, options);
  trainer.fit(quarters(100));
  const std::vector<double> expected = values_of(whole);
  for (const nn::DataParallel& how :
       {nn::DataParallel{.strict = false}, nn::DataParallel{.micro_batches = 2},
        nn::DataParallel{.micro_batches = 2, .bucket_bytes = 1}})  // which would be exchanged during backward
    nn::run_on_threads(2, [&](Communicator& comm) {
      nn::Sequential net = net_of(&comm);
      optim::SGD rule(net, 0.1, {.momentum = 0.9});
      nn::TrainerOptions on_ranks = options;
      on_ranks.data_parallel = how;
      on_ranks.data_parallel.communicator = &comm;
      nn::Trainer t(net, rule, on_ranks);
      t.fit(quarters(100));
      const std::vector<double> values = values_of(net);
      for (std::size_t i = 0; i < values.size(); ++i)
        if (!(std::abs(values[i] - expected[i]) < 1e-5)) throw std::logic_error("other weights");
    });
}

BOOST_AUTO_TEST_CASE(networks_are_synchronised_as_a_whole) {
  nn::run_on_threads(2, [](Communicator& comm) {
    const auto require_count = [&](nn::ModuleBase& net, std::int64_t layers) {
      if (nn::synchronise_batch_norm(net, &comm) != layers)
        throw std::logic_error("another number of layers");
      std::int64_t found = 0;
      for (const auto& [path, module] : net.modules()) found += module->communicator() == &comm;
      if (found != layers) throw std::logic_error("another number is synchronised");
      nn::synchronise_batch_norm(net, nullptr);
      for (const auto& [path, module] : net.modules())
        if (module->communicator()) throw std::logic_error("'" + path + "' is still synchronised");
    };
    Generator rng(1);
    nn::BatchNorm alone(3);
    require_count(alone, 1);
    nn::MultiLayerNet net(4, 2, rng, {.hidden = {5, 6}, .batch_norm = true});
    require_count(net, 2);
    const std::unique_ptr<nn::ModuleBase> of_words =
        nn::layers_from_words("conv:2x3,batch-norm,relu,flatten,affine:2", {1, 5, 5}, rng).clone();
    require_count(*of_words, 1);
    nn::Affine without(2, 2, rng);
    require_count(without, 0);
    // What is set counts in the next forward.
    nn::synchronise_batch_norm(alone, &comm);
    const Tensor all = randn({8, 3}, rng), own = slice(all, 0, 4 * comm.rank(), 4 * comm.rank() + 4);
    require_close(alone(own), slice(nn::BatchNorm(3)(all), 0, 4 * comm.rank(), 4 * comm.rank() + 4), 1e-6,
                  "y");
  });
}

BOOST_AUTO_TEST_CASE(trainers_refuse_what_would_not_be_the_whole_batch) {
  BOOST_TEST(mentions("'norm'", "8 micro-batches for 2 ranks",
                      "strict")(std::logic_error(refusal(2, {.epochs = 1, .batch = 16}))));
  BOOST_TEST(mentions(
      "'norm'", "8 micro-batches for 1 rank;")(std::logic_error(refusal(1, {.epochs = 1, .batch = 16}))));
  BOOST_TEST(mentions("'norm'", "each of 3 ranks", "the last batch has 1", "drop_last")(
      std::logic_error(refusal(3, {.epochs = 1, .batch = 21, .data_parallel = {.strict = false}}))));
  BOOST_TEST(
      mentions("each of 3 ranks", "a batch has 2; take larger batches, or fewer ranks")(std::logic_error(
          refusal(3, {.epochs = 1, .batch = 2, .drop_last = true, .data_parallel = {.strict = false}}))));
  BOOST_TEST(refusal(3, {.epochs = 1, .batch = 21, .drop_last = true, .data_parallel = {.strict = false}}) ==
             "");
}

BOOST_AUTO_TEST_CASE(trainers_refuse_layers_that_meet_elsewhere) {
  const auto train = [](bool root_alone) {
    nn::run_on_threads(2, [&](Communicator& comm) {
      nn::OneRank one;
      nn::Sequential net = net_of(!root_alone ? &one : comm.is_root() ? &comm : nullptr);
      optim::SGD sgd(net, 0.1);
      nn::Trainer trainer(
          net, sgd, {.epochs = 1, .batch = 16, .data_parallel = {.communicator = &comm, .strict = false}});
      trainer.fit(quarters(64));
    });
  };
  BOOST_CHECK_EXCEPTION(train(true), ArgumentError, mentions("synchronised layers", "'norm'", "none"));
  BOOST_CHECK_EXCEPTION(train(false), ArgumentError, mentions("'norm'", "communicator", "data_parallel"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace synchronised_batch_norm_test
