#include <tapegrad/nn/distributed/all_reduce.h>
#include <tapegrad/nn/distributed/all_reduce_op.h>
#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/nn/distributed/synchronised.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>

namespace tapegrad {

Tensor op::AllReduce::forward(const Tensor& x) const {
  detail::require_floating(name, x);
  nn::require_may_exchange(*communicator);
  Tensor y = x.copy();
  nn::all_reduce(*communicator, y);
  return y;
}

void op::AllReduce::vjp(VjpContext<AllReduce>& ctx) {
  ctx.add(0, nn::all_reduce(ctx.grad_output(), *ctx.op().communicator));
}

template const OpInfo& detail::info_of<op::AllReduce>();

Tensor nn::all_reduce(const Tensor& x, Communicator& communicator) {
  return apply_op(op::AllReduce{&communicator}, x);
}

}  // namespace tapegrad
