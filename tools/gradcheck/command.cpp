#include <algorithm>
#include <chrono>
#include <cstdio>

#include <tapegrad/gradcheck/command.h>

#include <fmt/format.h>
#include <fnmatch.h>

namespace tapegrad::gradcheck {

namespace {

/// The table, printed row by row as results come.
class Table {
 public:
  Table(std::size_t name_width, bool verbose)
      : name_(std::max<std::size_t>(name_width, 6)), verbose_(verbose) {
    fmt::print("{:<{}}  {:>5}  {:>7}  {:<44}  {:>14}  {:>14}  {:>9}  verdict\n", "op", name_, "order",
               "samples", "worst at", "analytic", "numeric", "rel.error");
  }

  void add(const Subject& s) {
    const Subject::Sample* worst = worst_of(s);
    fmt::print("{:<{}}  {:>5}  {:>7}  ", s.name, name_,
               s.standing == Subject::Standing::not_differentiable ? "-" : std::to_string(s.order),
               s.samples.size());
    numbers(worst ? &worst->report.worst() : nullptr, worst ? worst->label : "");
    fmt::print("  {}\n", name_of(s.standing));
    for (const Subject::Sample& sample : s.samples) {
      if (verbose_) {
        fmt::print("{:<{}}  {:>5}  {:>7}  ", "", name_, "", "");
        numbers(sample.report.worst().input.empty() ? nullptr : &sample.report.worst(), sample.label);
        fmt::print("  {}\n", name_of(sample.report.verdict()));
      }
      if (sample.report.listed().empty()) continue;
      fmt::print("    sample {}\n", sample.label);
      for (const Finding& f : sample.report.listed()) fmt::print("      {}\n", to_string(f));
    }
    for (const std::string& line : s.unproven) fmt::print("    {}\n", line);
    std::fflush(stdout);
  }

 private:
  static const Subject::Sample* worst_of(const Subject& s) {
    const Subject::Sample* worst = nullptr;
    for (const Subject::Sample& sample : s.samples) {
      const Finding& f = sample.report.worst();
      if (f.input.empty()) continue;
      if (!worst || f.verdict > worst->report.worst().verdict ||
          (f.verdict == worst->report.worst().verdict && f.verdict >= Verdict::pass &&
           f.relative_error() > worst->report.worst().relative_error()))
        worst = &sample;
    }
    return worst;
  }

  static void numbers(const Finding* f, const std::string& label) {
    if (!f) return fmt::print("{:<44}  {:>14}  {:>14}  {:>9}", label, "", "", "");
    const std::string order = f->order > 1 ? fmt::format("order {}, ", f->order) : std::string();
    // The full place of a failure follows below the line.
    std::string place = fmt::format("{}: {}{}{}", label, order, f->input, f->index);
    if (place.size() > 44) place = place.substr(0, 41) + "...";
    if (!f->message.empty()) return fmt::print("{:<44}  {:>14}  {:>14}  {:>9}", place, "", "", "");
    fmt::print("{:<44}  {:>14.6e}  {:>14.6e}  {:>9.1e}", place, f->analytic, f->numeric, f->relative_error());
  }

  std::size_t name_;
  bool verbose_;
};

bool matches(const std::string& name, const std::vector<std::string>& patterns) {
  return patterns.empty() || std::ranges::any_of(patterns, [&](const std::string& p) {
           return fnmatch(p.c_str(), name.c_str(), 0) == 0;
         });
}

template <class List>
auto matching(const List& list, const std::vector<std::string>& patterns) {
  List some;
  for (const auto& entry : list)
    if (matches(entry.name, patterns)) some.push_back(entry);
  return some;
}

std::string_view orders(std::uint8_t max_order) {
  return max_order == 0 ? "not differentiable" : max_order == 1 ? "differentiable once" : "differentiable";
}

}  // namespace

int run_command(const Catalog& catalog, const CommandOptions& options) {
  const auto ops = matching(catalog.ops(), options.patterns);
  const auto modules = matching(catalog.modules(), options.patterns);
  for (const std::string& p : options.patterns)
    if (matching(catalog.ops(), {p}).empty() && matching(catalog.modules(), {p}).empty())
      throw ArgumentError(fmt::format("no op or module matches '{}'; --list names them", p));
  std::size_t width = 0;
  for (const auto& op : ops) width = std::max(width, op.name.size());
  for (const auto& m : modules) width = std::max(width, m.name.size());
  if (options.list) {
    for (const auto& op : ops) fmt::print("{:<{}}  {}\n", op.name, width, orders(op.max_order));
    for (const auto& m : modules) fmt::print("{:<{}}  module\n", m.name, width);
    return 0;
  }

  const auto start = std::chrono::steady_clock::now();
  Options each;
  each.order = options.order;
  each.seed = options.seed;
  each.rtol = options.rtol;
  Table table(width, options.verbose);
  std::size_t samples = 0, derivatives = 0, passed = 0, none = 0, bad = 0;
  const auto add = [&](const Subject& s) {
    table.add(s);
    samples += s.samples.size();
    for (const Subject::Sample& sample : s.samples)
      for (const Verdict v :
           {Verdict::zero, Verdict::kink, Verdict::pass, Verdict::inconclusive, Verdict::fail})
        derivatives += sample.report.count(v);
    using Standing = Subject::Standing;
    ++(s.standing == Standing::pass ? passed : s.standing == Standing::not_differentiable ? none : bad);
  };
  for (const auto& op : ops) add(check_op(op, each));
  for (const auto& m : modules) add(check_module_samples(m, each));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print(
      "{} ops and modules: {} pass, {} are not differentiable, {} do not pass; {} derivatives at {} samples "
      "in {:.1f} s\n",
      passed + none + bad, passed, none, bad, derivatives, samples, seconds);
  return bad == 0 ? 0 : 1;
}

}  // namespace tapegrad::gradcheck
