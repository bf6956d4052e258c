#pragma once

#include <tapegrad/ops/elementwise/activation_ops.h>
#include <tapegrad/ops/elementwise/math_ops.h>
#include <tapegrad/ops/neural/loss_ops.h>
#include <tapegrad/ops/neural/norm_ops.h>
#include <tapegrad/ops/tensor/index_ops.h>
#include <tapegrad/ops/tensor/linalg_ops.h>
#include <tapegrad/ops/tensor/reduce_ops.h>
#include <tapegrad/ops/tensor/shape_ops.h>

namespace tapegrad {

/// Every op of the library, in the order of its headers: what the checker walks.
using AllOps = TypeList<
    // math_ops.h
    Add, Sub, Mul, Div, Neg, AddScalar, ScalarSub, MulScalar, DivScalar, ScalarDiv, Pow, PowScalar, Square,
    Sqrt, Rsqrt, Exp, Expm1, Log, Log1p, Abs, Sign, Maximum, Minimum, Clamp, Sin, Cos, Tan, Asin, Acos, Atan,
    Sinh, Cosh, Erf, Erfc, Where, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, Cast,
    // activation_ops.h
    Relu, LeakyRelu, Elu, Sigmoid, Tanh, Softplus, Gelu, Silu, Step,
    // reduce_ops.h
    Sum, Mean, Prod, Max, Min, ArgMax, ArgMin, Var, Std, LogSumExp, Norm, CumSum,
    // layout_ops.h
    Reshape, Permute, Flip, Slice, Unslice, Concat, Pad, BroadcastTo,
    // index_ops.h
    Gather, ScatterAdd, IndexSelect, IndexAdd, OneHot,
    // linalg_ops.h
    Matmul, Affine,
    // loss_ops.h
    Softmax, LogSoftmax, MseLoss, HalfSumSquaredError, HuberLoss, BinaryCrossEntropyWithLogits, CrossEntropy,
    SoftmaxWithLoss,
    // norm_ops.h
    BatchNorm>;

}  // namespace tapegrad
