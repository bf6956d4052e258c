// Compiled with -O3 -ffast-math, so that it instantiates no templates of other headers: those would be shared
// with files that are compiled without.
#include "limit_kernels.h"
#include "limit_target.h"

#include <cstring>

namespace tapegrad::bench::limit {
namespace body {

using Index = std::int64_t;

// 2^n p(r) with n the nearest integer to x / ln 2, and a polynomial for e^r on the rest (Cephes'
// coefficients).
BODY float exp(float x) {
  x = x > 87.0F ? 87.0F : x < -87.0F ? -87.0F : x;
  const auto n = static_cast<std::int32_t>(x * 1.44269504F + (x < 0 ? -0.5F : 0.5F));
  const auto nf = static_cast<float>(n);
  const float r = x - nf * 0.693147181F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1;
  const std::int32_t bits = (n + 127) << 23;
  float scale = 0;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}
BODY float sigmoid(float x) { return 1 / (1 + exp(-x)); }
BODY float tanh(float x) { return 1 - 2 / (exp(2 * x) + 1); }

BODY void convert(const std::uint8_t* RESTRICT in, float* RESTRICT out, Index count) {
  for (Index i = 0; i < count; ++i) out[i] = static_cast<float>(in[i]) * (1.0F / 255);
}

BODY void bias_relu(float* RESTRICT h, const float* RESTRICT bias, Index n, Index width) {
  for (Index i = 0; i < n; ++i, h += width)
    for (Index j = 0; j < width; ++j) {
      const float v = h[j] + bias[j];
      h[j] = v > 0 ? v : 0;
    }
}

BODY void add_bias(float* RESTRICT h, const float* RESTRICT bias, Index n, Index width) {
  for (Index i = 0; i < n; ++i, h += width)
    for (Index j = 0; j < width; ++j) h[j] += bias[j];
}

BODY void relu_backward(float* RESTRICT dh, const float* RESTRICT h, float* RESTRICT sums, Index n,
                        Index width) {
  for (Index j = 0; j < width; ++j) sums[j] = 0;
  for (Index i = 0; i < n; ++i, h += width, dh += width)
    for (Index j = 0; j < width; ++j) {
      const float d = h[j] > 0 ? dh[j] : 0;
      dh[j] = d;
      sums[j] += d;
    }
}

BODY void sum_rows(const float* RESTRICT d, float* RESTRICT sums, Index n, Index width) {
  for (Index j = 0; j < width; ++j) sums[j] = 0;
  for (Index i = 0; i < n; ++i, d += width)
    for (Index j = 0; j < width; ++j) sums[j] += d[j];
}

BODY void sgd(float* RESTRICT w, const float* RESTRICT g, float lr, Index count) {
  for (Index i = 0; i < count; ++i) w[i] -= lr * g[i];
}

BODY void adam(float* RESTRICT w, const float* RESTRICT g, float* RESTRICT m, float* RESTRICT v, float lr,
               Index count) {
  for (Index i = 0; i < count; ++i) {
    m[i] += 0.1F * (g[i] - m[i]);
    v[i] += 0.001F * (g[i] * g[i] - v[i]);
    w[i] -= lr * m[i] / (__builtin_sqrtf(v[i]) + 1e-7F);
  }
}

BODY float squared_error(const float* RESTRICT y, const float* RESTRICT t, float* RESTRICT d, Index count) {
  const float scale = 2 / static_cast<float>(count);
  float sum = 0;
  for (Index i = 0; i < count; ++i) {
    const float r = y[i] - t[i];
    sum += r * r;
    d[i] = scale * r;
  }
  return sum / static_cast<float>(count);
}

BODY float softmax(const float* RESTRICT y, const std::uint8_t* RESTRICT labels, float* RESTRICT d, Index n,
                   Index width) {
  const float scale = 1 / static_cast<float>(n);
  float loss = 0;
  for (Index i = 0; i < n; ++i, y += width, d += width) {
    float most = y[0];
    for (Index j = 1; j < width; ++j) most = y[j] > most ? y[j] : most;
    float sum = 0;
    for (Index j = 0; j < width; ++j) {
      d[j] = exp(y[j] - most);
      sum += d[j];
    }
    loss += most + __builtin_logf(sum) - y[labels[i]];
    const float factor = scale / sum;
    for (Index j = 0; j < width; ++j) d[j] *= factor;
    d[labels[i]] -= scale;
  }
  return loss * scale;
}

BODY void batch_norm(const float* RESTRICT z, const float* RESTRICT gamma, const float* RESTRICT beta,
                     float* RESTRICT normal, float* RESTRICT inverse, float* RESTRICT h, Index n,
                     Index width) {
  constexpr Index kColumns = 64;  // their sums stay in registers
  const float scale = 1 / static_cast<float>(n);
  for (Index j0 = 0; j0 < width; j0 += kColumns) {
    const Index columns = width - j0 < kColumns ? width - j0 : kColumns;
    float mean[kColumns] = {};
    float squares[kColumns] = {};
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < columns; ++j) mean[j] += z[i * width + j0 + j];
    for (Index j = 0; j < columns; ++j) mean[j] *= scale;
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < columns; ++j) {
        const float r = z[i * width + j0 + j] - mean[j];
        squares[j] += r * r;
      }
    for (Index j = 0; j < columns; ++j) inverse[j0 + j] = 1 / __builtin_sqrtf(squares[j] * scale + 1e-5F);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < columns; ++j) {
        const float x = (z[i * width + j0 + j] - mean[j]) * inverse[j0 + j];
        const float v = gamma[j0 + j] * x + beta[j0 + j];
        normal[i * width + j0 + j] = x;
        h[i * width + j0 + j] = v > 0 ? v : 0;
      }
  }
}

BODY void batch_norm_backward(float* RESTRICT dh, const float* RESTRICT h, const float* RESTRICT normal,
                              const float* RESTRICT inverse, const float* RESTRICT gamma,
                              float* RESTRICT dgamma, float* RESTRICT dbeta, Index n, Index width) {
  for (Index j = 0; j < width; ++j) dgamma[j] = dbeta[j] = 0;
  for (Index i = 0; i < n * width; i += width)
    for (Index j = 0; j < width; ++j) {
      const float d = h[i + j] > 0 ? dh[i + j] : 0;
      dh[i + j] = d;
      dbeta[j] += d;
      dgamma[j] += d * normal[i + j];
    }
  const float scale = 1 / static_cast<float>(n);
  for (Index i = 0; i < n * width; i += width)
    for (Index j = 0; j < width; ++j)
      dh[i + j] = gamma[j] * inverse[j] * (dh[i + j] - scale * (dbeta[j] + normal[i + j] * dgamma[j]));
}

BODY float formula(const float* RESTRICT x, float a, float b, Index count) {
  constexpr Index kBlock = 4096;  // sums of limited length, for their accuracy
  float total = 0;
  for (Index from = 0; from < count; from += kBlock) {
    const Index to = count - from < kBlock ? count : from + kBlock;
    float sum = 0;
    for (Index i = from; i < to; ++i) sum += sigmoid(a * x[i] + b) * tanh(x[i]) + (x[i] > 0 ? x[i] : 0);
    total += sum;
  }
  return total;
}

BODY void formula_gradient(const float* RESTRICT x, float a, float b, float* RESTRICT dx, Index count) {
  for (Index i = 0; i < count; ++i) {
    const float s = sigmoid(a * x[i] + b);
    const float t = tanh(x[i]);
    dx[i] = s * (a * (1 - s) * t + (1 - t * t)) + (x[i] > 0 ? 1.0F : 0.0F);
  }
}

}  // namespace body

KERNEL(void, convert, (const std::uint8_t* in, float* out, std::int64_t count), (in, out, count))
KERNEL(void, bias_relu, (float* h, const float* bias, std::int64_t n, std::int64_t width),
       (h, bias, n, width))
KERNEL(void, add_bias, (float* h, const float* bias, std::int64_t n, std::int64_t width), (h, bias, n, width))
KERNEL(void, relu_backward, (float* dh, const float* h, float* sums, std::int64_t n, std::int64_t width),
       (dh, h, sums, n, width))
KERNEL(void, sum_rows, (const float* d, float* sums, std::int64_t n, std::int64_t width), (d, sums, n, width))
KERNEL(void, sgd, (float* w, const float* g, float lr, std::int64_t count), (w, g, lr, count))
KERNEL(void, adam, (float* w, const float* g, float* m, float* v, float lr, std::int64_t count),
       (w, g, m, v, lr, count))
KERNEL(float, squared_error, (const float* y, const float* t, float* d, std::int64_t count), (y, t, d, count))
KERNEL(float, softmax,
       (const float* y, const std::uint8_t* labels, float* d, std::int64_t n, std::int64_t width),
       (y, labels, d, n, width))
KERNEL(void, batch_norm,
       (const float* z, const float* gamma, const float* beta, float* normal, float* inverse, float* h,
        std::int64_t n, std::int64_t width),
       (z, gamma, beta, normal, inverse, h, n, width))
KERNEL(void, batch_norm_backward,
       (float* dh, const float* h, const float* normal, const float* inverse, const float* gamma,
        float* dgamma, float* dbeta, std::int64_t n, std::int64_t width),
       (dh, h, normal, inverse, gamma, dgamma, dbeta, n, width))
KERNEL(float, formula, (const float* x, float a, float b, std::int64_t count), (x, a, b, count))
KERNEL(void, formula_gradient, (const float* x, float a, float b, float* dx, std::int64_t count),
       (x, a, b, dx, count))

}  // namespace tapegrad::bench::limit
