#pragma once

#include <cstdint>

/// The hand-fused loops of the hand-written contender, compiled for several instruction sets, the best of
/// which is used. Matrices are row major: n rows of `width`.
namespace tapegrad::bench::limit {

/// out = in / 255.
void convert(const std::uint8_t* in, float* out, std::int64_t count);
/// h = max(0, h + bias).
void bias_relu(float* h, const float* bias, std::int64_t n, std::int64_t width);
/// h += bias.
void add_bias(float* h, const float* bias, std::int64_t n, std::int64_t width);
/// dh = 0 where h is not above 0; column_sums = sum of the rows of dh.
void relu_backward(float* dh, const float* h, float* column_sums, std::int64_t n, std::int64_t width);
void sum_rows(const float* d, float* column_sums, std::int64_t n, std::int64_t width);
/// w -= lr g.
void sgd(float* w, const float* g, float lr, std::int64_t count);
/// Adam with the rate corrected for the bias of the moments.
void adam(float* w, const float* g, float* m, float* v, float lr, std::int64_t count);
/// y = mean (y - t)^2 is returned, and d is its gradient.
float squared_error(const float* y, const float* t, float* d, std::int64_t count);
/// Cross entropy of softmax(y), the mean over the rows; d is its gradient.
float softmax(const float* y, const std::uint8_t* labels, float* d, std::int64_t n, std::int64_t width);

/// Batch normalisation with the ReLU behind it: normal = (z - mean) / deviation, h = max(0, gamma normal +
/// beta). `inverse` is 1 / deviation of each column.
void batch_norm(const float* z, const float* gamma, const float* beta, float* normal, float* inverse,
                float* h, std::int64_t n, std::int64_t width);
/// dh becomes the gradient with respect to z.
void batch_norm_backward(float* dh, const float* h, const float* normal, const float* inverse,
                         const float* gamma, float* dgamma, float* dbeta, std::int64_t n, std::int64_t width);

/// The formula of FormulaTask: its sum, and its gradient.
float formula(const float* x, float a, float b, std::int64_t count);
void formula_gradient(const float* x, float a, float b, float* dx, std::int64_t count);
/// The same with functions as exact as the library's, without -ffast-math.
float formula_exact(const float* x, float a, float b, std::int64_t count);
void formula_exact_gradient(const float* x, float a, float b, float* dx, std::int64_t count);

}  // namespace tapegrad::bench::limit
