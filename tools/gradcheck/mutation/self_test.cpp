#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/exceptions.h>
#include <tapegrad/gradcheck/check/glob.h>
#include <tapegrad/gradcheck/check/progress.h>
#include <tapegrad/gradcheck/check/samples.h>
#include <tapegrad/gradcheck/mutation/mutated_rules.h>
#include <tapegrad/gradcheck/mutation/self_test.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

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
    std::ranges::stable_sort(order_, {},
                             [&](std::size_t i) { return detail::elements_of(samples_.all()[i]); });
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
      if (report.count(Verdict::fail) == 0)
        detail::check_sample(sample, problem, options, report, detail::Extent::until_failure);
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
      const double used = detail::processor_seconds();
      try {
        if (std::optional<MutationResult> result = judged(under_test, op, mutation, options, equivalents)) {
          result->processor_seconds = detail::processor_seconds() - used;
          add(std::move(*result));
        }
      } catch (...) {
        add_exception();
      }
    }
  } catch (...) {
    add_exception();
  }
  return all;
}

}  // namespace tapegrad::gradcheck
