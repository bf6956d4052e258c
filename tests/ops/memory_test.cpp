#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/ops/define.h>
#include <tapegrad/ops/map.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "support.h"

namespace memory_test {

using namespace tapegrad;
using test::mentions;

namespace {

constexpr std::int64_t kMany = 1'000'000'000'000;  // 4 TB of f32, which no test machine gives
constexpr std::int64_t kRoot = 1'000'000;

Tensor column(std::int64_t n = kRoot) { return Tensor::ones({n, 1}); }
Tensor row(std::int64_t n = kRoot) { return Tensor::ones({1, n}); }

/// What is thrown: the message of an Error, or what else it is.
std::string said(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    return e.what();
  } catch (const std::exception& e) {
    return fmt::format("no Error: {}", e.what());
  }
  return "nothing";
}

struct GradientOfTerabytes {
  static constexpr auto name = "gradient_of_terabytes";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const { return x.copy(); }
  static void vjp(VjpContext<GradientOfTerabytes>& ctx) { ctx.add(0, Tensor::zeros({kMany})); }
  static void samples(Samples&) {}
};

struct ValueOfTerabytes : nn::Module {
  Tensor forward(const Tensor& x) override { return broadcast_to(x, {kMany}); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(whatever_takes_too_much_memory_says_how_much_and_for_what) {
  Generator rng(0);
  const Tensor one = Tensor::ones({1});
  const Tensor labels = Tensor::zeros({kRoot}, i64);
  const struct {
    const char* op;
    std::function<void()> work;
    std::int64_t bytes = 4 * kMany;
  } cases[] = {
      {"", [] { Tensor::empty({kMany}); }},
      {"zeros", [] { Tensor::zeros({kMany}); }},
      {"zeros",
       [] {
         Tensor::zeros({kRoot, kRoot}, f64);
       },
       8 * kMany},
      {"full", [] { Tensor::ones({kMany}); }},
      {"full", [] { Tensor::full({kMany}, 2); }},
      {"arange", [] { Tensor::arange(kMany); }, 8 * kMany},
      {"arange", [] { Tensor::arange(0, 1e12, 1); }},
      {"eye", [] { Tensor::eye(kRoot); }},
      {"randn", [&] { randn({kMany}, rng); }},
      {"uniform", [&] { uniform({kMany}, rng); }},
      {"integers", [&] { integers({kMany}, rng, 0, 2); }, 8 * kMany},
      {"bernoulli", [&] { bernoulli({kMany}, rng, 0.5); }},
      {"permutation", [&] { permutation(kMany, rng); }, 8 * kMany},
      {"broadcast_to", [&] { broadcast_to(one, {kMany}); }},
      {"add", [] { column() + row(); }},
      {"sub", [] { column() - row(); }},
      {"mul", [] { column() * row(); }},
      {"div", [] { column() / row(); }},
      {"pow", [] { pow(column(), row()); }},
      {"maximum", [] { maximum(column(), row()); }},
      {"less", [] { less(column(), row()); }},
      {"where", [] { where(column(), row(), row()); }},
      {"matmul", [] { matmul(column(), row()); }},
      {"outer: matmul", [] { outer(flatten(column()), flatten(row())); }},
      {"affine", [] { affine(column(), row()); }},
      {"pad",
       [&] {
         pad(one, {{0, kMany - 1}});
       }},
      {"pad",
       [&] {
         pad(one, {{0, kMany - 1}}, PadMode::replicate);
       }},
      {"one_hot", [&] { one_hot(labels, kRoot); }},
      {"broadcast_to", [&] { gather(one, 0, broadcast_to(Tensor::zeros({1}, i64), {kMany})); }, 8 * kMany},
      {"mse_loss", [] { mse_loss(column(), column()); }, 0},
      {"affine", [&] { nn::Affine(kRoot, kRoot, rng); }},
      {"affine", [&] { nn::MultiLayerNet(kRoot, 10, rng, {.hidden = {kRoot}}); }},
      {"batch_norm", [] { nn::BatchNorm{kMany}; }},
      {"prelu", [] { nn::Prelu{kMany}; }},
      {"hessian", [] { hessian([](const Tensor& x) { return sum(square(x)); }, Tensor::ones({kRoot})); }},
      {"jacobian", [] { jacobian([](const Tensor& x) { return square(x); }, Tensor::ones({kRoot})); }},
      {"map", [] { map([](auto a, auto b) { return a * b; }, column(), row()); }},
  };
  for (const auto& c : cases) {
    const std::string message = said(c.work);
    if (c.bytes == 0) {
      BOOST_TEST(message == "nothing", c.op);
      continue;
    }
    BOOST_TEST(message.find(c.op) != std::string::npos, c.op << ": " << message);
    BOOST_TEST(message.find(fmt::format("{} bytes", c.bytes)) != std::string::npos, c.op << ": " << message);
    BOOST_TEST(message.find("tensor [") != std::string::npos, c.op << ": " << message);
    BOOST_TEST_MESSAGE(message);
  }
  // The library works on afterwards.
  BOOST_TEST((Tensor::ones({2}) + Tensor::ones({2})).to_vector<float>()[1] == 2);
}

BOOST_AUTO_TEST_CASE(the_message_names_inputs_and_module) {
  BOOST_CHECK_EXCEPTION(matmul(column(), row()), OutOfMemory,
                        mentions("matmul of [1000000, 1], [1, 1000000]: there is no memory for a tensor "
                                 "[1000000, 1000000] of f32: 4000000000000 bytes (3.73e+03 GiB)"));
  nn::Sequential net{nn::Relu(), ValueOfTerabytes()};
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({1})), OutOfMemory, mentions("broadcast_to '1'"));
}

BOOST_AUTO_TEST_CASE(a_backward_without_memory_says_whose_and_can_be_repeated) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::ones({2, 3}));
  const Tensor y = sum(apply_op(GradientOfTerabytes{}, x));
  BOOST_CHECK_EXCEPTION(
      tape.backward(y, RetainGraph::yes), OutOfMemory,
      mentions("backward of gradient_of_terabytes, whose result is [2, 3]", "4000000000000 bytes"));
  BOOST_TEST(tape.grad(sum(x * x), x).to_vector<float>()[0] == 2);
}

BOOST_AUTO_TEST_CASE(sizes_beyond_64_bits_are_refused_as_shapes) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 59;
  Generator rng(0);
  const Tensor one = Tensor::ones({1});
  const Tensor nothing = Tensor::zeros({0, kHuge});
  const struct {
    const char* part;
    std::function<void()> work;
  } cases[] = {
      {"too many elements",
       [&] {
         Tensor::zeros({kHuge, 3});
       }},
      {"too many elements", [&] { Tensor::eye(kHuge); }},
      {"too many elements", [&] { nn::Affine(kHuge, kHuge, rng); }},
      {"too many elements",
       [&] {
         broadcast_to(one, {kHuge, kHuge});
       }},
      {"too many elements", [&] { one_hot(Tensor::zeros({2}, i64), kHuge); }},
      {"too many elements",
       [&] {
         pad(one, {{kHuge, kHuge}});
       }},
      {"too many elements",
       [&] {
         concat({nothing, nothing}, 1);
       }},
      {"more than 2^63 - 1 elements along axis 1", [&] { concat(std::vector<Tensor>(20, nothing), 1); }},
      {"too many elements",
       [&] {
         stack({nothing, nothing}, 0);
       }},
      {"too many elements",
       [&] {
         matmul(Tensor::zeros({kHuge, 0}), Tensor::zeros({0, kHuge}));
       }},
      {"no elements along axis 0; at most 65535", [&] { split(nothing, kMany, 0); }},
      {"no elements along axis 0; at most 65535",
       [&] { split(nothing, std::numeric_limits<std::int64_t>::max(), 0); }},
      {"too many", [&] { Tensor::arange(0, 1e300, 1); }},
      {"does not divide", [&] { split(one, kMany); }},
      {"cannot hold",
       [&] {
         reshape(one, {kHuge, -1});
       }},
  };
  for (const auto& c : cases) {
    const std::string message = said(c.work);
    BOOST_TEST(message.find(c.part) != std::string::npos, c.part << ": " << message);
  }
  BOOST_TEST(split(nothing, 3).size() == 3U);
}

BOOST_AUTO_TEST_CASE(casts_to_integers_take_what_fits_and_nothing_else) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  const auto as_i64 = [](double v, Dtype from) {
    const Tensor t = cast(Tensor::scalar(v, from), i64);
    return t.values<std::int64_t>()[0];
  };
  for (const Dtype from : {f32, f64}) {
    BOOST_TEST(as_i64(-0x1p63, from) == kLeast);
    BOOST_TEST(as_i64(-2.75, from) == -2);
    BOOST_TEST(as_i64(0x1p62, from) == std::int64_t{1} << 62);
    for (const double v : {0x1p63, -0x1.000002p63, 1e30, -1e30, HUGE_VAL, -HUGE_VAL, std::nan("")})
      BOOST_CHECK_EXCEPTION(as_i64(v, from), ArgumentError, mentions("cast", "does not fit i64"));
  }
  BOOST_TEST(as_i64(0x1.fffffffffffffp62, f64) == std::numeric_limits<std::int64_t>::max() - 1023);
  // The first of several is named, whichever thread finds one.
  Tensor far = Tensor::zeros({200'000}, f64);
  for (const std::size_t i : {50'000, 70'000, 199'999}) far.mutable_values<double>()[i] = 1e30;
  for (int i = 0; i < 20; ++i)
    BOOST_CHECK_EXCEPTION(cast(far, i64), ArgumentError, mentions("at flat index 50000 "));
  // Between the floating types what is too large becomes infinite.
  BOOST_TEST(cast(Tensor::scalar(-1e300, f64), f32).item() == -HUGE_VAL);
}

BOOST_AUTO_TEST_CASE(an_undefined_tensor_gives_what_the_header_says) {
  const Tensor none;
  BOOST_CHECK_THROW(none.copy(), ArgumentError);
  BOOST_CHECK_THROW(none.item(), ArgumentError);
  BOOST_CHECK_THROW(none.to_vector<float>(), ArgumentError);
  BOOST_CHECK_THROW(Parameter().clone(), ArgumentError);
  BOOST_CHECK_THROW(Parameter().data(), ArgumentError);
  BOOST_TEST(!none.detach().defined());
  BOOST_TEST(!none.tracked());
  BOOST_TEST((none.shape() == Shape{}));
  BOOST_TEST(none.version() == 0U);
}

BOOST_AUTO_TEST_CASE(an_optimizer_ends_where_its_steps_do) {
  Parameter w(Tensor::ones({1}));
  optim::Adam adam(std::vector<Parameter>{w}, 0.1);
  nn::State state = adam.state();
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
  state[0].second = Tensor::from(std::vector<std::int64_t>{kLast - 1}, Shape{});
  adam.load_state(state);
  const auto step = [&] {
    Tape tape;
    adam.step(tape.backward(sum(w.value())));
  };
  step();
  BOOST_TEST(adam.steps() == kLast);
  const float before = w.values<float>()[0];
  BOOST_CHECK_EXCEPTION(step(), Error, mentions("adam", "9223372036854775807 steps"));
  BOOST_TEST(w.values<float>()[0] == before);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace memory_test
