#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include <tapegrad/gradcheck/check/derivatives.h>
#include <tapegrad/gradcheck/check/exceptions.h>
#include <tapegrad/gradcheck/check/glob.h>
#include <tapegrad/gradcheck/check/progress.h>
#include <tapegrad/gradcheck/check/samples.h>
#include <tapegrad/gradcheck/mutation/mutated_rules.h>
#include <tapegrad/gradcheck/mutation/self_test.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

std::string_view name_of(MutationResult::Status status) noexcept {
  constexpr std::array<std::string_view, 6> kNames{"killed",    "equivalent",     "SURVIVED",
                                                   "NO EFFECT", "NOT EQUIVALENT", "ERROR"};
  return kNames[static_cast<std::size_t>(status)];
}

namespace {

const EquivalentMutation* listed(const std::vector<EquivalentMutation>& all, const std::string& op,
                                 const std::string& mutation) {
  const auto found = std::ranges::find_if(all, [&](const EquivalentMutation& e) {
    return detail::matches(op, e.op) && detail::matches(mutation, e.mutation);
  });
  return found == all.end() ? nullptr : &*found;
}

/// An op and its samples.
class OpUnderTest {
 public:
  OpUnderTest(const Catalog::Op& op, std::uint64_t seed) : op_(op), seed_(seed) {
    op.samples(samples_);
    order_.resize(samples_.all().size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::ranges::stable_sort(order_, {}, [&](std::size_t i) { return size_of(samples_.all()[i]); });
  }

  MutationResult test(const detail::Mutation& mutation, Options options) const {
    MutationResult result{.op = op_.name, .mutation = mutation.name()};
    using Kind = detail::MutationKind;
    std::string differs;  ///< at which sample
    options.order = mutation.kind == Kind::detached ? 2 : 1;
    options.recorded = op_.max_order > 1;
    for (const std::size_t i : order_) {
      const Samples::Sample& sample = samples_.all()[i];
      options.seed = detail::seed_of(op_.name, i, seed_);
      detail::Progress::begin({.number = i, .seed = seed_, .label = detail::label_of(sample)},
                              mutation.name());
      Generator generator(options.seed, 1);
      std::optional<detail::SampleProblem> plain;
      std::optional<detail::ObservedProblem> observed;  // which takes longer
      if (mutation.kind == Kind::last_forward || mutation.kind == Kind::ties)
        observed.emplace(op_, sample, generator, mutation.kind == Kind::last_forward);
      else
        plain.emplace(op_, sample, generator);
      const detail::Problem& problem = observed ? static_cast<const detail::Problem&>(*observed) : *plain;
      if (mutation.kind == Kind::ties && !observed->has_ties()) continue;
      const detail::MutatedRules mutated(op_, mutation, observed ? &*observed : nullptr);
      Report report;
      // These look at f64 alone.
      if (mutation.kind != Kind::none && mutation.kind != Kind::f32_alone) {
        detail::Session session{options, report, Generator(options.seed), true};
        session.run(1, "properties", [&] { detail::check_properties(session, problem); });
        if (!mutated.made_a_difference() && report.count(Verdict::fail) == 0) continue;  // nor will the rest
      }
      if (report.count(Verdict::fail) == 0) detail::check_sample(sample, problem, options, report, true);
      if (mutated.made_a_difference() && differs.empty()) differs = detail::label_of(sample);
      if (report.count(Verdict::fail) == 0) continue;
      result.status = MutationResult::Status::killed;
      result.explanation = fmt::format("{}: {}", detail::label_of(sample), to_string(report.worst()));
      return result;
    }
    result.status = differs.empty() ? MutationResult::Status::no_effect : MutationResult::Status::survived;
    result.explanation =
        !differs.empty()
            ? fmt::format("{}: gradients were wrong, and no sample failed", differs)
            : "no gradient of any sample differs: a sample is missing, or an entry in the list of "
              "equivalent mutations";
    return result;
  }

 private:
  static std::int64_t size_of(const Samples::Sample& sample) {
    std::int64_t n = 0;
    for (const SampleInput& in : sample.inputs) n += in.shape.size();
    return n;
  }

  const Catalog::Op& op_;
  std::uint64_t seed_;
  Samples samples_;
  std::vector<std::size_t> order_;  ///< the small ones first, where most mutations are found soon
};

/// What became of a mutation, by the list; nothing where it does not concern the op.
std::optional<MutationResult> judged(const OpUnderTest& under_test, const Catalog::Op& op,
                                     const detail::Mutation& mutation, const Options& options,
                                     const std::vector<EquivalentMutation>& equivalents) {
  using Status = MutationResult::Status;
  MutationResult p = under_test.test(mutation, options);
  if (mutation.kind == detail::MutationKind::none) {
    // The other way round: what is right must not be killed.
    p.mutation = "none: the formula as observed";
    if (p.status == Status::killed)
      p.status = Status::survived;
    else
      p.status = Status::killed, p.explanation = "nothing was found, as it should be";
    return p;
  }
  // Only where an op chooses among its elements there must be a sample with equal ones.
  if (mutation.kind == detail::MutationKind::ties && p.status == Status::no_effect && !op.branches) return {};
  const EquivalentMutation* e = listed(equivalents, op.name, p.mutation);
  if (!e) return p;
  if (p.status == Status::no_effect) {
    p.status = Status::equivalent;
    p.explanation = e->reason;
  } else if (p.status == Status::killed) {
    p.status = Status::not_equivalent;
    p.explanation = "it is in the list of equivalent mutations, and was found all the same";
  }
  return p;
}

}  // namespace

std::vector<MutationResult> self_test(const Catalog::Op& op, const Options& options,
                                      const std::vector<EquivalentMutation>& equivalents) {
  detail::validate(options);
  std::vector<MutationResult> all;
  std::string now = "samples";
  const auto add = [&all](MutationResult result) {
    detail::Progress::end(result);
    all.push_back(std::move(result));
  };
  const auto add_exception = [&] {
    add({.op = op.name,
         .mutation = now,
         .status = MutationResult::Status::error,
         .explanation = detail::exception_text()});
  };
  try {
    detail::Progress::begin({.seed = options.seed, .label = now});
    const OpUnderTest under_test(op, options.seed);
    now = "mutations";  // some are those of the terms that the op's rule has
    detail::Progress::begin({.seed = options.seed, .label = now});
    for (const detail::Mutation& mutation : detail::mutations_of(op, options.seed)) {
      now = mutation.name();
      try {
        if (std::optional<MutationResult> result = judged(under_test, op, mutation, options, equivalents))
          add(std::move(*result));
      } catch (...) {
        add_exception();
      }
    }
  } catch (...) {
    add_exception();
  }
  return all;
}

std::vector<EquivalentMutation> library_equivalents() {
  constexpr const char* kZeroMean = "a constant added to its input changes nothing: the gradient's mean is 0";
  constexpr const char* kTwoWays = "it decides between two ways to the same number";
  constexpr const char* kFusedOnly =
      "the fused rule alone reads the residual; the others compute its value again";
  constexpr const char* kFinite =
      "the gradient reads which elements are finite, and the stale ones are as finite";
  constexpr const char* kSeed = "its mask is that of its seed, whatever the inputs are";
  constexpr const char* kMean = "each step takes off what the one before has left of the mean";
  constexpr const char* kScaled = "with so many factors it is computed again, with powers of two taken off";
  constexpr const char* kTimesZero = "it is part of a 0 that has no derivative";
  return {
      {"var", "* of add *, add 1 of the rule, *", kMean},
      {"var", "right of sub *, sub [23] of the rule, *", kMean},
      {"std", "* of add *, add 1 of the rule, *", kMean},
      {"std", "* of add *, add 2 of the rule, *", kTimesZero},
      {"std", "right of sub *, sub [23] of the rule, *", kMean},
      {"prod", "*, mul 2[789] of the rule, *", kScaled},
      {"prod", "*, mul 3[012] of the rule, *", kScaled},
      {"prod", "*, mul 95 of the rule, *", "it decides on derivatives beyond the first alone"},
      {"norm", "* of add *, add 1 of the rule, *", kTimesZero},
      {"std", "mul_scalar negated, mul_scalar 1 of the rule, *", kTimesZero},
      {"norm", "mul_scalar negated, mul_scalar 1 of the rule, *", kTimesZero},
      {"vector_norm", "*add_scalar 1 of the rule, *", kTimesZero},
      {"vector_norm", "*mul_scalar 1 of the rule, *", kTimesZero},
      {"vector_norm", "neg negated, neg 1 of the rule, *", kTimesZero},
      {"norm", "div negated, div 1 of the rule, *", "its square is read"},
      {"vector_norm", "right of mul omitted, mul 1 of the rule, *", "a scale of all elements divides out"},
      {"softmax_residual", "right of sub *, sub 3 of the rule, *",
       "what is taken off all classes alike, their mean takes off as well"},
      {"dropout", "from what the last forward pass left*", kSeed},
      {"nan_to_num", "from what the last forward pass left", kFinite},
      {"nan_to_num", "from what the last forward pass left, by the general rule", kFinite},
      {"add", "swapped*", "both gradients are the incoming one"},
      {"var", "without its mean*", kZeroMean},
      {"std", "without its mean*", kZeroMean},
      {"softmax", "without its mean*", kZeroMean},
      {"log_softmax", "without its mean*", kZeroMean},
      {"remainder", "round omitted*", "the quotient is a whole number but for its rounding"},
      {"fmod", "round omitted*", "the quotient is a whole number but for its rounding"},
      {"reciprocal_real", "direction_cosine inverted, operation 2 of gradient 0", kTwoWays},
      {"reciprocal_real", "direction_cosine inverted, operation 3 of gradient 0", kTwoWays},
      {"reciprocal_real", "abs *, operation 27 of gradient 0", kTwoWays},
      {"reciprocal_real", "> inverted, operation 28 of gradient 0", kTwoWays},
      {"reciprocal_real", "where inverted, operation 29 of gradient 0", kTwoWays},
      {"logaddexp", "right of sub omitted, operation 1*",
       "beside an infinity it is only of account where it is NaN"},
      {"nan_to_num", "from stale saved values", kFinite},
      {"nan_to_num", "from stale saved values, by the general rule", kFinite},
      {"softmax_with_loss", "from stale residuals, by the general rule", kFusedOnly},
      {"softmax_with_loss", "from stale residuals, as recorded", kFusedOnly},
      {"softmax_residual", "from stale residuals, by the general rule", kFusedOnly},
      {"softmax_residual", "from stale residuals, as recorded", kFusedOnly},
      {"batch_norm", "from stale residuals, by the general rule", kFusedOnly},
      {"batch_norm", "from stale residuals, as recorded", kFusedOnly},
  };
}

}  // namespace tapegrad::gradcheck
