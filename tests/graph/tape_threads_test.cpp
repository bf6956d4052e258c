#include <array>
#include <barrier>
#include <cmath>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include <tapegrad/graph/rule_probe.h>
#include <tapegrad/ops/elementwise/activation.h>

#include "tape_support.h"

namespace tape_threads_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_threads)

namespace {

/// Runs f(0) ... f(count - 1) at once. Boost's checks are not made for several threads: f returns what it
/// found.
void at_once(int count, const std::function<void(int)>& f) {
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      try {
        f(i);
      } catch (...) {
        errors[static_cast<std::size_t>(i)] = std::current_exception();
      }
    });
  for (std::thread& t : threads) t.join();
  for (const std::exception_ptr& e : errors)
    if (e) std::rethrow_exception(e);
}

/// Counts the rules that run under it.
struct CountingHook final : detail::RuleHook {
  int rules = 0;
  void run(detail::RuleProbe& probe) override {
    ++rules;
    probe.run();
  }
};

/// A small network: y = v tanh(w x + b), fitted to targets by gradient descent.
struct Net {
  Parameter w = parameter({0.1, -0.2, 0.3});
  Parameter b = parameter({0, 0.1, 0});
  Parameter v = parameter({1, 1, 1});

  Tensor operator()(double x) const { return v * tanh(w * scalar(x) + b); }
};

double train(Net& net, int steps) {
  double last = 0;
  for (int i = 0; i < steps; ++i) {
    const double x = 0.1 * (i % 7);
    Tape tape;
    const Tensor loss = square(net(x) - x);
    last = loss.values<double>()[0];
    const Gradients g = tape.backward(loss, Tensor::ones({3}, f64));
    for (Parameter* p : {&net.w, &net.b, &net.v}) {
      const std::span<double> values = p->mutable_values<double>();
      for (std::size_t k = 0; k < values.size(); ++k) values[k] -= 0.05 * g[*p].values<double>()[k];
    }
  }
  return last;
}

}  // namespace

// ---- 6: tapes and threads ----

BOOST_AUTO_TEST_CASE(clause_6_two_threads_train_two_networks_at_once) {
  Net alone;
  const double expected = train(alone, 200);
  std::array<Net, 2> nets;
  std::array<double, 2> losses{};
  at_once(
      2, [&](int i) { losses[static_cast<std::size_t>(i)] = train(nets[static_cast<std::size_t>(i)], 200); });
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST(losses[i] ==
               expected);  // made in this thread, trained in that one, and the same to the last bit
    check_equal(nets[i].w.data(), alone.w.data().to_vector<double>());
    check_equal(nets[i].v.data(), alone.v.data().to_vector<double>());
  }
}

BOOST_AUTO_TEST_CASE(clause_6_one_parameter_set_is_used_by_two_threads_tapes_at_once) {
  const Net net;
  std::array<std::optional<Gradients>, 4> found;
  std::barrier together(4);
  at_once(4, [&](int i) {
    together.arrive_and_wait();
    for (int round = 0; round < 50; ++round) {
      Tape tape;
      const Tensor y = net(0.5 * i) + net(0.25);
      found[static_cast<std::size_t>(i)] = tape.backward(y, Tensor::ones({3}, f64));
    }
  });
  for (int i = 0; i < 4; ++i) {
    Tape tape;
    const Gradients g = tape.backward(net(0.5 * i) + net(0.25), Tensor::ones({3}, f64));
    const Gradients& of_thread = *found[static_cast<std::size_t>(i)];
    BOOST_TEST(of_thread.size() == 3u);
    for (const Parameter& p : {net.w, net.b, net.v}) check_equal(of_thread[p], g[p].to_vector<double>());
  }
  BOOST_TEST(unique(net.w));
}

BOOST_AUTO_TEST_CASE(clause_6_a_tensor_of_another_threads_tape_is_foreign) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({1, 2}, f64));
  in_thread([&] {
    BOOST_TEST(exp(x).tracked() == false);  // a value where no tape is active
    BOOST_TEST(!x.tracked());
    Tape own;
    BOOST_CHECK_EXCEPTION(exp(x), ForeignTape, mentions("exp", "[2]", "another thread", "detach()"));
    BOOST_CHECK_EXCEPTION(own.watch(x), ForeignTape, mentions("watch", "another thread"));
    BOOST_CHECK_EXCEPTION(own.backward(x), ForeignTape, mentions("backward", "another thread"));
    const Tensor mine = own.watch(x.detach());
    check_close(own.backward(exp(mine), Tensor::ones({2}, f64))[mine], {std::exp(1), std::exp(2)});
  });
  BOOST_TEST(x.tracked());
}

BOOST_AUTO_TEST_CASE(clause_6_a_tape_belongs_to_its_thread) {
  const Parameter w = parameter(2);
  Tape tape;
  const Tensor y = square(w);
  const Mark mark = tape.mark();
  in_thread([&] {
    BOOST_TEST(Tape::current() == nullptr);
    BOOST_TEST(!tape.active());
    BOOST_CHECK_EXCEPTION(tape.backward(y), ForeignTape, mentions("backward", "another thread"));
    BOOST_CHECK_THROW(tape.grad(y, y), ForeignTape);
    BOOST_CHECK_THROW(tape.reset(), ForeignTape);
    BOOST_CHECK_THROW(tape.watch(scalar(1)), ForeignTape);
    BOOST_CHECK_THROW(tape.mark(), ForeignTape);
    BOOST_CHECK_THROW(tape.rewind(mark), ForeignTape);
    BOOST_TEST(!w.value().tracked());
    BOOST_TEST(square(w).item() == 4);
  });
  BOOST_TEST(tape.backward(y)[w].item() == 4);
}

BOOST_AUTO_TEST_CASE(clause_6_a_tensor_of_a_thread_that_has_ended_is_foreign) {
  Tensor y;
  in_thread([&] {
    Tape tape;
    y = exp(tape.watch(scalar(1)));
  });
  in_thread([&] {  // this thread takes over the record of the one before, not its number
    Tape tape;
    BOOST_CHECK_THROW(y + 1, ForeignTape);
  });
  BOOST_TEST(y.item() == std::exp(1));
}

BOOST_AUTO_TEST_CASE(clause_6_untracked_values_cross_threads_freely) {
  const Parameter w = parameter({1, 2});
  Tape tape;
  const Tensor y = square(w);
  Tensor back;
  in_thread([&] {
    Tape own;
    const Tensor x = own.watch(y.detach());
    back = own.grad(exp(x), x, {.cotangent = Tensor::ones({2}, f64)});
  });
  BOOST_TEST(!back.tracked());
  // A gradient computed in one thread is the cotangent in another, and stays as it is.
  const std::vector<double> before = back.to_vector<double>();
  const Gradients g = tape.backward(y + y, back);
  check_close(g[w], {4 * 1 * std::exp(1), 4 * 2 * std::exp(4)});
  check_equal(back, before);
}

BOOST_AUTO_TEST_CASE(clause_6_workers_own_their_gradients_which_are_merged_in_order) {
  const Parameter w = parameter({1, 2});
  constexpr int kWorkers = 4;
  std::array<Gradients, kWorkers> parts;
  at_once(kWorkers, [&](int i) {
    Tape tape;
    parts[static_cast<std::size_t>(i)] = tape.backward(square(w) * (i + 0.1), Tensor::ones({2}, f64));
  });
  const auto merge = [&] {
    Tensor sum = Tensor::zeros({2}, f64);
    for (const Gradients& g : parts) sum = sum + g[w];
    return sum;
  };
  check_close(merge(), {2 * (6 + 0.4), 4 * (6 + 0.4)});
  for (Gradients& g : parts) g = Gradients();
  BOOST_TEST(unique(w));
}

BOOST_AUTO_TEST_CASE(clause_6_a_seed_shared_by_threads_is_not_written_to) {
  const Parameter w = parameter({1, 2});
  const Tensor cotangent = Tensor::ones({2}, f64);
  std::array<Gradients, 2> parts;
  at_once(2, [&](int i) {
    for (int round = 0; round < 50; ++round) {
      Tape tape;
      Tensor y = w;
      for (int k = 0; k < 5; ++k) y = y + w;
      Gradients g = tape.backward(y, cotangent);
      g.find(w)->mutable_values<double>()[0] += i;
      parts[static_cast<std::size_t>(i)] = std::move(g);
    }
  });
  check_equal(parts[0][w], {6, 6});
  check_equal(parts[1][w], {7, 6});
  check_equal(cotangent, {1, 1});
}

// A thread adopts the record of one that has ended, but not what that one had set up and never taken down.
BOOST_AUTO_TEST_CASE(a_new_thread_starts_without_the_hook_and_the_rules_of_an_ended_one) {
  std::unique_ptr<CountingHook> hook;
  std::unique_ptr<detail::GeneralRules> general;
  detail::ThreadState* record = nullptr;
  const auto differentiate = [] {
    const Parameter p = parameter(3);
    Tape tape;
    return tape.backward(square(p))[p].item();
  };
  std::thread([&] {
    hook = std::make_unique<CountingHook>();
    general = std::make_unique<detail::GeneralRules>();
    record = detail::current_thread;
    differentiate();
  }).join();
  const int rules = std::exchange(hook->rules, 0);
  BOOST_TEST(rules > 0);
  bool adopted = false, general_rules = true;
  double gradient = 0;
  std::thread([&] {
    gradient = differentiate();
    adopted = detail::current_thread == record;
    general_rules = detail::general_rules_only();
  }).join();
  BOOST_TEST(adopted);
  BOOST_TEST(gradient == 6);
  BOOST_TEST(hook->rules == 0);
  BOOST_TEST(!general_rules);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_threads_test
