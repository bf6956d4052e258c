// Which nodes a pass visits: those that lead from the xs to y, in an order in which gradients are complete.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <tapegrad/graph/random.h>

#include "tape_support.h"

namespace tape_walk_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_walk)

namespace {

/// A graph of scalars: node i is watched, or a sum or product of two older ones.
struct Graph {
  struct Op {
    bool product;
    std::size_t a, b;
  };
  std::size_t leaves;
  std::vector<Op> ops;

  /// Inputs come from the last few nodes, from all before, or from the leaves.
  Graph(std::uint64_t seed, std::size_t leaf_count, std::size_t op_count) : leaves(leaf_count) {
    Generator rng(seed);
    const std::uint64_t near = 1 + rng.below(100);
    for (std::size_t i = 0; i < op_count; ++i) {
      const auto any = [&]() -> std::size_t {
        const std::size_t size = leaves + i;
        if (rng.below(20) == 0) return rng.below(size);
        return size - 1 - rng.below(std::min<std::uint64_t>(near, size));
      };
      const std::size_t a = any();
      ops.push_back({rng.below(3) == 0, a, any()});
    }
  }

  std::vector<double> values(const std::vector<double>& x) const {
    std::vector<double> v = x;
    for (const Op& o : ops) v.push_back(o.product ? v[o.a] * v[o.b] : (v[o.a] + v[o.b]) / 2);
    return v;
  }
  std::vector<Tensor> record(Tape& tape, const std::vector<double>& x) const {
    std::vector<Tensor> v;
    for (const double value : x) v.push_back(tape.watch(scalar(value)));
    for (const Op& o : ops) v.push_back(o.product ? v[o.a] * v[o.b] : (v[o.a] + v[o.b]) * 0.5);
    return v;
  }
  /// The derivatives of node y for all older nodes, in order, computed by the definition: from y back over all.
  std::vector<double> adjoints(const std::vector<double>& v, std::size_t y) const {
    std::vector<double> g(v.size(), 0);
    g[y] = 1;
    for (std::size_t i = y + 1; i-- > leaves;) {
      const Op& o = ops[i - leaves];
      g[o.a] += g[i] * (o.product ? v[o.b] : 0.5);
      g[o.b] += g[i] * (o.product ? v[o.a] : 0.5);
    }
    return g;
  }
};

double seconds_of(int times, auto step) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) step();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

BOOST_AUTO_TEST_CASE(gradients_of_any_graph_for_any_of_its_nodes) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Graph graph(seed, 4, 20 + 10 * seed);
    const std::vector<double> x{0.9, -0.6, 0.8, 0.7};
    const std::vector<double> v = graph.values(x);
    Tape tape;
    const std::vector<Tensor> nodes = graph.record(tape, x);
    Generator rng(seed, 1);
    for (int pass = 0; pass < 4; ++pass) {
      const std::size_t y = nodes.size() - 1 - rng.below(nodes.size() / 2);
      const std::vector<double> expected = graph.adjoints(v, y);
      std::vector<Tensor> xs;
      std::vector<double> wanted;
      const std::size_t count = 1 + rng.below(4);
      for (std::size_t i = 0; i < count; ++i) {
        // Near y, anywhere, or a leaf; also newer than y.
        const std::size_t at = pass == 0   ? rng.below(4)
                               : pass == 1 ? y - rng.below(std::min<std::size_t>(y, 40))
                                           : rng.below(nodes.size());
        xs.push_back(nodes[at]);
        wanted.push_back(at > y ? 0 : expected[at]);
      }
      const std::vector<Tensor> got =
          tape.grad(nodes[y], xs, {.record = pass % 2 ? Record::yes : Record::no});
      const Gradients retained = tape.backward(nodes[y], RetainGraph::yes);
      bool right = true;
      const auto near = [](double a, double b) { return a == b || std::abs(a - b) <= 1e-9 * std::abs(b); };
      for (std::size_t i = 0; i < count; ++i) right &= near(got[i].item(), wanted[i]);
      for (std::size_t i = 0; i < 4; ++i) right &= near(retained[nodes[i]].item(), expected[i]);
      BOOST_REQUIRE_MESSAGE(right, "seed " << seed << ", pass " << pass << ", y " << y);
    }
    // What the passes have left on the nodes would show here.
    const std::size_t last = nodes.size() - 1;
    const std::vector<double> expected = graph.adjoints(v, last);
    const Gradients all = tape.backward(nodes[last]);
    for (std::size_t i = 0; i < 4; ++i)
      BOOST_TEST(all[nodes[i]].item() == expected[i], boost::test_tools::tolerance(1e-9));
  }
}

// A pass that throws leaves nothing behind, however far it has come.
BOOST_AUTO_TEST_CASE(a_pass_that_fails_leaves_no_marks) {
  const Graph graph(3, 4, 500);
  const std::vector<double> x{0.9, -0.6, 0.8, 0.7};
  const double expected = graph.adjoints(graph.values(x), x.size() + graph.ops.size() - 1)[0];
  for (const bool retained : {false, true}) {
    Tape tape;
    const std::vector<Tensor> own = graph.record(tape, x);
    Tensor changed = tape.watch(scalar(2));
    const Tensor late = own.back() + changed * changed;
    const Tensor later = late * own.back();
    changed.mutable_values<double>()[0] = 3;
    if (retained)
      BOOST_CHECK_THROW(tape.backward(later, RetainGraph::yes), MutatedSaved);
    else
      BOOST_CHECK_THROW(tape.grad(later, changed), MutatedSaved);
    BOOST_TEST(tape.grad(own.back(), own[0]).item() == expected, boost::test_tools::tolerance(1e-9));
    BOOST_TEST(tape.backward(own.back(), RetainGraph::yes)[own[0]].item() == expected,
               boost::test_tools::tolerance(1e-9));
  }
}

// On a tape that is never reset a step takes as long at the end as at the beginning.
BOOST_AUTO_TEST_CASE(a_pass_takes_no_time_for_what_does_not_lead_to_y) {
  constexpr int kSteps = 1000;
  for (const bool backward : {false, true}) {
    Tape tape;
    const Parameter w = parameter(0.5);
    const Tensor x = w;
    const auto step = [&] {
      const Tensor y = x * x + x;
      const Tensor g = backward ? tape.backward(y, RetainGraph::yes)[w] : tape.grad(y, x);
      BOOST_REQUIRE(g.item() == 2);
    };
    // Of several measurements the best, since other processes take their time as well.
    const auto best_of_ten = [&] {
      double best = seconds_of(kSteps, step);
      for (int i = 1; i < 10; ++i) best = std::min(best, seconds_of(kSteps, step));
      return best;
    };
    const double first = best_of_ten();
    seconds_of(30 * kSteps, step);
    // Walking over all of the tape, a step would take some ten times as long on average as before.
    BOOST_TEST(best_of_ten() < 4 * first);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_walk_test
