// Formulas in a file that is compiled with -Ofast are as exact as the library's operations.

#include <cmath>
#include <cstdio>

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

}  // namespace

#define AGREE(f) \
  agree(         \
      #f, [](auto v) { return f; }, [](const Tensor& v) { return f; }, at)

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
  return all ? 0 : 1;
}
