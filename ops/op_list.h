#pragma once

#include <tapegrad/ops/elementwise/activation_ops.h>
#include <tapegrad/ops/elementwise/arithmetic_ops.h>
#include <tapegrad/ops/elementwise/math_ops.h>
#include <tapegrad/ops/elementwise/rows.h>
#include <tapegrad/ops/elementwise/special_ops.h>
#include <tapegrad/ops/op_info.h>

/// The list of the library's operations: what the checker walks (library_ops in op_info.h). Elementwise ops are the
/// rows of <tapegrad/ops/elementwise/rows.h>; every other op is a row here, and a struct in a source file of its
/// family, which ends with `template const OpInfo& detail::info_of<op::Op>();`.
#define TAPEGRAD_TENSOR_OPS(row)                                                                             \
  row(Cast) row(Sum) row(Mean) row(Prod) row(TimesPowers) row(Max) row(Min) row(ArgMax) row(ArgMin) row(Var) \
      row(Std) row(LogSumExp) row(Norm) row(VectorNorm) row(CumSum) row(Reshape) row(Permute) row(Flip)      \
          row(Slice) row(Unslice) row(Concat) row(Pad) row(BroadcastTo) row(Gather) row(ScatterAdd)          \
              row(IndexSelect) row(IndexAdd) row(OneHot) row(ArgSort) row(Matmul) row(Affine) row(Softmax)   \
                  row(LogSoftmax) row(MseLoss) row(HalfSumSquaredError) row(HuberLoss) row(MseLossElements)  \
                      row(HuberLossElements) row(BinaryCrossEntropyWithLogitsElements)                       \
                          row(BinaryCrossEntropyWithLogits) row(CrossEntropy) row(SoftmaxWithLoss)           \
                              row(SoftmaxResidual) row(BatchNorm) row(Dropout) row(Dropout2d) row(Upsample)  \
                                  row(UpsampleAdjoint) row(MaxPool2d) row(MaxPool2dScatter)                  \
                                      row(MaxPool2dGather) row(AvgPool2d) row(AvgPool2dAdjoint)              \
                                          row(AdaptiveAvgPool2d) row(AdaptiveAvgPool2dAdjoint) row(Im2col)   \
                                              row(Col2im) row(Conv2d) row(Conv2dRelu) row(Conv2dMaxPool)     \
                                                  row(ConvTranspose2d) row(ConvWeight2d)

namespace tapegrad {

namespace detail {
template <class... Ops>
TypeList<Ops...> without_first(TypeList<void, Ops...>);
}  // namespace detail

#define TAPEGRAD_ROW_1(Op) , op::Op
#define TAPEGRAD_ROW_2(function, Op, ...) , op::Op
/// The structs of all elementwise ops.
using ElementwiseOps = decltype(detail::without_first(
    TypeList<void TAPEGRAD_BINARY_OPS(TAPEGRAD_ROW_2) TAPEGRAD_BINARY_FUNCTIONS(TAPEGRAD_ROW_2)
                 TAPEGRAD_MIXED_OPS(TAPEGRAD_ROW_1) TAPEGRAD_UNARY_OPS(TAPEGRAD_ROW_2)
                     TAPEGRAD_SLOPE_OPS(TAPEGRAD_ROW_2) TAPEGRAD_COMPARISON_OPS(TAPEGRAD_ROW_2)
                         TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW_2) TAPEGRAD_NUMBER_ACTIVATIONS(TAPEGRAD_ROW_2)
                             TAPEGRAD_LEARNT_ACTIVATIONS(TAPEGRAD_ROW_2)>{}));
#undef TAPEGRAD_ROW_1
#undef TAPEGRAD_ROW_2

}  // namespace tapegrad
