// What a network does outside of operations while it is saved as an ONNX model: reads, threads, texts, tapes.

#include <functional>
#include <string>
#include <thread>

#include <tapegrad/graph/format.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "onnx_support.h"

namespace onnx_reads_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_FIXTURE_TEST_SUITE(onnx_reads, OnnxFunctions)

// The numbers are those of the example, and the model would compute with them for any input.
BOOST_AUTO_TEST_CASE(a_network_that_reads_what_it_computes_of_its_inputs_is_refused) {
  const auto of_input = [](const Tensor& x) { return sum(x) * 2.0; };
  check_refused([&](const Tensor& x) { return of_input(x).item() > 0 ? x : -x; },
                "the network takes elements of");
  check_refused([&](const Tensor& x) { return x * x.to_vector<float>()[0]; }, "a tensor [2, 4]");
  check_refused([&](const Tensor& x) { return x + of_input(x).copy(); }, "(copy())");
  check_refused([&](const Tensor& x) { return x * of_input(x).detach().item(); }, "where(condition, a, b)");
  check_refused([&](const Tensor& x) { return x * reshape(of_input(x), {1}).item(); }, "allow_reads = true");
  nn::Sequential gate(nn::Lambda([&](const Tensor& x) { return of_input(x).item() > 0 ? x : -x; }));
  BOOST_CHECK_EXCEPTION(nn::save_onnx(path, gate, randn({2, 4}, rng)), ArgumentError,
                        mentions("takes elements of a tensor [] that depends on the input (item())"));

  nn::Sequential named;
  named.append("gate", nn::Lambda([&](const Tensor& x) { return of_input(x).item() > 0 ? x : -x; }));
  BOOST_CHECK_EXCEPTION(nn::save_onnx(path, named, randn({2, 4}, rng)), ArgumentError,
                        mentions("save_onnx: 'gate' takes elements"));
  check_refused(
      [](const Tensor& x) {
        Tensor y = x;
        return x * y.mutable_values<float>()[0];
      },
      "(mutable_values())");

  // What is its own to read: sizes, weights and buffers, and what is computed of them alone.
  const Tensor scale = Tensor::full({1}, 2);
  save([&](const Tensor& x) { return x * (scale * 3.0).item() + static_cast<double>(x.dim(1)); });
  std::filesystem::remove(path);
  save([&](const Tensor& x) { return std::isfinite(of_input(x).item()) ? x * 2.0 : x; },
       {.allow_reads = true});
  BOOST_TEST(std::filesystem::exists(path));
}

// The mean divides by the number of targets that count, which an operation does not know.
BOOST_AUTO_TEST_CASE(a_loss_whose_mean_depends_on_the_targets_is_refused_and_its_sum_is_not) {
  const Tensor labels = Tensor::from({0, 3, 1, 3}, i64);
  const Tensor other = Tensor::from({3, 2, 3, 3}, i64);
  const Tensor x = randn({4, 4}, rng);
  nn::Sequential none;
  const auto save_loss = [&](Reduction reduction) {
    const auto loss = [&](const Tensor& scores, const Tensor& t) {
      return softmax_with_loss(scores, t, {.reduction = reduction, .ignore_index = 3});
    };
    nn::save_onnx(path, none, loss, {x, labels}, {.free_batch = false});
    if (reduction == Reduction::sum)
      BOOST_TEST(difference(nn::load_onnx(path)->run({x, other})[0], loss(x, other)) < 1e-5);
  };
  save_loss(Reduction::sum);
  BOOST_CHECK_EXCEPTION(save_loss(Reduction::mean), ArgumentError,
                        mentions("takes elements of a tensor", "item()"));
}

BOOST_AUTO_TEST_CASE(a_mean_over_the_samples_holds_for_each_batch) {
  nn::Sequential none;
  const auto loss = [](const Tensor& scores, const Tensor& t) { return nll_loss(log_softmax(scores), t); };
  nn::save_onnx(path, none, loss, {randn({2, 4}, rng), Tensor::from({3, 1}, i64)});
  const Tensor scores = randn({5, 4}, rng), t = Tensor::from({0, 3, 2, 2, 1}, i64);
  BOOST_TEST(difference(nn::load_onnx(path)->run({scores, t})[0], loss(scores, t)) < 1e-6);
}

BOOST_AUTO_TEST_CASE(operations_that_copy_within_are_saved) {
  const Tensor zeros = Tensor::zeros({2, 1}, i64);
  save(
      [&](const Tensor& x) {
        return scatter_add(x * 2.0, 1, zeros, Tensor::ones({2, 1}));
      },
      {.free_batch = false});
  BOOST_TEST(std::filesystem::exists(path));
  std::filesystem::remove(path);
  const Tensor second = Tensor::from({1}, i64);
  save([&](const Tensor& x) { return index_add(x * 2.0, 1, second, slice(x, 1, 0, 1)); });
  BOOST_TEST(std::filesystem::exists(path));
}

BOOST_AUTO_TEST_CASE(what_is_computed_under_a_pause_is_part_of_the_network) {
  const Tensor x = randn({2, 4}, rng);
  nn::Sequential none;
  nn::save_onnx(path, none,
                [](const Tensor& v) {
                  const Pause pause;
                  return v * sum(v, -1, KeepDims::yes);
                },
                {x});
  const Tensor other = randn({3, 4}, rng);
  BOOST_TEST(difference(nn::load_onnx(path)->forward(other), other * sum(other, -1, KeepDims::yes)) < 1e-6);
}

BOOST_AUTO_TEST_CASE(a_network_that_differentiates_within_is_refused) {
  BOOST_CHECK_EXCEPTION(save([](const Tensor& x) {
                          Tape tape;
                          const Tensor at = tape.watch(x.detach());
                          return tape.grad(sum(at * at), at);
                        }),
                        Error, mentions("inside of a tape that records everything", "save_onnx"));
}

// Nobody sees such numbers being read, but they are others for other inputs.
BOOST_AUTO_TEST_CASE(what_is_computed_outside_of_operations_is_refused_for_a_single_item_too) {
  const Tensor gamma = Tensor::ones({4}), beta = Tensor::zeros({4});
  const auto by_statistics = [&](const Tensor& x) { return x - cast(batch_norm(x, gamma, beta).mean, f32); };
  const auto by_thread = [](const Tensor& x) {
    double first = 0;
    std::thread([&] { first = x.values<float>()[0]; }).join();
    return x * first;
  };
  const auto by_text = [](const Tensor& x) {
    return x + static_cast<double>(std::hash<std::string>()(fmt::format("{}", x)) % 1000);
  };
  for (const bool free_batch : {false, true})
    for (const Tensor& example : {Tensor::zeros({1, 4}), Tensor::ones({3, 4}), randn({1, 4}, rng)}) {
      const auto check = [&](const auto& f) {
        nn::Sequential none;
        BOOST_CHECK_EXCEPTION(nn::save_onnx(path, none, f, {example}, {.free_batch = free_batch}),
                              ArgumentError, mentions("save_onnx", "write it so that it"));
        // One who says that nothing depends on such numbers is believed.
        if (!free_batch)
          nn::save_onnx(path, none, f, {example}, {.free_batch = free_batch, .allow_reads = true});
      };
      check(by_statistics);
      check(by_thread);
      check(by_text);
    }
  // The size of a result may be what differs.
  const auto by_size = [](const Tensor& x) {
    std::int64_t n = 1;
    std::thread([&] { n += x.values<float>()[0] == 1; }).join();
    return slice(x, 1, 0, n);
  };
  nn::Sequential sizes;
  BOOST_CHECK_EXCEPTION(nn::save_onnx(path, sizes, by_size, {Tensor::ones({1, 4})}, {.free_batch = false}),
                        ArgumentError, mentions("a run on other numbers", "by operations alone"));
  // A network need not take other elements than these: a loss takes distributions.
  nn::Sequential none;
  const auto loss = [](const Tensor& scores, const Tensor& t) { return softmax_with_loss(scores, t); };
  const Tensor scores = randn({2, 4}, rng), t = softmax(randn({2, 4}, rng)),
               other = softmax(randn({2, 4}, rng));
  int runs = 0;
  const auto counted = [&](const Tensor& x, const Tensor& targets) {
    ++runs;
    return loss(x, targets);
  };
  nn::save_onnx(path, none, counted, {scores, t}, {.free_batch = false});
  BOOST_TEST(runs == 3);  // of which it has refused the second one
  BOOST_TEST(difference(nn::load_onnx(path)->run({scores, other})[0], loss(scores, other)) < 1e-6);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace onnx_reads_test
