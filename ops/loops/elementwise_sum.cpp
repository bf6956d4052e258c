#include <cstddef>

#include <tapegrad/ops/loops/broadcast_loop.h>
#include <tapegrad/ops/loops/elementwise_sum.h>

namespace tapegrad::detail {

Tensor elementwise_sum(const ElementwiseOp& e, const void* op, std::span<const Tensor* const> in,
                       const Shape& shape, const Shape& sums, double divisor) {
  Tensor out = Tensor::empty(sums, in[0]->dtype());
  visit_floating(out.dtype(), [&]<class T> {
    BroadcastLoop<T> results(e.forward[static_cast<std::size_t>(dtype_of<T>)], op, shape);
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
    for (std::size_t i = 0; i < e.arity; ++i) {
      if (!context.needs_grad(i)) continue;
      const Shape to = context.input_shape(i);
      BroadcastLoop<T> gradient(e.backward[i][static_cast<std::size_t>(dtype_of<T>)], op, shape);
      gradient.bind(0, reinterpret_cast<const std::byte*>(g.data()), sums);
      for (std::size_t k = 0; k < e.arity; ++k)
        if (e.saves[i] >> k & 1u)
          gradient.bind(1 + k, context.saved_data(static_cast<unsigned>(k)), context.input_shape(k));
      context.accumulate(i, dtype_of<T>, [&](std::byte* data, bool add) {
        const Destination<T> destination{reinterpret_cast<T*>(data), add};
        if (to.size() == shape.size())
          gradient.write(destination);
        else
          gradient.sum(to, destination);
      });
    }
  });
}

}  // namespace tapegrad::detail
