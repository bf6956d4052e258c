#include <algorithm>
#include <chrono>
#include <cstdio>

#include <tapegrad/gradcheck/coverage.h>
#include <tapegrad/gradcheck/in_order.h>
#include <tapegrad/gradcheck/proofs.h>
#include <tapegrad/gradcheck/self_test.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

using Fate = PlantedFault::Fate;

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

struct Tally {
  std::size_t planted = 0, killed = 0, equivalent = 0;

  void add(const PlantedFault& p) {
    ++planted;
    killed += p.fate == Fate::killed;
    equivalent += p.fate == Fate::equivalent;
  }
  std::size_t survived() const { return planted - killed - equivalent; }
};

const char* advice(Fate fate) {
  switch (fate) {
    case Fate::survived:
      return "gradients were wrong, and no sample failed";
    case Fate::idle:
      return "no gradient of any sample differs: a sample is missing, or an entry in the list of equivalent "
             "faults";
    default:
      return "it is in the list of equivalent faults, and makes a difference";
  }
}

bool is_shown(const PlantedFault& p, bool verbose) {
  return verbose || (p.fate != Fate::killed && p.fate != Fate::equivalent);
}

}  // namespace

ExitCode run_self_test(std::span<const Job> jobs, const CommandOptions& o, const Options& each) {
  const Stopwatch watch;
  const std::vector<EquivalentFault> equivalents = library_equivalents();
  std::vector<const Catalog::Op*> ops;
  for (const Job& job : jobs)
    if (job.op && job.op->max_order > 0) ops.push_back(job.op);
  if (ops.empty())
    throw ArgumentError("--self-test: no differentiable op is selected; faults are planted in those");
  std::size_t width = 2;
  for (const Catalog::Op* op : ops) width = std::max(width, op->name.size());
  fmt::print("{:<{}}  {:>7}  {:>6}  {:>10}  {:>8}\n", "op", width, "planted", "killed", "equivalent",
             "survived");
  Tally all;
  in_order(
      ops.size(), o.threads, [&](std::size_t i) { return self_test(*ops[i], each, equivalents); },
      [&](const std::vector<PlantedFault>& faults) {
        Tally tally;
        for (const PlantedFault& p : faults) tally.add(p), all.add(p);
        fmt::print("{:<{}}  {:>7}  {:>6}  {:>10}  {:>8}\n", faults[0].op, width, tally.planted, tally.killed,
                   tally.equivalent, tally.survived());
        for (const PlantedFault& p : faults)
          if (is_shown(p, o.verbose))
            fmt::print("    {}: {}: {}\n", name_of(p.fate), p.fault, p.how.empty() ? advice(p.fate) : p.how);
        std::fflush(stdout);
        return !o.fail_fast || tally.survived() == 0;
      });
  fmt::print("{} faults planted in {} ops: {} killed, {} equivalent, {} survived, in {:.1f} s\n", all.planted,
             ops.size(), all.killed, all.equivalent, all.survived(), watch.seconds());
  return all.survived() == 0 ? ExitCode::pass : ExitCode::fault_survived;
}

ExitCode run_coverage(const Catalog& catalog, const CommandOptions&, const Options& each) {
  const Stopwatch watch;
  const Coverage c = coverage_of(catalog, each);
  for (const std::string& line : c.gaps) fmt::print("GAP: {}\n", line);
  fmt::print("{} ops and {} modules; {} of {} variants of rules run ({}); {} gaps, in {:.1f} s\n", c.ops,
             c.modules, c.reached, c.variants, fmt::join(c.instruction_sets, ", "), c.gaps.size(),
             watch.seconds());
  return c.gaps.empty() ? ExitCode::pass : ExitCode::coverage_gap;
}

}  // namespace tapegrad::gradcheck::detail
