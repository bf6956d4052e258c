#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/graph/random.h>
#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/loops/parallel.h>

#include <boost/test/unit_test.hpp>

#include "engine_support.h"
#include "sample_support.h"

namespace gemm_test {

using namespace tapegrad;
using namespace tapegrad::test;
using detail::GemmShape;
using detail::GemmStart;
using detail::Isa;
using detail::ThreadLimit;

namespace {

struct UseIsa {
  Isa before;
  explicit UseIsa(Isa wanted) : before(detail::set_isa(wanted)) {}
  ~UseIsa() { detail::set_isa(before); }
};

/// The sets that this processor has, the best one first. OpenBLAS has chosen its own when it was loaded.
std::vector<Isa> isas(MatmulEngine engine) {
  if (engine != MatmulEngine::builtin) return {detail::best_isa()};
  std::vector<Isa> all{Isa::avx512, Isa::avx2, Isa::base};
  std::erase_if(all, [](Isa i) { return i > detail::best_isa(); });
  return all;
}

/// f(where) with each engine and each of its instruction sets.
template <class F>
void for_each_engine(F&& f) {
  for (const MatmulEngine engine : engines()) {
    const UseEngine use(engine);
    for (const Isa isa : isas(engine)) {
      const UseIsa set(isa);
      f(std::string(name_of(engine)) + ' ' + name_of(isa));
    }
  }
}

template <class T>
std::vector<T> values(std::int64_t n, std::uint64_t seed) {
  Generator g(seed);
  std::vector<T> v(static_cast<std::size_t>(n));
  for (T& x : v) x = static_cast<T>(2 * g.uniform() - 1);
  return v;
}

template <class T>
std::vector<T> transposed(const std::vector<T>& x, std::int64_t rows, std::int64_t columns) {
  std::vector<T> y(x.size());
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      y[static_cast<std::size_t>(j * rows + i)] = x[static_cast<std::size_t>(i * columns + j)];
  return y;
}

/// A product of random matrices, the elements of its result in double, and what each may be off by: the sum
/// of k rounded products, in whatever order, is off by at most k eps times the sum of their absolute values
/// (Higham: Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
template <class T>
struct Case {
  std::int64_t m, n, k;
  std::vector<T> a, b, a_transposed, b_transposed, bias, old;
  std::vector<double> sums, magnitudes;

  Case(std::int64_t rows, std::int64_t columns, std::int64_t depth)
      : m(rows),
        n(columns),
        k(depth),
        a(values<T>(m * k, 1)),
        b(values<T>(k * n, 2)),
        a_transposed(transposed(a, m, k)),
        b_transposed(transposed(b, k, n)),
        bias(values<T>(n, 3)),
        old(values<T>(m * n, 4)),
        sums(old.size()),
        magnitudes(old.size()) {
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t p = 0; p < k; ++p) {
        const double x = static_cast<double>(a[static_cast<std::size_t>(i * k + p)]);
        const T* const row = b.data() + p * n;
        double* const sum = sums.data() + i * n;
        double* const magnitude = magnitudes.data() + i * n;
        for (std::int64_t j = 0; j < n; ++j) {
          const double product = x * static_cast<double>(row[j]);
          sum[j] += product;
          magnitude[j] += std::abs(product);
        }
      }
  }

  /// c as the product leaves it; where the old c must not be read it is NaN.
  std::vector<T> run(bool ta, bool tb, T alpha, GemmStart<T> start) const {
    std::vector<T> c = old;
    if (start.bias || start.beta == T{0}) std::fill(c.begin(), c.end(), std::numeric_limits<T>::quiet_NaN());
    detail::gemm<T>({m, n, k, ta, tb}, alpha, ta ? a_transposed.data() : a.data(),
                    tb ? b_transposed.data() : b.data(), start, c.data());
    return c;
  }

  /// The largest error of an element of c, as a multiple of what it may be.
  double worst(const std::vector<T>& c, T alpha, GemmStart<T> start) const {
    double most = 0;
    const double eps = std::numeric_limits<T>::epsilon();
    for (std::size_t i = 0; i < c.size(); ++i) {
      const double begin = start.bias ? static_cast<double>(bias[i % static_cast<std::size_t>(n)])
                                      : static_cast<double>(start.beta) * static_cast<double>(old[i]);
      const double factor = static_cast<double>(alpha);
      const double error = std::abs(static_cast<double>(c[i]) - (factor * sums[i] + begin));
      // Three more roundings: alpha, beta and the last sum. The double loop's own are far below.
      const double bound =
          static_cast<double>(k + 3) * eps * (std::abs(factor) * magnitudes[i] + std::abs(begin));
      if (!(error <= bound)) return kWrong;
      if (bound > 0) most = std::max(most, error / bound);
    }
    return most;
  }
  static constexpr double kWrong = std::numeric_limits<double>::infinity();
};

/// All transpositions and starts in all engines, with the same bits from any number of threads. Of a sample
/// each engine and instruction set runs another third of them.
template <class T>
void check_case(std::int64_t m, std::int64_t n, std::int64_t k) {
  const Case<T> c(m, n, k);
  struct Form {
    T alpha;
    GemmStart<T> start;
  };
  const Form forms[] = {{T{1}, {}},
                        {T{1}, {T{1}, nullptr}},
                        {T{1}, {T{0}, c.bias.data()}},
                        {T(-0.75), {T(0.4), nullptr}},
                        {T(3), {T{0}, c.bias.data()}}};
  std::size_t place = 0;
  for_each_engine([&](const std::string& engine) {
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const Form& form : forms) {
          if (place++ % every(3) != 0) continue;
          std::vector<T> expected;
          for (const int count : {1, 2, 3, 4, 7}) {
            if (count > 1 && &form != forms) continue;
            const ThreadLimit limit(count);
            const std::vector<T> result = c.run(ta, tb, form.alpha, form.start);
            const auto where = [&] {
              return engine + ' ' + std::to_string(m) + 'x' + std::to_string(n) + 'x' + std::to_string(k) +
                     (ta ? " T" : " N") + (tb ? "T" : "N") + ", form " + std::to_string(&form - forms) +
                     ", " + std::to_string(count) + " threads, " + std::to_string(sizeof(T)) + " bytes";
            };
            if (count == 1) {
              expected = result;
              BOOST_TEST_REQUIRE(c.worst(result, form.alpha, form.start) <= 1, where());
            } else {
              const bool same = result.empty() ||
                                std::memcmp(result.data(), expected.data(), sizeof(T) * result.size()) == 0;
              BOOST_TEST_REQUIRE(same, "other bits: " << where());
            }
          }
        }
  });
}

void check_both(std::int64_t m, std::int64_t n, std::int64_t k) {
  check_case<float>(m, n, k);
  check_case<double>(m, n, k);
}

void check_batches(const std::string& engine) {
  for (const auto& [m, n, k, count] : {std::array<std::int64_t, 4>{5, 7, 9, 40},
                                       {30, 60, 30, 20},
                                       {150, 160, 100, 3},
                                       {0, 4, 4, 3},
                                       {4, 4, 4, 0}})
    for (const bool tb : {false, true}) {
      const auto a = values<float>(m * k * 3, 1);
      const auto b = values<float>(k * n * 2, 2);
      std::vector<std::int64_t> a_at, b_at, c_at;
      for (std::int64_t i = 0; i < count; ++i) {
        a_at.push_back(i % 3);
        b_at.push_back(i / 2 % 2);
        c_at.push_back(count - 1 - i);
      }
      const std::vector<float> old = values<float>(m * n * count, 3);
      std::vector<float> expected = old;
      const GemmShape shape{m, n, k, false, tb};
      const GemmStart<float> start{0.5F, nullptr};
      {
        const ThreadLimit limit(1);
        for (std::size_t i = 0; i < a_at.size(); ++i)
          detail::gemm<float>(shape, 2, a.data() + a_at[i] * m * k, b.data() + b_at[i] * k * n, start,
                              expected.data() + c_at[i] * m * n);
      }
      for (const int threads_used : {1, 2, 3}) {
        const ThreadLimit limit(threads_used);
        std::vector<float> c = old;
        detail::gemm_batch<float>(shape, count, 2, a.data(), a_at.data(), b.data(), b_at.data(), start,
                                  c.data(), c_at.data());
        BOOST_TEST((c == expected), engine);
      }
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gemm)

BOOST_AUTO_TEST_CASE(small_shapes) {
  for (const std::int64_t m : {0, 1, 2, 5, 6, 7, 13, 14, 15, 29})
    for (const std::int64_t n : {0, 1, 3, 4, 8, 9, 15, 16, 17, 31, 33})
      for (const std::int64_t k : {0, 1, 2, 7, 16, 17}) check_both(m, n, k);
}

// 64 terms and one tile are a way of their own; more columns than four panels are packed.
BOOST_AUTO_TEST_CASE(shapes_around_the_limits) {
  for (const std::int64_t m : {13, 15})
    for (const std::int64_t n : {30, 33, 127, 130})
      for (const std::int64_t k : {63, 65}) check_both(m, n, k);
}

// A panel of three vectors, and the one or two columns beyond that are computed by themselves.
BOOST_AUTO_TEST_CASE(three_vectors_of_columns) {
  for (const std::int64_t m : {9, 19})
    for (const std::int64_t n : {11, 12, 13, 23, 24, 25, 26, 47, 48, 49, 50, 51})
      for (const std::int64_t k : {15, 100}) check_both(m, n, k);
}

BOOST_AUTO_TEST_CASE(several_steps_of_k) {
  for (const std::int64_t k : {191, 193, 255, 257, 383, 385, 770}) check_both(17, 37, k);
}

BOOST_AUTO_TEST_CASE(vectors) {
  for (const std::int64_t length : {1, 7, 17, 65, 130, 300, 1000})
    for (const std::int64_t k : {1, 9, 33, 100, 700}) {
      check_both(length, 1, k);
      check_both(1, length, k);
    }
  check_both(1, 4500, 200);  // from beyond the cache
  check_both(600, 1, 1100);
}

// Packed on either side, in one and several parts, shared out by rows and by columns.
BOOST_AUTO_TEST_CASE(large_shapes) {
  check_both(100, 50, 784);
  check_both(300, 200, 70);
  check_both(45, 700, 400);
  check_both(700, 150, 40);
  check_both(540, 530, 20);
  check_both(2, 900, 500);
  check_both(900, 3, 500);
  check_both(257, 300, 1);
}

// Shapes that OpenBLAS computes in several blocks, by rows, by columns and by both.
BOOST_AUTO_TEST_CASE(shapes_of_several_calls) {
  check_case<float>(530, 540, 270);
  check_case<double>(600, 600, 190);
  check_case<double>(2050, 70, 470);
  check_case<float>(70, 2050, 470);
}

BOOST_AUTO_TEST_CASE(a_nan_reaches_its_row_only) {
  const std::int64_t m = 20, n = 50, k = 30;
  for_each_engine([&](const std::string& engine) {
    std::vector<float> a(m * k, 1), b(k * n, 2), c(m * n);
    a[7 * k + 3] = std::numeric_limits<float>::quiet_NaN();
    detail::gemm<float>({m, n, k}, 1, a.data(), b.data(), {}, c.data());
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        const float x = c[static_cast<std::size_t>(i * n + j)];
        wrong += i == 7 ? !std::isnan(x) : x != 60;
      }
    BOOST_TEST(wrong == 0, engine);
  });
}

BOOST_AUTO_TEST_CASE(batches) {
  for_each_engine([](const std::string& engine) { check_batches(engine); });
}

BOOST_AUTO_TEST_CASE(no_memory_is_asked_for_again) {
  const std::int64_t m = 200, n = 300, k = 500;
  const auto a = values<float>(m * k, 1);
  const auto b = values<float>(k * n, 2);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  const ThreadLimit limit(1);
  const auto run = [&] { detail::gemm<float>({m, n, k}, 1, a.data(), b.data(), {}, c.data()); };
  run();
  const std::uint64_t before = system_allocations();
  for (int i = 0; i < 5; ++i) run();
#if !TAPEGRAD_ASAN  // where no block is used again
  BOOST_TEST(system_allocations() == before);
#else
  BOOST_TEST(system_allocations() >= before);
#endif
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gemm_test
