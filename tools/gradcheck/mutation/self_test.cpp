#include <algorithm>
#include <array>
#include <exception>
#include <numeric>

#include <tapegrad/gradcheck/check/derivatives.h>
#include <tapegrad/gradcheck/check/samples.h>
#include <tapegrad/gradcheck/mutation/planting.h>
#include <tapegrad/gradcheck/mutation/self_test.h>

#include <fmt/format.h>
#include <fnmatch.h>

namespace tapegrad::gradcheck {

std::string_view name_of(PlantedFault::Fate fate) noexcept {
  constexpr std::array<std::string_view, 5> kNames{"killed", "equivalent", "SURVIVED", "IDLE",
                                                   "LISTED IN VAIN"};
  return kNames[static_cast<std::size_t>(fate)];
}

namespace {

const EquivalentFault* listed(const std::vector<EquivalentFault>& all, const std::string& op,
                              const std::string& fault) {
  const auto found = std::ranges::find_if(all, [&](const EquivalentFault& e) {
    return fnmatch(e.op, op.c_str(), 0) == 0 && fnmatch(e.fault, fault.c_str(), 0) == 0;
  });
  return found == all.end() ? nullptr : &*found;
}

/// The samples of an op, drawn once.
class Subjects {
 public:
  Subjects(const Catalog::Op& op, std::uint64_t seed) : op_(op), seed_(seed) {
    op.samples(samples_);
    order_.resize(samples_.all().size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::ranges::stable_sort(order_, {}, [&](std::size_t i) { return size_of(samples_.all()[i]); });
  }

  PlantedFault plant(const detail::Fault& fault, Options options) const {
    PlantedFault result{.op = op_.name, .fault = fault.name()};
    bool differs = false;
    options.order = fault.kind == detail::FaultKind::detached ? 2 : 1;
    options.recorded = op_.max_order > 1;
    for (const std::size_t i : order_) {
      const Samples::Sample& sample = samples_.all()[i];
      options.seed = detail::seed_of(op_.name, i, seed_);
      Generator generator(options.seed, 1);
      const detail::SampleProblem problem(op_, sample, generator);
      const detail::PlantedProblem planted(problem, op_, fault);
      Report report;
      detail::check_sample(sample, planted, options, report);
      differs |= planted.made_a_difference();
      if (report.count(Verdict::fail) == 0) continue;
      result.fate = PlantedFault::Fate::killed;
      result.how = fmt::format("{}: {}", detail::label_of(sample), to_string(report.worst()));
      return result;
    }
    result.fate = differs ? PlantedFault::Fate::survived : PlantedFault::Fate::idle;
    result.how = differs
                     ? "gradients were wrong, and no sample failed"
                     : "no gradient of any sample differs: a sample is missing, or an entry in the list of "
                       "equivalent faults";
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
  std::vector<std::size_t> order_;  ///< the small ones first, where most faults are found soon
};

}  // namespace

std::vector<PlantedFault> self_test(const Catalog::Op& op, const Options& options,
                                    const std::vector<EquivalentFault>& equivalents) {
  detail::validate(options);
  using Fate = PlantedFault::Fate;
  const Subjects subjects(op, options.seed);
  std::vector<PlantedFault> all;
  for (const detail::Fault& fault : detail::faults_of(op)) {
    PlantedFault& p = all.emplace_back(subjects.plant(fault, options));
    if (fault.kind == detail::FaultKind::none) {
      // The other way round: what is right must not be killed.
      p.fault = "none: the formula as observed";
      if (p.fate == Fate::killed)
        p.fate = Fate::survived;
      else
        p.fate = Fate::killed, p.how = "nothing was found, as it should be";
      continue;
    }
    const EquivalentFault* e = listed(equivalents, op.name, p.fault);
    if (!e) continue;
    if (p.fate == Fate::idle) {
      p.fate = Fate::equivalent;
      p.how = e->reason;
    } else if (p.fate == Fate::killed) {
      p.fate = Fate::listed_in_vain;
      p.how = "it is in the list of equivalent faults, and was found all the same";
    }
  }
  return all;
}

std::vector<EquivalentFault> library_equivalents() {
  constexpr const char* kNoPlace = "a constant added to its input changes nothing: the gradient's mean is 0";
  constexpr const char* kIndices = "it keeps indices alone, and they are left as they are";
  return {
      {"add", "swapped*", "both gradients are the incoming one"},
      {"var", "without its mean*", kNoPlace},
      {"std", "without its mean*", kNoPlace},
      {"softmax", "without its mean*", kNoPlace},
      {"log_softmax", "without its mean*", kNoPlace},
      {"gather", "from stale values*", kIndices},
      {"scatter_add", "from stale values*", kIndices},
      {"index_select", "from stale values*", kIndices},
      {"index_add", "from stale values*", kIndices},
  };
}

}  // namespace tapegrad::gradcheck
