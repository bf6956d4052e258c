// Formulas in a file that is compiled with -O2 or -Ofast are as exact as the library's operations.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <tapegrad/ops/map.h>
#include <tapegrad/tapegrad.h>

using namespace tapegrad;

namespace {

/// The largest relative difference.
double distance(const Tensor& a, const Tensor& b) { return max(abs(a - b) / abs(b)).item(); }

template <class F, class G>
bool agree(const char* name, const F& formula, const G& operations, const Tensor& at) {
  Tape tape;
  const Tensor x = tape.watch(at);
  const Tensor y = map(formula, x), expected = operations(x);
  const double values = distance(y, expected);
  const double gradients = distance(tape.grad(sum(y), x), tape.grad(sum(expected), x));
  if (values < 1e-14 && gradients < 1e-13) return true;
  std::printf("%s: values differ by %.1e, gradients by %.1e\n", name, values, gradients);
  return false;
}

/// An element is what it is among many, however few there are.
template <class F>
bool holds_for_few(const F& formula, const Tensor& x) {
  const Tensor all = map(formula, x);
  const std::vector<double> whole = all.to_vector<double>();
  for (std::int64_t n = 1; n <= 40; ++n) {
    const Tensor part = map(formula, slice(x, 0, 0, n));
    const std::vector<double> few = part.to_vector<double>();
    for (std::size_t i = 0; i < few.size(); ++i)
      if (few[i] != whole[i]) {
        std::printf("element %zu of %zu is %a, of many %a\n", i, few.size(), few[i], whole[i]);
        return false;
      }
  }
  return true;
}

}  // namespace

#define AGREE(f) \
  agree(         \
      #f, [](auto v) { return f; }, [](const Tensor& v) { return f; }, at)

// Neither a value nor its derivative vanishes at one of these numbers: both are compared by relative differences.
int main() {
  Generator generator(1);
  const Tensor at = uniform({2000}, generator, 0.1, 9, f64);
  bool all = true;
  all &= AGREE(exp(v));
  all &= AGREE(expm1(v));
  all &= AGREE(log(v));
  all &= AGREE(log1p(v));
  all &= AGREE(sigmoid(-v));
  all &= AGREE(tanh(v / 10));
  all &= AGREE(softplus(v));
  all &= AGREE(silu(v));
  all &= AGREE(sqrt(v) * logaddexp(v, 2 * v));
  all &= AGREE(4 + cbrt(v) - rsqrt(v));
  all &= AGREE(sinh(v) + cosh(v));
  all &= AGREE(300 * v + sin(100 * v) * cos(v));
  all &= AGREE(tan(v / 10) + atan(v));
  all &= AGREE(asin(v / 10) + acos(v / 20));
  all &= AGREE(2 + erf(v) - erfc(v / 4));
  all &= AGREE(log10(1 + v) * gelu(v));
  all &= holds_for_few([](auto v) { return sin(v) * erfc(v) + sqrt(v) - cbrt(v) * atan(v); }, at);
  return all ? 0 : 1;
}
