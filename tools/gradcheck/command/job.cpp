#include <algorithm>

#include <tapegrad/gradcheck/check/exceptions.h>
#include <tapegrad/gradcheck/command/job.h>
#include <tapegrad/gradcheck/mutation/self_test.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

// What makes the samples is not the command's user: its ArgumentError is no wrong usage.
template <class F>
auto under_name(const std::string& name, F&& f) {
  try {
    return f();
  } catch (...) {
    throw Error(fmt::format("{}: {}", name, detail::exception_text()));
  }
}

}  // namespace

std::size_t Job::samples() const {
  return under_name(name(), [&] {
    if (op) {
      Samples all;
      op->samples(all);
      return all.all().size();
    }
    Generator generator(0);
    return module->samples(generator).size();
  });
}

Subject Job::check(const Options& options, const SampleChoice& choice) const {
  return op ? check_op(*op, options, choice) : check_module_samples(*module, options, choice);
}

std::vector<MutationResult> Job::self_test(const Options& options,
                                           const std::vector<EquivalentMutation>& equivalents) const {
  return gradcheck::self_test(*op, options, equivalents);
}

namespace {
std::string out_of_time_text(const Progress::Activity& now, double limit, std::string_view what_follows) {
  return fmt::format("it has not ended after {:g} s, at {}; the {} that follow it were not checked", limit,
                     now.place(), what_follows);
}
}  // namespace

Subject Job::out_of_time(const Options& options, const Progress& progress, double limit) const {
  const Progress::Activity now = progress.activity();
  Subject s{.name = name(),
            .kind = op ? Subject::Kind::op : Subject::Kind::module,
            .standing = Subject::Standing::fail,
            .order = op ? std::max(1, std::min<int>(options.order, op->max_order)) : options.order,
            .samples = progress.finished(),
            .unproven = {}};
  Subject::Sample sample = now.sample;
  sample.seconds = now.seconds();
  sample.report.add({.verdict = Verdict::fail,
                     .order = now.order,
                     .what = "time limit",
                     .input = now.input.empty() ? "all inputs" : now.input,
                     .index = now.index,
                     .message = out_of_time_text(now, limit, "samples")});
  s.samples.push_back(std::move(sample));
  return s;
}

std::vector<MutationResult> Job::self_test_out_of_time(const Progress& progress, double limit) const {
  const Progress::Activity now = progress.activity();
  const bool at_mutation = !now.mutation.empty();  // else what it needs is being made
  std::vector<MutationResult> all = progress.finished_mutations();
  all.push_back({.op = op->name,
                 .mutation = at_mutation ? now.mutation : now.sample.label,
                 .status = MutationResult::Status::error,
                 .explanation = fmt::format("{}#{} {}: {}", name(), now.sample.number, now.sample.label,
                                            out_of_time_text(now, limit, "mutations"))});
  return all;
}

std::vector<std::string> names_of(const std::vector<Job>& jobs) {
  std::vector<std::string> names;
  for (const Job& job : jobs) names.push_back(job.name());
  return names;
}

}  // namespace tapegrad::gradcheck::detail
