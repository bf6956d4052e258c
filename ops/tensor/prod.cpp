#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/tensor/reduction.h>

namespace tapegrad {

using namespace detail;

namespace op {

/// dy/dx is the product of all others: computed as such, so that zeros do no harm.
struct Prod : Reduction {
  static constexpr auto name = "prod";
  static constexpr auto saves = saves_for(kIn0);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Prod>& ctx);
  static void vjp_fused(VjpContext<Prod>& ctx);
  static void samples(Samples& s) {
    // Near 1, so that the product of a thousand stays a number of ordinary size.
    // The rule as recorded takes a step for each power of two below their number, and all of them are mutated: 2^16 are
    // just enough for several threads.
    reduction_samples(s, Prod{}, [](const Shape& x) { return SampleInput(x, {0.95, 1.05}); }, {256, 256});
    s.add(Prod{{0b1, false}}, {SampleInput::of(Tensor::from({2, 0, -3, 0.5}, f64))}, "one zero");
    s.add(Prod{{0b10, false}}, {SampleInput::of(Tensor::from({{2, 0, 3}, {0, 1, 0}}, f64))}, "two zeros");
    s.add(Prod{{0b1, false}}, {SampleInput::of(Tensor::from({3e20, 2e25, -1e-23, 4e-22}, f64))},
          "products of some beyond f32");
    s.uncertain_from(3);  // in f32, where numbers of the rule's own derivative are infinite
  }
};

/// y = x 2^e for the exponents e of each element, i64. Its derivative takes others, d, by the same formula the other
/// way round: those of a rule whose other powers make up for the difference.
struct TimesPowers {
  static constexpr auto name = "times_powers";
  static constexpr auto saves = saves_for(kIn1 | kIn2);
  static constexpr bool composed = false;
  static constexpr unsigned nondifferentiable_inputs = 0b110;
  Tensor forward(const Tensor& x, const Tensor& e, const Tensor& d) const;
  static void vjp(VjpContext<TimesPowers>& ctx) {
    ctx.add(0, apply_op(TimesPowers{}, ctx.grad_output(), ctx.input<2>(), ctx.input<1>()));
  }
  static void samples(Samples& s) {
    const auto exponents = SampleInput::constant(Tensor::from({{0, 3}, {-2, 30}}, i64));
    s.add(TimesPowers{}, {Shape{2, 2}, exponents, exponents});
    const auto many = SampleInput::constant(Tensor::full({263, 131}, 5, i64));
    s.add(TimesPowers{}, {Shape{263, 131}, many, many}, "for several threads");
  }
};

}  // namespace op

// ---- products of any size ----
//
// A product may be in range where products of some of its factors are not. Where one is not, a power of two is taken
// from each factor: that loses no digit. The product of what is left is near 1, as is that of any factors that follow
// each other, and of the two ends without the middle. The powers are given back at the end.

namespace {

/// Whether products of any of so many elements are in range, as the elements are near enough to 1, or 0.
bool all_products_in_range(const Tensor& x, std::int64_t factors) {
  return visit_floating(x.dtype(), [&]<class T> {
    constexpr std::int64_t kExponents = std::numeric_limits<T>::max_exponent - 2;
    const T most = std::ldexp(T{1}, static_cast<int>(kExponents / std::max(factors, std::int64_t{1})));
    const T least = 1 / most;
    return all_hold(elements<T>(x), x.size(), [most, least](T v) {
      const T size = v < T{0} ? -v : v;
      return ((size <= most) & (size >= least)) | (v == T{0});
    });
  });
}

/// Whether a product has all its digits but for rounding.
template <class T>
bool is_exact_product(T a, T b, T product) {
  const T size = std::abs(product);
  return (size >= std::numeric_limits<T>::min() && size <= std::numeric_limits<T>::max()) || a == 0 || b == 0;
}

/// v 2^exponent, of any exponent.
template <class T>
T times_power(T v, std::int64_t exponent) {
  constexpr std::int64_t kMost = 8 * std::numeric_limits<T>::max_exponent;
  return std::ldexp(v, static_cast<int>(std::clamp(exponent, -kMost, kMost)));
}

/// A product so far: fraction * 2^exponent, with a fraction of [1/2, 1), times the factors that are 0, infinite or NaN.
template <class T>
struct RunningProduct {
  T fraction;
  T special;
  std::int64_t exponent;

  static RunningProduct one() { return {T(0.5), 1, 1}; }
  /// Takes a factor; returns which power of two of it the fraction has not.
  int take(T v) {
    if (v == 0 || !std::isfinite(v)) {
      special *= v;
      return 0;
    }
    int e;
    fraction *= std::frexp(v, &e);
    exponent += e;
    int rest;
    fraction = std::frexp(fraction, &rest);
    exponent += rest;
    return e + rest;
  }
  /// The same where nobody asks for the power.
  void multiply(T v) {
    constexpr T kFar = T(std::uint64_t{1} << 60);
    const T product = fraction * v;
    const T size = std::abs(product);
    if (size <= kFar && size >= 1 / kFar)
      fraction = product;
    else
      take(v);
  }
  T value() const { return special == 1 ? times_power(fraction, exponent) : fraction * special; }
};

/// f(i, o) for each element of the input and its output, in order.
template <class F>
void for_each_element(const ReductionNest& nest, const F& f) {
  const std::int64_t step = nest.inner().stride[1];
  nest.for_each_run(0, nest.size(), [&](const ReductionNest::Offsets& at, std::int64_t run) {
    for (std::int64_t j = 0; j < run; ++j) f(at[0] + j, at[1] + j * step);
  });
}

/// Exponents of powers of two for each element, i64, and those for its derivative.
struct Powers {
  Tensor e, d;

  explicit Powers(const Shape& shape) : e(Tensor::empty(shape, i64)), d(Tensor::empty(shape, i64)) {}
  std::int64_t& of(std::int64_t i) const { return TensorAccess::data_as<std::int64_t>(e)[i]; }
  std::int64_t& of_derivative(std::int64_t i) const { return TensorAccess::data_as<std::int64_t>(d)[i]; }
};
Tensor operator*(const Tensor& x, const Powers& p) { return apply_op(op::TimesPowers{}, x, p.e, p.d); }

/// The powers by which a rule for x with the gradient g brings both near 1, and the gradient of x back.
///
/// A gradient that is 0 for a zero among the factors has derivatives in range though its power may be beyond. So where
/// there is a zero the powers of derivatives are others: what enters is divided by the power of its element, and each
/// result is multiplied by 2^total over that of its own, which is the same in all.
struct Scaling {
  Powers into_x, into_g, back;

  Scaling(const Tensor& x, const Tensor& g, const op::Reduction& r)
      : into_x(x.shape()), into_g(g.shape()), back(x.shape()) {
    const ReductionNest nest = nest_of(x.shape(), r.axes);
    visit_floating(x.dtype(), [&]<class T> {
      Workspace<RunningProduct<T>> products(g.size());
      for (std::int64_t o = 0; o < g.size(); ++o) {
        products[o] = RunningProduct<T>::one();
        into_g.of(o) = -products[o].take(elements<T>(g)[o]);
      }
      for_each_element(
          nest, [&](std::int64_t i, std::int64_t o) { into_x.of(i) = -products[o].take(elements<T>(x)[i]); });
      const auto total = [&](std::int64_t o) { return products[o].exponent - 1; };
      const auto has_zero = [&](std::int64_t o) { return products[o].special == T{0}; };
      for (std::int64_t o = 0; o < g.size(); ++o)
        into_g.of_derivative(o) = into_g.of(o) + (has_zero(o) ? total(o) : 0);
      for_each_element(nest, [&](std::int64_t i, std::int64_t o) {
        back.of(i) = into_x.of(i) + total(o);
        into_x.of_derivative(i) = has_zero(o) ? back.of(i) : into_x.of(i);
        back.of_derivative(i) = has_zero(o) ? into_x.of(i) : back.of(i);
      });
    });
  }
};

}  // namespace

// ---- the operations ----

Tensor op::TimesPowers::forward(const Tensor& x, const Tensor& e, const Tensor&) const {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    parallel_elements(x.size(), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        TensorAccess::data_as<T>(y)[i] = times_power(elements<T>(x)[i], elements<std::int64_t>(e)[i]);
    });
  });
  return y;
}

Tensor op::Prod::forward(const Tensor& x) const {
  Tensor y = reduce_any<ProductReducer>(x, *this);
  const std::int64_t factors = reduced_count(x.shape(), axes);
  if (!is_floating(x.dtype()) || all_products_in_range(x, factors)) return y;
  visit_floating(x.dtype(), [&]<class T> {
    Workspace<RunningProduct<T>> products(y.size());
    std::fill_n(products.data(), y.size(), RunningProduct<T>::one());
    for_each_element(nest_of(x.shape(), axes),
                     [&](std::int64_t i, std::int64_t o) { products[o].multiply(elements<T>(x)[i]); });
    // Each product that was right keeps its bits, whatever stands beside it.
    const T rounding = static_cast<T>(factors) * std::numeric_limits<T>::epsilon();
    T* const out = TensorAccess::data_as<T>(y);
    for (std::int64_t o = 0; o < y.size(); ++o) {
      const T right = products[o].value();
      if (!(std::abs(out[o] - right) <= rounding * std::abs(right))) out[o] = right;
    }
  });
  return y;
}

namespace {

// In general, a tree of products: of elements that follow each other, then of products that do. Going down again, each
// half's gradient is the parent's times the other half: no division, so zeros do no harm, and every step is an op, so
// that the rule itself has derivatives.
Tensor times_others(const Tensor& x, const Tensor& grad_output, AxisMask axes) {
  const ReducedInFront order(x.shape(), axes);
  const Tensor front = permute(x, order.to_front);
  const std::int64_t n = reduced_count(x.shape(), axes);
  const std::int64_t width = x.size() / n;
  const auto leaves = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(n)));
  struct Pairs {
    Tensor a, b;
  };
  std::vector<Pairs> tree;
  Tensor rows = pad(reshape(front, Shape{n, width}), {{0, leaves - n}, {0, 0}}, 1);
  for (std::int64_t half = leaves / 2; half > 0; half /= 2) {
    const Tensor pairs = reshape(rows, Shape{half, 2, width});
    tree.push_back({select(pairs, 1, 0), select(pairs, 1, 1)});
    if (half > 1) rows = tree.back().a * tree.back().b;
  }
  Tensor g = reshape(grad_output, Shape{1, width});
  for (auto level = tree.rbegin(); level != tree.rend(); ++level) {
    g = reshape(stack({g * level->b, g * level->a}, 1), Shape{2 * g.shape()[0], width});
  }
  return permute(reshape(slice(g, 0, 0, n), front.shape()), order.back);
}

/// Whether a product is rightly beyond the normal numbers of the dtype: as small as `right`, or as large.
Tensor rightly_out_of_range(const Tensor& product, const Tensor& right) {
  const double least = visit_floating(
      right.dtype(), []<class T> { return static_cast<double>(std::numeric_limits<T>::min()); });
  return where(abs(right) < least, abs(product) < least, where(isinf(right), product == right, 0));
}

}  // namespace

void op::Prod::vjp(VjpContext<Prod>& ctx) {
  const AxisMask axes = ctx.op().axes;
  const Tensor x = ctx.input<0>();
  if (x.size() == 0) return ctx.add(0, Tensor::zeros(x.shape(), x.dtype()));
  const Tensor g = ctx.grad_output();
  const std::int64_t factors = reduced_count(x.shape(), axes) + 1;
  Tensor r = times_others(x, g, axes);
  if (!all_products_in_range(x, factors) || !all_products_in_range(g, factors)) {
    const Scaling by(x.detach(), g.detach(), ctx.op());
    const Tensor near_1 = times_others(x * by.into_x, g * by.into_g, axes);
    const Tensor right = near_1 * by.back;
    // The derivatives of what is out of range itself may be in it, which those powers would take there; a product with
    // a factor of 0 is in it.
    const Tensor out_of_range = rightly_out_of_range(r.detach(), right.detach()) * (near_1.detach() != 0);
    r = where(out_of_range, r, right);
  }
  const Tensor grad_output = beside_input(ctx, g);
  ctx.add(0, contribution(grad_output, r));
}

namespace {

/// The gradient of x: the product of g and the elements before, then of those behind; the second walk is the first in a
/// mirror. Returns whether no partial product has left the range of the dtype; without a `check` none can.
template <bool Check, class T>
bool write_times_others(const ReductionNest& nest, const T* x, Tensor before, T* grad_input) {
  bool exact = true;
  const std::int64_t n = nest.size();
  const std::int64_t last = before.size() - 1;
  const auto times = [&](T& product, T v) {
    const T next = product * v;
    if constexpr (Check) exact &= is_exact_product(product, v, next);
    product = next;
  };
  T* product = TensorAccess::data_as<T>(before);
  for_each_element(nest, [&](std::int64_t i, std::int64_t o) {
    grad_input[i] = product[o];
    times(product[o], x[i]);
  });
  std::fill_n(product, last + 1, T{1});
  for_each_element(nest, [&](std::int64_t i, std::int64_t o) {
    grad_input[n - 1 - i] *= product[last - o];
    times(product[last - o], x[n - 1 - i]);
  });
  return exact;
}

}  // namespace

void op::Prod::vjp_fused(VjpContext<Prod>& ctx) {
  const Tensor x = ctx.input<0>();
  const Tensor& g = ctx.grad_output();
  Tensor grad_input = Tensor::empty(x.shape(), x.dtype());
  if (x.size() > 0)
    visit_floating(x.dtype(), [&]<class T> {
      const ReductionNest nest = nest_of(x.shape(), ctx.op().axes);
      T* const to = TensorAccess::data_as<T>(grad_input);
      const std::int64_t factors = reduced_count(x.shape(), ctx.op().axes) + 1;
      const bool in_range = all_products_in_range(x, factors) && all_products_in_range(g, factors);
      if (in_range ? write_times_others<false>(nest, elements<T>(x), g.copy(), to)
                   : write_times_others<true>(nest, elements<T>(x), g.copy(), to))
        return;
      const Scaling by(x, g, ctx.op());
      const Tensor near_1 = x * by.into_x;
      write_times_others<false>(nest, elements<T>(near_1), g * by.into_g, to);
      for (std::int64_t i = 0; i < x.size(); ++i) to[i] = times_power(to[i], by.back.of(i));
    });
  if (all_finite(grad_input)) return ctx.add(0, grad_input);
  broadcast_grad(ctx, [&]<class T> {  // an element without a gradient times an infinite product of others
    return [p = elements<T>(grad_input)](std::int64_t i, std::int64_t) { return p[i]; };
  });
}

Tensor prod(const Tensor& x, const Axes& axes, KeepDims keep) { return apply_along<op::Prod>(x, axes, keep); }

template const OpInfo& detail::info_of<op::Prod>();
template const OpInfo& detail::info_of<op::TimesPowers>();

}  // namespace tapegrad
