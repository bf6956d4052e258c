#include <cstddef>

#include <tapegrad/ops/loops/broadcast_loop.h>
#include <tapegrad/ops/loops/elementwise_sum.h>

namespace tapegrad::detail {

Tensor elementwise_sum(const ElementwiseOp& e, const void* op, std::span<const Tensor* const> in,
                       const Shape& shape, const Shape& sums, double divisor) {
  Tensor out = Tensor::empty(sums, in[0]->dtype());
  visit_floating(out.dtype(), [&]<class T> {
    BroadcastLoop<T> results(e.forward[static_cast<std::size_t>(dtype_of<T>)], op, e.arity, shape);
    for (std::size_t i = 0; i < in.size(); ++i) results.bind(i, TensorAccess::data(*in[i]), in[i]->shape());
    T* const to = TensorAccess::data_as<T>(out);
    results.sum(sums, {to, false});
    // An empty sum is 0, whatever sign it starts from.
    for (std::int64_t i = 0; i < sums.size(); ++i)
      to[i] = static_cast<T>((to[i] + T{0}) / static_cast<T>(divisor));
  });
  return out;
}

void elementwise_sum_backward(const ElementwiseOp& e, const void* op, const Shape& shape, const Shape& sums,
                              double divisor, ElementAccess context) {
  visit_floating(context.output_dtype(), [&]<class T> {
    Workspace<T> g(sums.size());
    const T* const from = reinterpret_cast<const T*>(context.grad_output_data());
    for (std::int64_t i = 0; i < sums.size(); ++i) g[i] = from[i] / static_cast<T>(divisor);
    unsigned inputs = 0;
    for (std::size_t i = 0; i < e.arity; ++i) inputs |= static_cast<unsigned>(context.needs_grad(i)) << i;
    broadcast_gradients<T>(e, op, inputs, shape, reinterpret_cast<const std::byte*>(g.data()), sums, context);
  });
}

}  // namespace tapegrad::detail
