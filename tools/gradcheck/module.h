#pragma once

#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/nn/module.h>

namespace tapegrad::gradcheck {

/// Checks f, which runs the module on the inputs, for every parameter of the module and every floating input:
///
///     const auto loss = [&](const Tensor& x, const Tensor& t) { return softmax_with_loss(net(x), t); };
///     const gradcheck::Report report = gradcheck::check_module(net, loss, {x, t});
///
/// Parameters appear in the report under their paths, frozen ones as constants. While it runs, parameters and
/// buffers are f64 (unless Options::in_double is false), and buffers and generators start from the same state
/// in each evaluation; all are as before when it returns or throws.
TAPEGRAD_API Report check_module(nn::Module& module, TensorFunction f, const std::vector<Tensor>& inputs,
                                 const Options& options = {});
/// The same for module(x).
TAPEGRAD_API Report check_module(nn::Module& module, const Tensor& x, const Options& options = {});

}  // namespace tapegrad::gradcheck
