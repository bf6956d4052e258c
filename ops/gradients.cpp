#include <algorithm>
#include <cmath>
#include <limits>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/gradients.h>
#include <tapegrad/ops/loops/rows.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::dispatch_isa;
using detail::parallel_elements;
using detail::simd_for;
using detail::TensorAccess;

namespace {

/// The entry with its elements to itself: they are copied where another tensor shares them.
Tensor& own(Tensor& t) {
  if (!detail::is_unique(TensorAccess::storage(t))) t = t.copy();
  return t;
}

/// f(x) in place of each element x.
template <class F>
void transform(Gradients& g, F&& f) {
  for (Gradients::Entry& e : g)
    visit_floating(e.value.dtype(), [&]<class T> {
      T* x = TensorAccess::data_as<T>(own(e.value));
      parallel_elements(e.value.size(), [&](std::int64_t from, std::int64_t to) {
        dispatch_isa([&] { simd_for(to - from, [&](std::int64_t i) { x[from + i] = f(x[from + i]); }); });
      });
    });
}

void require_fit(const Tensor& sum, const Tensor& term) {
  if (sum.shape() != term.shape())
    throw ShapeError(
        fmt::format("gradients: {} and {} cannot be added; they are of one parameter and must have its shape",
                    to_string(sum.shape()), to_string(term.shape())));
  if (sum.dtype() != term.dtype())
    throw DtypeError(
        fmt::format("gradients: {} and {} cannot be added; they are of one parameter and must have its dtype",
                    name_of(sum.dtype()), name_of(term.dtype())));
}

Tensor* find(Gradients& g, const Gradients::Key& key) {
  return const_cast<Tensor*>(std::as_const(g).find(key));
}

/// The sum over all entries of the sum of term(x) over their elements.
template <class F>
double total(const Gradients& g, F&& term) {
  double sum = 0;
  for (const Gradients::Entry& e : g)
    sum += visit_floating(e.value.dtype(), [&]<class T> {
      const T* x = TensorAccess::data_as<T>(e.value);
      return detail::sum_terms<double>(e.value.size(),
                                       [&](std::int64_t i) { return term(static_cast<double>(x[i])); });
    });
  return sum;
}

double largest(const Gradients& g) {
  double most = 0;
  for (const Gradients::Entry& e : g)
    visit_floating(e.value.dtype(), [&]<class T> {
      for (const T x : e.value.values<T>()) most = std::max(most, std::abs(static_cast<double>(x)));
    });
  return most;
}

}  // namespace

Gradients& operator+=(Gradients& sum, const Gradients& term) {
  for (const Gradients::Entry& e : term)
    if (const Tensor* to = std::as_const(sum).find(e.key)) require_fit(*to, e.value);
  for (const Gradients::Entry& e : term) {
    Tensor* to = find(sum, e.key);
    if (!to) {
      sum.insert(e.key, e.value);
      continue;
    }
    const Tensor from = e.value;  // its own handle: `term` may be `sum` itself
    detail::add_gradient_into(own(*to), from);
  }
  return sum;
}

Gradients operator+(const Gradients& a, const Gradients& b) {
  Gradients sum = a;
  sum += b;
  return sum;
}

Gradients& operator*=(Gradients& g, double factor) {
  transform(g, [factor]<class T>(T x) { return x * static_cast<T>(factor); });
  return g;
}

Gradients operator*(const Gradients& g, double factor) {
  Gradients scaled = g;
  scaled *= factor;
  return scaled;
}
Gradients operator*(double factor, const Gradients& g) { return g * factor; }

Gradients average(std::span<const Gradients> workers) {
  if (workers.empty()) throw ArgumentError("average: no gradients given; give those of at least one worker");
  Gradients sum = workers[0];
  for (const Gradients& g : workers.subspan(1)) sum += g;
  sum *= 1 / static_cast<double>(workers.size());
  return sum;
}

double global_norm(const Gradients& g) {
  const double squares = total(g, [](double x) { return x * x; });
  if (std::isfinite(squares) && squares > 1e-280) return std::sqrt(squares);
  // Squares that f64 cannot hold, unless the elements themselves are to blame: scaled by the largest they
  // fit.
  const double scale = largest(g);
  if (std::isnan(squares) || scale == 0 || std::isinf(scale)) return std::sqrt(squares);
  return scale * std::sqrt(total(g, [scale](double x) { return (x / scale) * (x / scale); }));
}

double clip_global_norm(Gradients& g, double max_norm) {
  if (!(max_norm > 0))
    throw ArgumentError(fmt::format("clip_global_norm: max_norm is {}; it must be positive", max_norm));
  const double norm = global_norm(g);
  if (!std::isfinite(norm)) {
    std::size_t entry = 0;
    for (const Gradients::Entry& e : g) {
      const std::int64_t at = detail::first_non_finite(e.value);
      if (at >= 0)
        throw NonFinite(fmt::format(
            "clip_global_norm: gradient {} of {}, of shape {}, holds {} at {}; find its origin with "
            "Tape::check_finite, or skip this step",
            entry, g.size(), to_string(e.value.shape()), detail::value_at(e.value, at),
            detail::index_text(at, e.value.shape())));
      ++entry;
    }
  }
  if (!(norm > max_norm)) return norm;
  double factor = max_norm / norm;
  if (factor < static_cast<double>(std::numeric_limits<float>::min())) {
    // A factor that f32 rounds to a few digits or to 0: a power of two first.
    g *= std::ldexp(1.0, -std::ilogb(largest(g)));
    factor = max_norm / global_norm(g);
  }
  g *= factor;
  return norm;
}

void clip_value(Gradients& g, double limit) {
  if (!(limit > 0))
    throw ArgumentError(fmt::format("clip_value: the limit is {}; it must be positive", limit));
  transform(g, [limit]<class T>(T x) {
    const T most = static_cast<T>(limit);
    return x > most ? most : x < -most ? -most : x;
  });
}

}  // namespace tapegrad
