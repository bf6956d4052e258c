#pragma once

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/distributed/communicator.h>
#include <tapegrad/ops/op.h>
#include <tapegrad/ops/samples.h>

/// Not part of the library's interface.
namespace tapegrad::op {

/// y = the sum of x over all ranks; as L is the sum of their losses, dL/dx = the sum over all ranks of dL/dy.
///
/// It is none of the library's list of ops, which knows no ranks: its own test checks it.
struct AllReduce {
  static constexpr auto name = "all_reduce";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  nn::Communicator* communicator;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<AllReduce>& ctx);
  void describe(AttributeVisitor& v) const { v("ranks", communicator->size()); }
  static void samples(Samples& s) {
    static nn::OneRank one;
    for (const Shape& x : {Shape{}, Shape{3}, Shape{2, 3, 4}, Shape{70, 100}}) s.add(AllReduce{&one}, {x});
  }
};

}  // namespace tapegrad::op
