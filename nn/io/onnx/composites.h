#pragma once

#include <tapegrad/nn/io/onnx/op_context.h>

/// Operations that are several nodes. Not part of the library's interface.
namespace tapegrad::nn::onnx {

// elementwise_composites.cpp
Term emit_atan2(OpContext& c);
Term emit_hypot(OpContext& c);
Term emit_remainder(OpContext& c);
Term emit_clamp(OpContext& c);
Term emit_nan_to_num(OpContext& c);
Term emit_is_finite(OpContext& c);
Term emit_is_inf(OpContext& c);
Term emit_leaky_relu(OpContext& c);
Term emit_elu(OpContext& c);
Term emit_selu(OpContext& c);
Term emit_hardsigmoid(OpContext& c);
Term emit_hardswish(OpContext& c);
Term emit_prelu(OpContext& c);
Term emit_softplus(OpContext& c);
Term emit_gelu_tanh(OpContext& c);
Term emit_power_log(OpContext& c);
/// The distance of two numbers, without overflow.
Term hypotenuse(const Term& a, const Term& b);

// tensor_composites.cpp
Term emit_position(OpContext& c, std::string_view type);
Term emit_variance(OpContext& c);
Term emit_vector_norm(OpContext& c);
Term emit_reshape(OpContext& c);
Term emit_permute(OpContext& c);
Term emit_flip(OpContext& c);
Term emit_slice(OpContext& c);
Term emit_pad(OpContext& c);
Term emit_index_add(OpContext& c);
/// 1 at each index and else 0, along a new last axis.
Term one_hot(const Term& indices, std::int64_t classes, ElementType type);
Term emit_one_hot(OpContext& c);
Term emit_matmul(OpContext& c);
Term emit_affine(OpContext& c);

// image_composites.cpp
Term emit_conv(OpContext& c);
Term emit_conv_transpose(OpContext& c);
Term emit_max_pool(OpContext& c);
Term emit_conv_max_pool(OpContext& c);
Term emit_avg_pool(OpContext& c);
Term emit_adaptive_avg_pool(OpContext& c);
Term emit_upsample(OpContext& c);
Term emit_im2col(OpContext& c);
Term emit_col2im(OpContext& c);

// loss_composites.cpp
Term emit_batch_norm(OpContext& c);
/// The mean or the sum over all elements.
Term over_all(OpContext& c, std::string_view type, const Term& elements);
Term squared_difference(OpContext& c);
Term huber_elements(OpContext& c);
Term cross_entropy_elements(OpContext& c);
/// - sum_c t ln p, its mean over the rows, for the logarithms of probabilities [..., C] and targets.
Term class_loss(OpContext& c, const Term& log_probabilities);

}  // namespace tapegrad::nn::onnx
