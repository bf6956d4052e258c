#pragma once

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
  /* The square root. The gradient at 0 is infinite. */                                                             \
  row(sqrt, Sqrt)                                                                                                   \
  /* 1 / sqrt(x). The gradient at 0 is infinite. */                                                                 \
  row(rsqrt, Rsqrt)                                                                                                 \
  /* e^x */                                                                                                         \
  row(exp, Exp)                                                                                                     \
  /* e^x - 1, with all digits near 0. */                                                                            \
  row(expm1, Expm1)                                                                                                 \
  /* The natural logarithm. */                                                                                      \
  row(log, Log)                                                                                                     \
  /* ln(1 + x), with all digits near 0. */                                                                          \
  row(log1p, Log1p)                                                                                                 \
  /* |x|: also i64. The gradient at 0 is 0. */                                                                      \
  row(abs, Abs)                                                                                                     \
  /* -1, 0 or 1: also i64. Not differentiable: the result is a constant. */                                         \
  row(sign, Sign)                                                                                                   \
  /* Angles of all trigonometric functions are in radians. */                                                       \
  row(sin, Sin)                                                                                                     \
  row(cos, Cos)                                                                                                     \
  row(tan, Tan)                                                                                                     \
  row(asin, Asin)                                                                                                   \
  row(acos, Acos)                                                                                                   \
  row(atan, Atan)                                                                                                   \
  row(sinh, Sinh)                                                                                                   \
  row(cosh, Cosh)                                                                                                   \
  /* The error function 2/sqrt(pi) * integral of e^(-t^2) from 0 to x. */                                           \
  row(erf, Erf)                                                                                                     \
  /* 1 - erf(x), with all digits where that is small. */                                                            \
  row(erfc, Erfc)                                                                                                   \
  /* 1 where x > 0, else 0: the perceptron's activation. Not differentiable: the result is a constant. */           \
  row(step, Step)

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
  row(pow, Pow)                                                                                                     \
  /* The larger of two: also i64. A NaN is passed on. Where both are equal each takes half of the gradient, as in   \
     PyTorch. */                                                                                                    \
  row(maximum, Maximum)                                                                                             \
  /* The smaller of two, likewise. */                                                                               \
  row(minimum, Minimum)

/// row(function, Op): comparisons, one where true, else zero, in the dtype of the operands, also i64. Not
/// differentiable: the result is a constant. Inside `map` they are the operators.
#define TAPEGRAD_COMPARISON_OPS(row)                                                                                \
  row(equal, Equal)                                                                                                 \
  row(not_equal, NotEqual)                                                                                          \
  row(less, Less)                                                                                                   \
  row(less_equal, LessEqual)                                                                                        \
  row(greater, Greater)                                                                                             \
  row(greater_equal, GreaterEqual)

/// row(Op): those whose functions are written out in math.h, as a number is among their operands.
#define TAPEGRAD_MIXED_OPS(row)                                                                                     \
  row(AddScalar)                                                                                                    \
  row(ScalarSub)                                                                                                    \
  row(MulScalar)                                                                                                    \
  row(DivScalar)                                                                                                    \
  row(ScalarDiv)                                                                                                    \
  row(PowScalar)                                                                                                    \
  row(Clamp)                                                                                                        \
  row(Where)  row(Gaussian)  row(Contribution)

/// row(function, Op, "name", initialiser): an activation Tensor function(const Tensor& x) with the layer nn::Op.
/// The initialiser is the one made for the weights before it: `he` where half of the inputs pass, else `xavier`.
#define TAPEGRAD_ACTIVATIONS(row)                                                                                   \
  /* max(x, 0). The gradient at 0 is 0. */                                                                          \
  row(relu, Relu, "relu", he)                                                                                       \
  /* min(max(x, 0), 6). The gradient at 0 and 6 is 0. */                                                            \
  row(relu6, Relu6, "relu6", he)                                                                                    \
  /* x * Phi(x) with the normal distribution function Phi, exact. Hendrycks, Gimpel, 2016. */                       \
  row(gelu, Gelu, "gelu", he)                                                                                       \
  /* x * sigmoid(x). */                                                                                             \
  row(silu, Silu, "silu", he)                                                                                       \
  /* x * tanh(softplus(x)). Misra, BMVC 2020. */                                                                    \
  row(mish, Mish, "mish", he)                                                                                       \
  /* x * min(max(x + 3, 0), 6) / 6. Its gradient at -3 is 0, at 3 it is 1. Howard et al., ICCV 2019. */             \
  row(hardswish, Hardswish, "hardswish", he)                                                                        \
  /* 1.0507... x where x > 0, else 1.7580... (e^x - 1). Klambauer et al., NIPS 2017. */                             \
  row(selu, Selu, "selu", xavier)                                                                                   \
  /* ln(1 + e^x), without overflow. */                                                                              \
  row(softplus, Softplus, "softplus", he)                                                                           \
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
  row(elu, Elu, "elu", he, alpha, 1)

/// row(function, Op, "name", initialiser, parameter, initial): an activation Tensor function(const Tensor& x, const
/// Tensor& parameter) whose second operand is learnt; its layer holds it, at first `initial`.
#define TAPEGRAD_LEARNT_ACTIVATIONS(row)                                                                            \
  /* x where x > 0, else slope * x, with a slope that broadcasts. The gradient for x at 0 is the slope. He, Zhang,  \
     Ren, Sun, ICCV 2015. */                                                                                        \
  row(prelu, Prelu, "prelu", he, slope, 0.25)

// clang-format on
