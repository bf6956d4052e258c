// Gradients that ranks average by hand.
#include <stdexcept>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace gradients_of_ranks_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Communicator;

Gradients gradients_of(nn::Module& net, const Tensor& x) {
  Tape tape;
  return tape.backward(mean(square(net(x))));
}

/// Items [from, to) of data that all ranks have.
Tensor items(std::int64_t from, std::int64_t to) {
  Generator rng(5);
  const Tensor all = randn({24, 3}, rng, f64);
  return slice(all, 0, from, to);
}

BOOST_AUTO_TEST_SUITE(gradients_of_ranks)

BOOST_AUTO_TEST_CASE(the_mean_over_ranks_is_the_gradient_of_all_items) {
  for (const int ranks : {1, 2, 3, 4})
    nn::run_on_threads(ranks, [&](Communicator& comm) {
      Generator rng(1);
      nn::Sequential net{nn::Affine(3, 4, rng, {.dtype = f64}), nn::Tanh(),
                         nn::Affine(4, 2, rng, {.dtype = f64})};
      const Gradients whole = gradients_of(net, items(0, 24));
      const std::int64_t share = 24 / comm.size();
      const Gradients mean =
          average(comm, net, gradients_of(net, items(comm.rank() * share, (comm.rank() + 1) * share)));
      if (mean.size() != whole.size()) throw std::logic_error("other gradients");
      for (const Gradients::Entry& e : whole)
        if (max(abs(*mean.find(e.key) - e.value)).item() > 1e-15) throw std::logic_error("another mean");
    });
}

BOOST_AUTO_TEST_CASE(names_match_parameters_and_not_the_order_in_which_they_were_made) {
  nn::run_on_threads(2, [](Communicator& comm) {
    // Of one shape, and made in another order on rank 1: ids tell nothing.
    Parameter first, second;
    if (comm.rank() == 0) first = Parameter(Tensor::zeros({2}));
    second = Parameter(Tensor::zeros({2}));
    if (comm.rank() == 1) first = Parameter(Tensor::zeros({2}));
    Gradients gradients;
    {
      Tape tape;
      gradients = tape.backward(sum(first.value() + 10 * second.value()));
    }
    const optim::ParameterList named(optim::ParameterList::Named{{"first", first}, {"second", second}});
    const Gradients means = average(comm, named, gradients);
    if (means[first].to_vector<float>() != std::vector<float>{1, 1} ||
        means[second].to_vector<float>() != std::vector<float>{10, 10})
      throw std::logic_error("mixed up");
  });
}

BOOST_AUTO_TEST_CASE(what_is_given_stays_as_it_is) {
  nn::run_on_threads(2, [](Communicator& comm) {
    Parameter w(Tensor::full({3}, comm.rank() + 1.0));
    Gradients gradients;
    Tensor watched;
    {
      Tape tape;
      watched = tape.watch(Tensor::full({3}, comm.rank()));
      gradients = tape.backward(sum(w.value() * watched));
    }
    const Gradients means = average(comm, {w}, gradients);
    if (means[w].values<float>()[0] != 0.5F ||
        gradients[w].values<float>()[0] != static_cast<float>(comm.rank()))
      throw std::logic_error("the mean of 0 and 1 is 0.5");
    if (means[watched].values<float>()[0] != static_cast<float>(comm.rank() + 1))
      throw std::logic_error("the gradient of a watched tensor is this rank's own");
  });
}

/// What both ranks hear; the second one has another network.
std::vector<std::string> refusals(std::int64_t hidden, bool bias, bool frozen) {
  std::vector<std::string> heard(2);
  nn::run_on_threads(2, [&](Communicator& comm) {
    const bool other = comm.rank() == 1;
    Generator rng(1);
    nn::Affine net(3, other ? hidden : 4, rng, {.bias = !other || bias});
    if (other && frozen) net.bias().freeze();
    const Gradients gradients = gradients_of(net, cast(items(0, 4), f32));
    try {
      average(comm, net, gradients);
    } catch (const ArgumentError& e) {
      heard[static_cast<std::size_t>(comm.rank())] = e.what();
    }
    comm.barrier();
  });
  return heard;
}

BOOST_AUTO_TEST_CASE(ranks_whose_models_differ_are_told_which_parameter_does) {
  for (const std::string& text : refusals(4, true, false)) BOOST_TEST(text == "");
  for (const std::string& text : refusals(5, true, false))
    BOOST_TEST(
        text ==
        "average: the ranks differ: parameter 'weight' is f32 [3, 4] on rank 0, f32 [3, 5] on rank 1; give all "
        "ranks the same");
  for (const std::string& text : refusals(4, false, false))
    BOOST_TEST(text.find("parameter 'bias' is f32 [4] on rank 0, missing on rank 1") != std::string::npos);
  for (const std::string& text : refusals(4, true, true))
    BOOST_TEST(
        text.find("parameter 'bias' is f32 [4] on rank 0, f32 [4], frozen, without a gradient on rank 1") !=
        std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_gradient_of_a_parameter_that_is_not_listed_is_refused) {
  Parameter listed(Tensor::ones({2})), other(Tensor::ones({2}));
  Gradients gradients;
  {
    Tape tape;
    gradients = tape.backward(sum(listed.value() * other.value()));
  }
  nn::OneRank one;
  BOOST_CHECK_EXCEPTION(average(one, {listed}, gradients), ArgumentError,
                        mentions("rank 0 has gradients of 2 parameters, of which 1 are listed"));
}

BOOST_AUTO_TEST_CASE(a_network_is_broadcast_with_its_buffers) {
  nn::run_on_threads(3, [](Communicator& comm) {
    Generator rng(static_cast<std::uint64_t>(comm.rank()));
    nn::Sequential net{nn::Affine(2, 3, rng), nn::BatchNorm(3)};
    net(randn({8, 2}, rng));
    broadcast(comm, net);
    net.eval();
    const Tensor y = net(Tensor::ones({1, 2}));
    std::vector<float> own = y.to_vector<float>(), all(own.size() * 3);
    comm.all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i] != own[i % own.size()]) throw std::logic_error("other outputs");
  });
}

BOOST_AUTO_TEST_CASE(parameters_are_broadcast) {
  nn::run_on_threads(3, [](Communicator& comm) {
    Generator rng(static_cast<std::uint64_t>(comm.rank())), root(0);
    nn::Sequential net{nn::Affine(3, 4, rng), nn::Affine(4, 2, rng, {.dtype = f64})};
    nn::Sequential expected{nn::Affine(3, 4, root), nn::Affine(4, 2, root, {.dtype = f64})};
    broadcast(comm, net);
    for (std::size_t i = 0; i < net.parameters().size(); ++i)
      if (max(abs(net.parameters()[i].second.data() - expected.parameters()[i].second.data())).item() != 0)
        throw std::logic_error("other values");
  });
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace gradients_of_ranks_test
