#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <string>
#include <utility>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/equivalents.h>
#include <tapegrad/gradcheck/check/module_problem.h>
#include <tapegrad/gradcheck/check/modules.h>
#include <tapegrad/gradcheck/check/progress.h>
#include <tapegrad/gradcheck/check/samples.h>
#include <tapegrad/gradcheck/check/scalar_functions.h>
#include <tapegrad/ops/op_list.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

std::string_view name_of(Subject::Standing s) noexcept {
  constexpr std::array<std::string_view, 6> kNames{"PASS",     "not differentiable", "WAIVED",
                                                   "UNPROVEN", "INCONCLUSIVE",       "FAIL"};
  return kNames[static_cast<std::size_t>(s)];
}

std::string_view name_of(MutationResult::Status status) noexcept {
  constexpr std::array<std::string_view, 6> kNames{"killed",    "equivalent",     "SURVIVED",
                                                   "NO EFFECT", "NOT EQUIVALENT", "ERROR"};
  return kNames[static_cast<std::size_t>(status)];
}

namespace {
/// The formula of the elementwise op with this name; null for any other op.
template <class... Ops>
const detail::Formula* formula_named(std::string_view name, TypeList<Ops...>) {
  const detail::Formula* found = nullptr;
  ((name == Ops::name ? void(found = detail::formula_of<Ops>()) : void()), ...);
  return found;
}
}  // namespace

const Catalog& library_catalog() {
  static const Catalog catalog = [] {
    Catalog c;
    for (const OpInfo* info : library_ops()) c.add_op(*info, formula_named(info->name(), ElementwiseOps{}));
    detail::add_scalar_functions(c);
    detail::add_library_modules(c);
    for (EquivalentMutation& e : detail::library_equivalents()) c.add_equivalent(std::move(e));
    return c;
  }();
  return catalog;
}

bool Subject::Sample::unexpectedly_inconclusive() const {
  return std::ranges::any_of(
      report.tallies(), [&](const InputTally& t) { return t.inconclusive > 0 && t.order < uncertain_from; });
}

namespace detail {

std::uint64_t seed_of(std::string_view name, std::size_t sample, std::uint64_t seed) {
  std::uint64_t h = 14695981039346656037u ^ seed;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return (h ^ sample) * 1099511628211u;
}

}  // namespace detail

using detail::Progress;
using detail::seed_of;

namespace {

// Checks an op that declares to have no derivative: the tape must record nothing for it, and running it twice
// must give the same values.
void check_not_recorded(const detail::Problem& problem, Report& report) {
  const auto fail = [&](const char* what, const char* message) {
    report.add({.verdict = Verdict::fail, .what = what, .input = "result", .message = message});
  };
  std::vector<Tensor> at;
  for (const Tensor& t : problem.values()) at.push_back(t.copy());
  Tape tape;
  for (const std::size_t i : problem.grad_inputs()) at[i] = tape.watch(at[i]);
  const std::size_t nodes = tape.size();
  const std::vector<Tensor> first = problem.evaluate(at), second = problem.evaluate(at);
  if (tape.size() != nodes || first[0].tracked())
    fail("not differentiable", "it is recorded on the tape, although the op declares max_order 0");
  if (detail::to_doubles(first) != detail::to_doubles(second))
    fail("repeated", "a second run gives other values");
  for (std::size_t i = 0; i < at.size(); ++i)
    if (detail::to_doubles(at[i]) != detail::to_doubles(problem.inputs()[i].value))
      fail("nothing is changed", "it wrote to an input");
}

// Checks an op that is differentiable once: it must refuse to have its gradient recorded.
void check_refuses_to_record(const detail::Problem& problem, Report& report) {
  detail::Recording recording(problem, problem.values(), problem.grad_inputs());
  std::vector<Tensor> ones;
  for (const Tensor& r : recording.results()) ones.push_back(Tensor::ones(r.shape(), r.dtype()));
  try {
    recording.vjp(ones, detail::Rule::recorded);
  } catch (const NotDifferentiable&) {
    return;
  }
  report.add({.verdict = Verdict::fail,
              .order = 2,
              .what = "differentiable once",
              .input = "result",
              .message = "its gradient was recorded, although the op declares max_order 1"});
}

struct Expectation {
  int order = 1;
  bool differentiable = true;
  unsigned nondifferentiable_inputs = 0;
  std::optional<Waiver> waiver{};
  bool proof = true;                 ///< whether the samples must have shown derivatives other than zero
  std::set<std::string> floating{};  ///< inputs for which there could be such derivatives
};

void conclude(Subject& s, const Expectation& e) {
  Report all;
  for (const Subject::Sample& sample : s.samples) all.merge(sample.report);
  s.order = e.order;
  using Standing = Subject::Standing;
  const auto fails_in = [&](int first, int last) {
    return std::ranges::any_of(all.tallies(), [&](const InputTally& t) {
      return t.fail > 0 && t.order >= first && t.order <= last;
    });
  };
  const bool waived =
      e.waiver && fails_in(e.waiver->from_order, 255) && !fails_in(1, e.waiver->from_order - 1);
  if (waived) {
    s.standing = Standing::waived;
    s.waived = fmt::format("from order {}: {}", e.waiver->from_order, e.waiver->reason);
    return;
  }
  if (all.count(Verdict::fail) > 0) {
    s.standing = Standing::fail;
    return;
  }
  if (e.waiver && e.proof && e.order >= e.waiver->from_order)
    s.unproven.push_back(fmt::format("order {}: waived ({}), and nothing fails there: the waiver is in vain",
                                     e.waiver->from_order, e.waiver->reason));
  if (!e.differentiable) {
    s.standing = Standing::not_differentiable;
    return;
  }
  if (std::ranges::any_of(s.samples, &Subject::Sample::unexpectedly_inconclusive)) {
    s.standing = Standing::inconclusive;
    return;
  }
  if (!e.proof) return;
  const auto zero_by_definition = [&](const std::string& name) {
    for (unsigned i = 0; i < 32; ++i)
      if ((e.nondifferentiable_inputs >> i & 1u) && name == fmt::format("input {}", i)) return true;
    return false;
  };
  // At order 1 every input must have shown a derivative that is not zero, at higher orders the op as a whole.
  for (int order = 1; order <= e.order; ++order) {
    bool any = false;
    std::vector<std::string> missing;
    for (const InputTally& t : all.tallies()) {
      if (t.order != order) continue;
      any |= t.pass > 0;
      if (t.pass == 0 && !zero_by_definition(t.name)) missing.push_back(t.name);
    }
    if (order == 1)
      for (const std::string& name : e.floating)
        if (std::ranges::none_of(all.tallies(),
                                 [&](const InputTally& t) { return t.order == 1 && t.name == name; }) &&
            !zero_by_definition(name))
          missing.push_back(name);
    if (!any)
      s.unproven.push_back(fmt::format("order {}: no derivative other than zero in any sample", order));
    else if (order == 1)
      for (const std::string& name : missing)
        s.unproven.push_back(fmt::format("order 1, {}: no derivative other than zero in any sample", name));
  }
  s.standing = s.unproven.empty() ? Standing::pass : Standing::unproven;
}

/// In fast mode, of a sample of more elements than this only what they decide is checked: most of the time
/// would go into repeating what a smaller sample of the same op shows.
constexpr std::int64_t kManyElements = 20000;

bool size_alone(const std::vector<Samples::Sample>& all, std::size_t i, const Options& options) {
  const auto shows_all = [](const Samples::Sample& s) {
    return detail::elements_of(s) <= kManyElements && s.gradients.empty() && !s.intended;
  };
  return options.mode == Mode::fast && detail::elements_of(all[i]) > kManyElements &&
         all[i].gradients.empty() && !all[i].intended && std::ranges::any_of(all, shows_all);
}

/// Adds a sample with what check(report) finds. An exception is a finding, too.
template <class Check>
void add_sample(Subject& s, Subject::Sample sample, Check&& check) {
  const auto start = std::chrono::steady_clock::now();
  const double used = detail::processor_seconds();
  Progress::begin(sample);
  try {
    check(sample.report);
  } catch (...) {
    sample.report.add(
        {.verdict = Verdict::fail, .what = "sample", .input = "threw", .message = detail::exception_text()});
  }
  sample.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  sample.processor_seconds = detail::processor_seconds() - used;
  Progress::end(sample);
  s.samples.push_back(std::move(sample));
}

/// What is left of a check where the samples cannot be made, for the reason of the exception that is being
/// handled.
Subject without_samples(Subject s, std::uint64_t seed) {
  add_sample(s, {.seed = seed, .label = "samples"}, [](Report&) { throw; });
  s.standing = Subject::Standing::fail;
  return s;
}

/// Calls f(number of the sample, seed of the draw) for all samples that are chosen.
template <class F>
void for_each_chosen(const std::string& name, std::size_t count, const SampleChoice& choice,
                     std::uint64_t seed, F&& f) {
  if (choice.only && *choice.only >= count)
    throw ArgumentError(
        fmt::format("{} has no sample #{}; its {} samples are numbered from #0", name, *choice.only, count));
  for (int draw = 0; draw < choice.draws; ++draw)
    for (std::size_t i = choice.only.value_or(0); i < (choice.only ? *choice.only + 1 : count); ++i)
      f(i, seed + static_cast<std::uint64_t>(draw));
}

}  // namespace

Subject check_op(const Catalog::Op& op, const Options& options, const SampleChoice& choice) {
  detail::validate(options);
  Subject s{.name = op.name, .samples = {}, .unproven = {}};
  Samples samples;
  try {
    op.samples(samples);
  } catch (...) {
    return without_samples(std::move(s), options.seed);
  }
  Options each = options;
  each.order = std::min<int>(options.order, op.max_order);
  each.recorded = options.recorded && op.max_order > 1;
  std::set<std::string> floating;
  const auto check = [&](std::size_t i, std::uint64_t seed) {
    const Samples::Sample& sample = samples.all()[i];
    const auto run = [&](Report& report) {
      each.seed = seed_of(op.name, i, seed);
      Generator generator(each.seed, 1);
      const detail::SampleProblem problem(op, sample, generator);
      for (const detail::Input& in : problem.inputs())
        if (is_floating(in.value.dtype())) floating.insert(in.name);
      if (op.max_order == 0) return check_not_recorded(problem, report);
      detail::check_sample(
          sample, problem, each, report,
          size_alone(samples.all(), i, options) ? detail::Extent::size_alone : detail::Extent::whole);
      if (op.max_order < options.order) check_refuses_to_record(problem, report);
    };
    add_sample(s,
               {.number = i,
                .seed = seed,
                .label = detail::label_of(sample),
                .uncertain_from = sample.uncertain_from,
                .size_alone = size_alone(samples.all(), i, options)},
               run);
  };
  for_each_chosen(op.name, samples.all().size(), choice, options.seed, check);
  conclude(s, {.order = std::max(1, each.order),
               .differentiable = op.max_order > 0,
               .nondifferentiable_inputs = op.nondifferentiable_inputs,
               .waiver = op.waiver,
               .proof = !choice.only && options.f64,
               .floating = floating});
  return s;
}

Subject check_module_samples(const Catalog::Module& module, const Options& options,
                             const SampleChoice& choice) {
  detail::validate(options);
  Subject s{.name = module.name, .kind = Subject::Kind::module, .samples = {}, .unproven = {}};
  const auto made = [&](std::uint64_t seed) {
    Generator generator(seed_of(module.name, 0, seed), 1);
    return module.samples(generator);
  };
  std::uint64_t seed_of_samples = options.seed;
  bool told = false;  // that samples of this seed are missing: once for them all
  std::vector<ModuleSample> samples;
  try {
    samples = made(seed_of_samples);
  } catch (...) {
    return without_samples(std::move(s), options.seed);
  }
  const auto check = [&](std::size_t i, std::uint64_t seed) {
    // Of another seed than the first, these can fail as well.
    if (seed != seed_of_samples) {
      seed_of_samples = seed;
      told = false;
      try {
        samples = made(seed);
      } catch (...) {
        samples.clear();
        told = true;
        return add_sample(s, {.number = i, .seed = seed, .label = "samples"}, [](Report&) { throw; });
      }
    }
    if (i >= samples.size()) {
      if (!std::exchange(told, true))
        add_sample(s, {.number = i, .seed = seed, .label = "samples"}, [&](Report&) {
          throw ArgumentError(
              fmt::format("seed {} makes {} samples, the first seed more", seed, samples.size()));
        });
      return;
    }
    ModuleSample& sample = samples[i];
    std::string label = sample.label;
    for (const SampleInput& in : sample.inputs) label += (label.empty() ? "" : " ") + to_string(in.shape);
    const auto run = [&](Report& report) {
      Options each = options;
      each.seed = seed_of(module.name, i + 1, seed);
      Generator generator(each.seed, 1);  // of its own, so that the sample can be repeated by itself
      std::vector<detail::Input> inputs;
      for (std::size_t k = 0; k < sample.inputs.size(); ++k)
        inputs.push_back(detail::drawn(sample.inputs[k], fmt::format("input {}", k), generator));
      const auto function = [&](std::span<const Tensor> in) { return sample.function(*sample.module, in); };
      const detail::ModuleProblem problem(*sample.module, function, std::move(inputs), options.in_double);
      if (problem.check_visited(report)) detail::check_problem(problem, each, report);
    };
    add_sample(
        s, {.number = i, .seed = seed, .label = std::move(label), .uncertain_from = sample.uncertain_from},
        run);
  };
  for_each_chosen(module.name, samples.size(), choice, options.seed, check);
  conclude(s, {.order = options.order, .proof = !choice.only && options.f64});
  return s;
}

}  // namespace tapegrad::gradcheck
