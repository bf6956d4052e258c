// The loops over rows that losses, metrics and the search for a maximum share.
#include <cmath>

#include <tapegrad/nn/train/metrics.h>
#include <tapegrad/ops/neural/class_targets.h>

#include "kernel_support.h"

namespace row_loops_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

const std::vector<std::int64_t> kWidths{1, 3, 10, 16, 63, 64, 65, 200, 1500};

struct Reference {
  std::vector<double> softmax, log_softmax;
  explicit Reference(const Tensor& x) {
    const auto n = static_cast<std::size_t>(x.dim(1));
    const std::vector<double> v = numbers(x);
    for (std::size_t from = 0; from < v.size(); from += n) {
      double largest = -kInf;
      for (std::size_t j = 0; j < n; ++j) largest = std::max(largest, v[from + j]);
      long double sum = 0;
      for (std::size_t j = 0; j < n; ++j) sum += std::exp(v[from + j] - largest);
      for (std::size_t j = 0; j < n; ++j) {
        softmax.push_back(static_cast<double>(std::exp(v[from + j] - largest) / sum));
        log_softmax.push_back(v[from + j] - largest - static_cast<double>(std::log(sum)));
      }
    }
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(row_loops)

BOOST_AUTO_TEST_CASE(softmax_of_rows_of_any_length) {
  for_each_isa([] {
    for (const Dtype dtype : {f32, f64})
      for (const std::int64_t n : kWidths) {
        const Tensor x = random({7, n}, dtype, -8, 8);
        const Reference expected(x);
        check_tensor(softmax(x), x.shape(), expected.softmax);
        check_tensor(log_softmax(x), x.shape(), expected.log_softmax);
      }
  });
}

BOOST_AUTO_TEST_CASE(the_loss_and_its_gradient_for_rows_of_any_length) {
  for_each_isa([] {
    for (const Dtype dtype : {f32, f64})
      for (const std::int64_t n : kWidths)
        for (const std::int64_t rows : {1, 40}) {
          const Tensor x = random({rows, n}, dtype, -8, 8);
          const Reference expected(x);
          Generator generator(2);
          const Tensor index = integers({rows}, generator, 0, n);
          const Tensor hot = one_hot(index, n, dtype);
          const Tensor soft = random({rows, n}, dtype, 0, 1, 3);
          const auto count = static_cast<double>(rows);
          for (const Tensor& t : {index, hot, soft}) {
            const std::vector<double> w = numbers(t.rank() == 1 ? hot : t);
            std::vector<double> gradient;
            double loss = 0;
            for (std::size_t i = 0; i < w.size(); ++i) {
              const auto row = i / static_cast<std::size_t>(n) * static_cast<std::size_t>(n);
              double total = 0;
              for (std::size_t j = 0; j < static_cast<std::size_t>(n); ++j) total += w[row + j];
              loss -= w[i] * expected.log_softmax[i] / count;
              gradient.push_back((expected.softmax[i] * total - w[i]) / count);
            }
            Tape tape;
            const Tensor leaf = tape.watch(x);
            const Tensor y = detail::weighed_softmax_with_loss(leaf, t);
            check_tensor(y, {}, {loss}, 10 * tolerance_of(dtype));
            const Tensor twice =
                y + detail::weighed_softmax_with_loss(leaf, t);  // the second gradient is added
            const Tensor g = tape.backward(twice)[leaf];
            for (double& v : gradient) v *= 2;
            check_tensor(g, x.shape(), gradient, 10 * tolerance_of(dtype));
          }
        }
  });
}

BOOST_AUTO_TEST_CASE(an_impossible_class_and_not_a_number) {
  for (const std::int64_t n : {5, 100}) {
    Tensor x = random({3, n}, f32);
    x.mutable_values<float>()[1] = static_cast<float>(-kInf);
    Tensor t = Tensor::zeros({3, n});
    for (std::int64_t r = 0; r < 3; ++r) t.mutable_values<float>()[static_cast<std::size_t>(r * n)] = 1;
    BOOST_TEST(std::isfinite(softmax_with_loss(x, t).item()));  // a target of zero adds nothing
    x.mutable_values<float>()[static_cast<std::size_t>(n + 2)] = static_cast<float>(kNan);
    BOOST_TEST(std::isnan(softmax_with_loss(x, t).item()));
    const std::vector<double> y = numbers(softmax(x));
    for (std::size_t i = 0; i < y.size(); ++i)
      BOOST_TEST(std::isnan(y[i]) == (i / static_cast<std::size_t>(n) == 1));
  }
}

BOOST_AUTO_TEST_CASE(the_first_of_the_largest_elements_or_the_first_not_a_number) {
  for_each_isa([] {
    for (const std::int64_t n : kWidths) {
      const auto width = static_cast<std::size_t>(n);
      const std::vector<double> places{0, 0.4, 0.97};
      for (const double place : places) {
        const auto at = static_cast<std::size_t>(place * static_cast<double>(n));
        const auto expect = [&](const Tensor& x, std::size_t index) {
          BOOST_TEST(argmax(x, 1).to_vector<std::int64_t>()[0] == static_cast<std::int64_t>(index));
          const Tensor label = Tensor::full({1}, static_cast<double>(index), i64);
          BOOST_TEST(nn::count_correct(x, label) == 1);
        };
        Tensor x = random({1, n}, f32);
        x.mutable_values<float>()[at] = 5;
        x.mutable_values<float>()[width - 1] = 5;  // a tie: the first counts
        expect(x, at);
        Tensor low = Tensor::full({1, n}, -kInf);
        expect(low, 0);
        low.mutable_values<float>()[at] = -3e38F;
        expect(low, at);
        x.mutable_values<float>()[at] = static_cast<float>(kNan);
        expect(x, at);
        Tensor whole = random({1, n}, i64, -9, 9);
        whole.mutable_values<std::int64_t>()[at] = 10;
        expect(whole, at);
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(no_bit_depends_on_the_number_of_threads) {
  for (const auto& [rows, n] : {std::pair<std::int64_t, std::int64_t>{9000, 10}, {120, 1000}})
    check_bits_for_threads([&, rows = rows, n = n] {
      const Tensor x = random({rows, n}, f32, -8, 8);
      Generator generator(2);
      const Tensor t = integers({rows}, generator, 0, n);
      Tape tape;
      const Tensor leaf = tape.watch(x);
      const Tensor loss = softmax_with_loss(leaf, t);
      const Gradients g = tape.backward(loss);
      return std::vector<Tensor>{loss.detach(), g[leaf], softmax(x), log_softmax(x)};
    });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace row_loops_test
