#include <tapegrad/gradcheck/check/equivalents.h>

namespace tapegrad::gradcheck::detail {

std::vector<EquivalentMutation> library_equivalents() {
  constexpr const char* kZeroMean = "a constant added to its input changes nothing: the gradient's mean is 0";
  constexpr const char* kTwoWays = "it decides between two ways to the same number";
  constexpr const char* kFusedOnly =
      "the fused rule alone reads the residual; the others compute its value again";
  constexpr const char* kUnread =
      "the value of a statement, of which the way back reads the derivatives alone";
  constexpr const char* kFinite =
      "the gradient reads which elements are finite, and the stale ones are as finite";
  constexpr const char* kSeed = "its mask is that of its seed, whatever the inputs are";
  constexpr const char* kMean = "each step takes off what the one before has left of the mean";
  constexpr const char* kScaled = "with so many factors it is computed again, with powers of two taken off";
  constexpr const char* kTimesZero = "it is part of a 0 that has no derivative";
  return {
      {"var", "* of add *, add(mean(x0), mean(sub(x0, mean(..)))) of the rule, *", kMean},
      {"var", "right of sub *, sub(x0, add(mean(x0), mean(sub(..)))) of the rule, *", kMean},
      {"var", "right of sub *, sub(sub(x0, add(mean(..), mean(..))), mean(sub(x0, add(..)))) of the rule, *",
       kMean},
      {"std", "* of add *, add(mean(x0), mean(sub(x0, mean(..)))) of the rule, *", kMean},
      {"std", "right of sub *, sub(x0, add(mean(x0), mean(sub(..)))) of the rule, *", kMean},
      {"std", "right of sub *, sub(sub(x0, add(mean(..), mean(..))), mean(sub(x0, add(..)))) of the rule, *",
       kMean},
      {"std", "* of add *, add(reshape(g), sum(sub(sub(..), mean(..)))) of the rule, *", kTimesZero},
      {"prod", "*, mul(reshape(reshape(concat(..))), reshape(slice(reshape(..)))) #19 of the rule, *",
       kScaled},
      {"prod", "*, mul(reshape(reshape(concat(..))), reshape(slice(reshape(..)))) #2[0-4] of the rule, *",
       kScaled},
      {"prod",
       "*, mul(where(less(abs(..), c), less(abs(..), c), where(isinf(..), equal(..), c)), "
       "not_equal(permute(reshape(..)), c)) #2 of the rule, *",
       "it decides on derivatives beyond the first alone"},
      {"norm", "* of add *, add(reshape(g), sum(x0)) of the rule, *", kTimesZero},
      {"std", "mul.scalar negated, mul.scalar(broadcast_to(add(reshape(..), sum(..)))) of the rule, *",
       kTimesZero},
      {"norm", "mul.scalar negated, mul.scalar(broadcast_to(add(reshape(..), sum(..)))) of the rule, *",
       kTimesZero},
      {"vector_norm", "*add.scalar *, add.scalar(mul.scalar(mul(x0, c))) of the rule, *", kTimesZero},
      {"vector_norm", "*mul.scalar *, mul.scalar(mul(x0, c)) of the rule, *", kTimesZero},
      {"vector_norm", "neg negated, neg(where(equal(abs(..), c), c, abs(x0))) of the rule, *", kTimesZero},
      {"norm", "div negated, div(x0, reshape(y)) of the rule, *", "its square is read"},
      {"vector_norm", "right of mul omitted, mul(x0, c) of the rule, *",
       "a scale of all elements divides out"},
      {"softmax_residual", "right of sub *, sub(g, sum(where(greater(..), g, c))) of the rule, *",
       "what is taken off all classes alike, their mean takes off as well"},
      {"dropout", "from what the last forward pass left*", kSeed},
      {"dropout2d", "from what the last forward pass left*", kSeed},
      {"nan_to_num", "from what the last forward pass left", kFinite},
      {"nan_to_num", "from what the last forward pass left, by the general rule", kFinite},
      {"add", "swapped*", "both gradients are the incoming one"},
      {"var", "without its mean*", kZeroMean},
      {"std", "without its mean*", kZeroMean},
      {"softmax", "without its mean*", kZeroMean},
      {"log_softmax", "without its mean*", kZeroMean},
      {"remainder", "round omitted*", "the quotient is a whole number but for its rounding"},
      {"fmod", "round omitted*", "the quotient is a whole number but for its rounding"},
      {"reciprocal_real", "direction_cosine inverted, direction_cosine 1 of gradient 0", kTwoWays},
      {"reciprocal_real", "direction_cosine inverted, direction_cosine 2 of gradient 0", kTwoWays},
      {"reciprocal_real", "abs *, abs 1 of gradient 0", kTwoWays},
      {"reciprocal_real", "> inverted, > 4 of gradient 0", kTwoWays},
      {"reciprocal_real", "where inverted, where 4 of gradient 0", kTwoWays},
      {"logaddexp", "right of sub omitted, sub 1 of *",
       "beside an infinity it is only of account where it is NaN"},
      {"nan_to_num", "from stale saved values", kFinite},
      {"nan_to_num", "from stale saved values, by the general rule", kFinite},
      {"softmax_with_loss", "from stale residuals, by the general rule", kFusedOnly},
      {"softmax_with_loss", "from stale residuals, as recorded", kFusedOnly},
      {"softmax_residual", "from stale residuals, by the general rule", kFusedOnly},
      {"softmax_residual", "from stale residuals, as recorded", kFusedOnly},
      {"scalar_function_gradient",
       "*, add(reshape(slice(reshape(..))), mul(reshape(slice(..)), reshape(slice(..)))) of the rule, as "
       "recorded",
       kUnread},
      {"scalar_function_gradient",
       "*, add(reshape(slice(reshape(..))), mul(reshape(slice(..)), reshape(slice(..)))) #2 of the rule, as "
       "recorded",
       kUnread},
      {"scalar_function_gradient",
       "*, mul(reshape(slice(reshape(..))), reshape(slice(reshape(..)))) of the rule, as recorded", kUnread},
      {"scalar_function_gradient",
       "*, mul(reshape(slice(reshape(..))), reshape(slice(reshape(..)))) #[2-6] of the rule, as recorded",
       kUnread},
      {"scalar_function", "from stale residuals, by the general rule", kFusedOnly},
      {"scalar_function", "from stale residuals, as recorded", kFusedOnly},
      {"scalar_function", "from stale saved values",
       "the fused rule reads residuals alone, the others the inputs"},
      {"batch_norm", "from stale residuals, by the general rule", kFusedOnly},
      {"batch_norm", "from stale residuals, as recorded", kFusedOnly},
  };
}

}  // namespace tapegrad::gradcheck::detail
