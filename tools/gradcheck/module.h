#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/graph/callback.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/tensors.h>

namespace tapegrad::gradcheck {

namespace detail {

/// Runs a module on the inputs that were given beside it, and returns its results.
using RunModule = Callback<std::vector<Tensor>(std::span<const Tensor> inputs)>;
TAPEGRAD_API Report check_module_function(nn::ModuleBase& module, RunModule f,
                                          const std::vector<Tensor>& inputs, const Options& options);

}  // namespace detail

/// Checks f, which runs the module on the inputs, for every parameter of the module and every floating input:
///
///     const auto loss = [&](const Tensor& x, const Tensor& t) { return softmax_with_loss(net(x), t); };
///     const gradcheck::Report report = gradcheck::check_module(net, loss, {x, t});
///
/// Parameters appear in the report under their paths, frozen ones as constants. While it runs, parameters and
/// buffers are f64 (unless Options::in_double is false), and buffers and generators start from the same state
/// in each evaluation; all are as before when it returns or throws.
TAPEGRAD_API Report check_module(nn::ModuleBase& module, TensorFunction f, const std::vector<Tensor>& inputs,
                                 const Options& options = {});
/// The same for module(x).
TAPEGRAD_API Report check_module(nn::Module& module, const Tensor& x, const Options& options = {});

/// The same for layer(arguments...), with any arguments and results: all floating tensors that the arguments
/// hold (tensors.h) are inputs, all that the result holds are results.
///
///     gradcheck::check_module(lstm_cell, {x, LstmState{h, c}})
///     gradcheck::check_module(concat_layer, {std::vector{a, b}})
template <class R, class... A>
Report check_module(nn::Layer<R(A...)>& layer,
                    const std::type_identity_t<std::tuple<std::remove_cvref_t<A>...>>& arguments,
                    Options options = {}) {
  // What holds no tensors, such as a list of lengths, is passed on as it is.
  const auto for_each_argument = [](auto& all, auto f) {
    std::size_t i = 0;
    const auto visit = [&](auto& argument) {
      const std::string name = "input " + std::to_string(i++);
      if constexpr (nn::lists_tensors<std::remove_cvref_t<decltype(argument)>>)
        nn::for_each_tensor(argument, [&](std::string_view path, Tensor& t) {
          if (t.defined()) f(path.empty() ? name : name + "." + std::string(path), t);
        });
    };
    std::apply([&](auto&... argument) { (visit(argument), ...); }, all);
  };
  auto varied = arguments;
  std::vector<Tensor> inputs;
  std::vector<std::string> names;
  for_each_argument(varied, [&](std::string name, Tensor& t) {
    inputs.push_back(t);
    names.push_back(std::move(name));
  });
  if (options.names.empty()) options.names = names;
  const auto run = [&](std::span<const Tensor> in) {
    std::size_t next = 0;
    for_each_argument(varied, [&](const std::string&, Tensor& t) { t = in[next++]; });
    const R result = std::apply([&](auto&... a) { return layer(std::forward<A>(a)...); }, varied);
    std::vector<Tensor> results;
    nn::for_each_tensor(result, [&](std::string_view, const Tensor& t) {
      if (t.defined() && is_floating(t.dtype())) results.push_back(t);
    });
    return results;
  };
  return detail::check_module_function(layer, run, inputs, options);
}

}  // namespace tapegrad::gradcheck
