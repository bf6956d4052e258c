#pragma once

#include <tapegrad/graph/export.h>

/// The table of elementwise operations: one row makes of an op's struct its entry in the list of ops, its function
/// on tensors, its overloads inside `map` and, of an activation, the layer nn::Op, its name for make_activation
/// and its entry in the checker's catalogue. The comment above a row documents the function.
///
/// All functions broadcast (aligned at the last axis, an axis of size 1 is repeated) and take f32 or f64; where i64
/// is taken too, it says so. Operands of different dtypes throw DtypeError, shapes that do not broadcast
/// ShapeError.

// clang-format off

/// row(function, Op): Tensor function(const Tensor& x).
#define TAPEGRAD_UNARY_OPS(row)                                                                                     \
  /* -x: also i64. */                                                                                               \
  row(neg, Neg)                                                                                                     \
  /* x^2: also i64. */                                                                                              \
  row(square, Square)                                                                                               \
  /* The square root; NaN below 0. The gradient at 0 is infinite. */                                                \
  row(sqrt, Sqrt)                                                                                                   \
  /* 1 / sqrt(x); NaN below 0. The gradient at 0 is infinite. */                                                    \
  row(rsqrt, Rsqrt)                                                                                                 \
  /* The cube root, also of negative numbers. The gradient at 0 is infinite. */                                     \
  row(cbrt, Cbrt)                                                                                                   \
  /* e^x */                                                                                                         \
  row(exp, Exp)                                                                                                     \
  /* 2^x */                                                                                                         \
  row(exp2, Exp2)                                                                                                   \
  /* e^x - 1, with all digits near 0. */                                                                            \
  row(expm1, Expm1)                                                                                                 \
  /* The natural logarithm; -infinity at 0, NaN below. */                                                           \
  row(log, Log)                                                                                                     \
  /* The logarithm to base 2, likewise. */                                                                          \
  row(log2, Log2)                                                                                                   \
  /* The logarithm to base 10, likewise. */                                                                         \
  row(log10, Log10)                                                                                                 \
  /* ln(1 + x), with all digits near 0; NaN below -1. */                                                            \
  row(log1p, Log1p)                                                                                                 \
  /* |x|: also i64. The gradient at 0 is 0. */                                                                      \
  row(abs, Abs)                                                                                                     \
  /* -1, 0 or 1, NaN of NaN: also i64. Not differentiable: the result is a constant. */                             \
  row(sign, Sign)                                                                                                   \
  /* The nearest whole number; of two as near, the even one. Not differentiable: the result is a constant. */       \
  row(round, Round)                                                                                                 \
  /* The sine. Angles of all trigonometric functions are in radians; those of infinities have no value, NaN. */     \
  row(sin, Sin)                                                                                                     \
  /* The cosine. */                                                                                                 \
  row(cos, Cos)                                                                                                     \
  /* The tangent. */                                                                                                \
  row(tan, Tan)                                                                                                     \
  /* The inverse sine, in [-pi/2, pi/2]; NaN outside [-1, 1]. The gradient at -1 and 1 is infinite. */              \
  row(asin, Asin)                                                                                                   \
  /* The inverse cosine, in [0, pi]; NaN outside [-1, 1]. The gradient at -1 and 1 is infinite. */                  \
  row(acos, Acos)                                                                                                   \
  /* The inverse tangent, in [-pi/2, pi/2]. */                                                                      \
  row(atan, Atan)                                                                                                   \
  /* The hyperbolic sine, (e^x - e^-x) / 2. */                                                                      \
  row(sinh, Sinh)                                                                                                   \
  /* The hyperbolic cosine, (e^x + e^-x) / 2. */                                                                    \
  row(cosh, Cosh)                                                                                                   \
  /* The error function 2/sqrt(pi) * integral of e^(-t^2) from 0 to x. */                                           \
  row(erf, Erf)                                                                                                     \
  /* 1 - erf(x), with all digits where that is small. */                                                            \
  row(erfc, Erfc)                                                                                                   \
  /* 1 where x > 0, else 0: the perceptron's activation. Not differentiable: the result is a constant. */           \
  row(step, Step)                                                                                                   \
  /* 1 where x is neither infinite nor NaN, else 0: also i64. Not differentiable, like the next two. */             \
  row(isfinite, IsFinite)                                                                                           \
  /* 1 where x is infinite, else 0: also i64. */                                                                    \
  row(isinf, IsInf)                                                                                                 \
  /* 1 where x is NaN, else 0: also i64. */                                                                         \
  row(isnan, IsNan)

/// row(function, Op): derivatives that rules are written in, Tensor function(const Tensor& x).
#define TAPEGRAD_SLOPE_OPS(row)                                                                                     \
  /* That of sigmoid, sigmoid(x) sigmoid(-x), with all digits on both sides. */                                     \
  row(sigmoid_slope, SigmoidSlope)                                                                                  \
  /* That of tanh, 1 / cosh(x)^2, with all digits on both sides. */                                                 \
  row(tanh_slope, TanhSlope)                                                                                        \
  /* That of asin, 1 / sqrt(1 - x^2), with all digits near 0 and 1. */                                              \
  row(asin_slope, AsinSlope)                                                                                        \
  /* That of atan, 1 / (1 + x^2), without overflow. */                                                              \
  row(atan_slope, AtanSlope)

/// row(function, Op): Tensor function(const Tensor& a, const Tensor& b).
#define TAPEGRAD_BINARY_OPS(row)                                                                                    \
  /* a + b: also i64. */                                                                                            \
  row(add, Add)                                                                                                     \
  /* a - b: also i64. */                                                                                            \
  row(sub, Sub)                                                                                                     \
  /* a * b: also i64. */                                                                                            \
  row(mul, Mul)                                                                                                     \
  /* a / b, by IEEE 754: 1/0 is infinite. */                                                                        \
  row(div, Div)                                                                                                     \
  /* a^b; NaN for a negative a and a b that is not whole. The gradient for b at a = 0 is 0 where b >= 0, as in      \
     PyTorch. */                                                                                                    \
  row(pow, Pow)

/// row(function, Op): Tensor function(const Tensor& a, const Tensor& b), where either may be a C++ number instead.
#define TAPEGRAD_BINARY_FUNCTIONS(row)                                                                              \
  /* The larger of two: also i64. A NaN is passed on. Where both are equal each takes half of the gradient, as in   \
     PyTorch. */                                                                                                    \
  row(maximum, Maximum)                                                                                             \
  /* The smaller of two, likewise. */                                                                               \
  row(minimum, Minimum)                                                                                             \
  /* atan2(y, x): the angle of the point (x, y), from -pi to pi. The gradient is (x, -y) / (x^2 + y^2), without     \
     overflow; at (0, 0), where there is none, it is NaN. */                                                        \
  row(atan2, Atan2)                                                                                                 \
  /* sqrt(a^2 + b^2), without overflow or underflow. The gradient (a, b) / hypot(a, b) is (0, 0) at (0, 0), where   \
     the second derivatives are NaN. */                                                                             \
  row(hypot, Hypot)                                                                                                 \
  /* xlogy(x, y): x ln(y), and 0 where x = 0 for every y that is not NaN, as in SciPy. The gradient for x is ln(y), \
     that for y is x / y, and 0 where x = 0. */                                                                     \
  row(xlogy, Xlogy)                                                                                                 \
  /* ln(e^a + e^b), without overflow; also of infinite a and b. The gradients are sigmoid(a - b), sigmoid(b - a);   \
     where both are the same infinity, each takes half. */                                                          \
  row(logaddexp, LogAddExp)                                                                                         \
  /* a - b floor(a / b), with the sign of b: Python's %, not C's remainder. Exact. The gradients are 1 and          \
     -floor(a / b), also where a is a multiple of b and the function jumps. NaN for b = 0. Also i64, where          \
     b = 0 throws ArgumentError. */                                                                                 \
  row(remainder, Remainder)                                                                                         \
  /* a - b trunc(a / b), with the sign of a: C's fmod. Exact. The gradients are 1 and -trunc(a / b). NaN for        \
     b = 0. Also i64, likewise: C's %. */                                                                           \
  row(fmod, Fmod)

/// row(function, Op): comparisons, one where true, else zero, in the dtype of the operands, also i64. Not
/// differentiable: the result is a constant. Inside `map` they are the operators.
#define TAPEGRAD_COMPARISON_OPS(row)                                                                                \
  row(equal, Equal)                                                                                                 \
  row(not_equal, NotEqual)                                                                                          \
  row(less, Less)                                                                                                   \
  row(less_equal, LessEqual)                                                                                        \
  row(greater, Greater)                                                                                             \
  row(greater_equal, GreaterEqual)

/// row(Op): those whose functions are written out in math.h, as a number is among their operands, and those that
/// only gradients call.
#define TAPEGRAD_MIXED_OPS(row)                                                                                     \
  row(AddScalar)                                                                                                    \
  row(ScalarSub)                                                                                                    \
  row(MulScalar)                                                                                                    \
  row(DivScalar)                                                                                                    \
  row(ScalarDiv)                                                                                                    \
  row(PowerLog)                                                                                                     \
  row(PowScalar)                                                                                                    \
  row(Clamp)                                                                                                        \
  row(Where)                                                                                                        \
  row(Gaussian)                                                                                                     \
  row(LogitResidual)                                                                                                \
  row(UndefinedWhere)                                                                                               \
  row(Contribution)                                                                                                 \
  row(NanToNum)                                                                                                     \
  row(DirectionCosine)                                                                                              \
  row(CosineOverRoot)                                                                                               \
  row(ReciprocalReal)

/// row(function, Op, "name", initialiser): an activation Tensor function(const Tensor& x) with the layer nn::Op.
/// The initialiser is the one made for the weights before it: `he` where half of the inputs pass, else `xavier`.
#define TAPEGRAD_ACTIVATIONS(row)                                                                                   \
  /* max(x, 0). The gradient at 0 is 0. */                                                                          \
  row(relu, Relu, "relu", he)                                                                                       \
  /* min(max(x, 0), 6). The gradient at 0 and 6 is 0. */                                                            \
  row(relu6, Relu6, "relu6", he)                                                                                    \
  /* x * Phi(x) with the normal distribution function Phi, exact. Hendrycks, Gimpel, 2016. */                       \
  row(gelu, Gelu, "gelu", he)                                                                                       \
  /* x * (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2: their approximation of gelu, which GPT-2 uses. */           \
  row(gelu_tanh, GeluTanh, "gelu-tanh", he)                                                                         \
  /* x * sigmoid(x). */                                                                                             \
  row(silu, Silu, "silu", he)                                                                                       \
  /* x * tanh(softplus(x)). Misra, BMVC 2020. */                                                                    \
  row(mish, Mish, "mish", he)                                                                                       \
  /* x * min(max(x + 3, 0), 6) / 6. Its gradient at -3 is 0, at 3 it is 1. Howard et al., ICCV 2019. */             \
  row(hardswish, Hardswish, "hardswish", he)                                                                        \
  /* 1.0507... x where x > 0, else 1.7580... (e^x - 1). Klambauer et al., NIPS 2017. */                             \
  row(selu, Selu, "selu", xavier)                                                                                   \
  /* 1 / (1 + e^-x). */                                                                                             \
  row(sigmoid, Sigmoid, "sigmoid", xavier)                                                                          \
  /* ln(1 / (1 + e^-x)), without overflow. */                                                                       \
  row(log_sigmoid, LogSigmoid, "log-sigmoid", xavier)                                                               \
  /* min(max(x + 3, 0), 6) / 6. The gradient at -3 and 3 is 0. */                                                   \
  row(hardsigmoid, Hardsigmoid, "hardsigmoid", xavier)                                                              \
  /* The hyperbolic tangent. */                                                                                     \
  row(tanh, Tanh, "tanh", xavier)                                                                                   \
  /* x / (1 + |x|). */                                                                                              \
  row(softsign, Softsign, "softsign", xavier)

/// row(function, Op, "name", initialiser, attribute, default): an activation Tensor function(const Tensor& x,
/// double attribute = default); its layer takes the number.
#define TAPEGRAD_NUMBER_ACTIVATIONS(row)                                                                            \
  /* x where x > 0, else slope * x. The gradient at 0 is the slope. */                                              \
  row(leaky_relu, LeakyRelu, "leaky-relu", he, slope, 0.01)                                                         \
  /* x where x > 0, else alpha * (e^x - 1). Clevert, Unterthiner, Hochreiter, ICLR 2016. */                         \
  row(elu, Elu, "elu", he, alpha, 1)                                                                                \
  /* ln(1 + e^(beta x)) / beta, without overflow and exact, with no threshold. Throws ArgumentError unless beta is  \
     positive and finite. */                                                                                        \
  row(softplus, Softplus, "softplus", he, beta, 1)

/// row(function, Op, "name", initialiser, parameter, initial): an activation Tensor function(const Tensor& x, const
/// Tensor& parameter) whose second operand is learnt; its layer holds it, at first `initial`.
#define TAPEGRAD_LEARNT_ACTIVATIONS(row)                                                                            \
  /* x where x > 0, else slope * x, with a slope that broadcasts. The gradient for x at 0 is the slope. He, Zhang,  \
     Ren, Sun, ICCV 2015. */                                                                                        \
  row(prelu, Prelu, "prelu", he, slope, 0.25)

// clang-format on
