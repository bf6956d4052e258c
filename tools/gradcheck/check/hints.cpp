#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include <tapegrad/gradcheck/check/hints.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

namespace {

using Findings = std::vector<const Finding*>;

// ---- where the mistake is ----

std::string_view ordinal(int order) { return order == 1 ? "first" : order == 2 ? "second" : "third"; }

std::optional<std::string> wrong_order(const Report& report) {
  int lowest = 0;
  for (const Finding& f : report.failures()) lowest = lowest == 0 ? f.order : std::min(lowest, f.order);
  if (lowest < 2) return {};
  bool before = false;
  for (const InputTally& t : report.tallies()) before |= t.order == lowest - 1 && t.pass > 0;
  if (!before) return {};
  return fmt::format("right at {} order, wrong at {}", ordinal(lowest - 1), ordinal(lowest));
}

std::optional<std::string> wrong_precision(const Report& report) {
  const auto single = [](const Finding& f) { return f.what.starts_with(kSinglePrecision); };
  if (report.count(Verdict::pass) == 0 || !std::ranges::all_of(report.failures(), single)) return {};
  return "right in f64, wrong in f32";
}

std::optional<std::string> wrong_rule(const Findings& derivatives) {
  std::set<std::string_view> wrong;
  for (const Finding* f : derivatives)
    if (f->order == 1) wrong.insert(f->what);
  if (wrong == std::set{kGradient}) return "wrong only in the fused rule";
  if (wrong == std::set{kGeneralGradient}) return "wrong only in the general rule";
  if (wrong == std::set{kRecordedGradient}) return "wrong only in the rule as it is recorded";
  if (wrong == std::set{kGeneralGradient, kRecordedGradient}) return "right only in the fused rule";
  return {};
}

// ---- what it is ----

/// Whether `value` explains what was computed: it comes far closer than the right value did.
bool explains(double value, double uncertainty, const Finding& f) {
  return std::abs(f.analytic - value) <= 1e-6 * std::abs(f.analytic - f.numeric) + 4 * uncertainty &&
         40 * uncertainty <= std::abs(f.analytic - f.numeric);
}

/// Axes of the output along which the input was broadcast.
std::vector<std::size_t> broadcast_axes(const JacobianEntry& at) {
  std::vector<std::size_t> axes;
  if (at.input.rank() > at.output.rank()) return axes;
  const std::size_t missing = at.output.rank() - at.input.rank();
  for (std::size_t d = 0; d < at.output.rank(); ++d) {
    const std::int64_t in = d < missing ? 1 : at.input[d - missing];
    if (in != at.output[d] && in != 1) return {};  // no broadcast at all
    if (in != at.output[d]) axes.push_back(d);
  }
  return axes;
}

std::string axes_text(const std::vector<std::size_t>& axes) {
  return fmt::format("dimension{} {}", axes.size() > 1 ? "s" : "", fmt::join(axes, " and "));
}

/// Each broadcast axis by itself, then all together.
std::vector<std::vector<std::size_t>> sets_of_axes(const JacobianEntry& at) {
  const std::vector<std::size_t> all = broadcast_axes(at);
  std::vector<std::vector<std::size_t>> sets;
  for (const std::size_t axis : all) sets.push_back({axis});
  if (all.size() > 1) sets.push_back(all);
  return sets;
}

std::int64_t size_along(const Shape& shape, const std::vector<std::size_t>& axes) {
  std::int64_t size = 1;
  for (const std::size_t axis : axes) size *= shape[axis];
  return size;
}

/// Of all slices along some broadcast axes, one alone has reached the gradient.
std::optional<std::string> not_summed(const Report& report, const Findings& group) {
  const auto is_missing = [](const Finding* f) {
    return f->analytic == 0 && f->entry && f->entry->result >= 0;
  };
  if (!std::ranges::all_of(group, is_missing)) return {};
  bool any_right = false;
  for (const InputTally& t : report.tallies())
    any_right |= t.order == group[0]->order && t.name == group[0]->input && t.pass > 0;
  if (!any_right) return {};
  for (const auto& axes : sets_of_axes(*group[0]->entry)) {
    std::set<std::vector<std::int64_t>> slices;
    for (const Finding* f : group) {
      std::vector<std::int64_t> index;
      std::int64_t rest = f->entry->result;
      for (std::size_t d = f->entry->output.rank(); d-- > 0; rest /= f->entry->output[d])
        if (std::ranges::find(axes, d) != axes.end()) index.push_back(rest % f->entry->output[d]);
      slices.insert(index);
    }
    if (static_cast<std::int64_t>(slices.size()) == size_along(group[0]->entry->output, axes) - 1)
      return "not summed over " + axes_text(axes);
  }
  return {};
}

std::optional<std::string> missing(const Findings& group) {
  if (!std::ranges::all_of(group, [](const Finding* f) { return f->analytic == 0; })) return {};
  return "analytic = 0";
}

/// The whole number, or one over it, that this is.
std::optional<double> simple_factor(double r) {
  for (const double whole : {std::round(r), 1 / std::round(1 / r)})
    if (std::isfinite(whole) && std::abs(r - whole) <= 1e-6 * std::abs(r - 1)) return whole;
  return {};
}

std::string factor_text(double factor, const Findings& group) {
  if (factor == -1) return "negated";
  const std::string text = fmt::format("analytic = {:.7g} x numeric", factor);
  const auto first =
      std::ranges::find_if(group, [](const Finding* f) { return f->entry && f->entry->result >= 0; });
  if (first == group.end()) return text;
  const JacobianEntry& at = *(*first)->entry;
  const auto is = [&](double value) { return std::abs(factor / value - 1) < 1e-9; };
  for (const auto& axes : sets_of_axes(at))
    if (is(1 / static_cast<double>(size_along(at.output, axes))))
      return text + ", as if averaged instead of summed over " + axes_text(axes);
  const double reduced = static_cast<double>(at.input.size()) / static_cast<double>(at.output.size());
  if (reduced > 1 && is(1 / reduced)) return text + ", as if averaged instead of summed";
  if (reduced > 1 && is(reduced)) return text + ", as if summed instead of averaged";
  return text;
}

std::optional<std::string> scaled(const Findings& group) {
  const auto relative = [](const Finding* f) { return f->uncertainty / std::abs(f->numeric); };
  if (std::ranges::any_of(group, [](const Finding* f) { return f->numeric == 0; })) return {};
  const Finding& best = **std::ranges::min_element(group, {}, relative);
  const double exact = best.analytic / best.numeric;
  const std::optional<double> simple = simple_factor(exact);
  // One number is a multiple of any other; a simple multiple it is not by chance.
  std::set<std::pair<std::size_t, std::int64_t>> places;
  for (const Finding* f : group)
    if (f->entry) places.insert({f->entry->row, f->entry->element});
  if (!simple && places.size() < 2) return {};
  const double factor = simple.value_or(exact);
  for (const Finding* f : group)
    if (!explains(factor * f->numeric, std::abs(factor) * f->uncertainty, *f)) return {};
  return factor_text(factor, group);
}

/// Where the value that was computed for an element belongs: another element, maybe of another input.
struct Source {
  std::string_view input;
  std::int64_t element = -1;
};

/// Whether each value belongs to the element that `source` names for it. The right values are known of those
/// elements alone that failed as well.
template <class F>
bool permuted(const Findings& all, const Findings& group, F&& source) {
  std::map<std::tuple<std::string_view, std::string_view, int, std::size_t, std::int64_t>, const Finding*>
      known;
  for (const Finding* f : all)
    if (f->entry) known[{f->what, f->input, f->order, f->entry->row, f->entry->element}] = f;
  std::size_t places = 0, fitting = 0;
  std::set<std::pair<std::size_t, std::int64_t>> telling;
  for (const Finding* f : group) {
    if (!f->entry) continue;
    ++places;
    const Source from = source(*f);
    const auto at = known.find({f->what, from.input, f->order, f->entry->row, from.element});
    if (from.element < 0 || at == known.end()) continue;
    const Finding& right = *at->second;
    if (!explains(right.numeric, right.uncertainty, *f)) return false;
    ++fitting;
    if (right.numeric != 0) telling.insert({f->entry->row, f->entry->element});
  }
  return telling.size() >= 2 && 3 * fitting >= places;
}

/// The elements of a matrix in the order of the transposed one.
Source transposed(const Finding& f) {
  const Shape& shape = f.entry->input;
  if (shape.rank() < 2) return {};
  const std::int64_t rows = shape.dim(-2), columns = shape.dim(-1), matrix = rows * columns;
  const std::int64_t first = f.entry->element / matrix * matrix, e = f.entry->element - first;
  return {f.input, first + e % rows * columns + e / rows};
}

Source neighbour(const Finding& f, std::int64_t distance) {
  const std::int64_t e = f.entry->element + distance;
  return {f.input, e < f.entry->input.size() ? e : -1};
}

std::optional<std::string> misplaced(const Findings& all, const Findings& group) {
  if (permuted(all, group, transposed)) return "transposed";
  for (const std::int64_t distance : {-1, 1})
    if (permuted(all, group, [&](const Finding& f) { return neighbour(f, distance); }))
      return fmt::format("off by one element: analytic[i] = numeric[i {} 1]", distance < 0 ? '-' : '+');
  std::set<std::string_view> others;
  for (const Finding* f : all)
    if (f->input != group[0]->input && f->entry) others.insert(f->input);
  for (const std::string_view other : others)
    if (permuted(all, group, [&](const Finding& f) { return Source{other, f.entry->element}; }))
      return fmt::format("swapped with {}", other);
  return {};
}

std::optional<std::string> pattern_of(const Report& report, const Findings& all, const Findings& group) {
  for (const Finding* f : group)
    if (!std::isfinite(f->analytic) || !std::isfinite(f->numeric)) return {};
  if (auto text = not_summed(report, group)) return text;
  if (auto text = missing(group)) return text;
  if (auto text = scaled(group)) return text;
  return misplaced(all, group);
}

}  // namespace

std::vector<std::string> hints(const Report& report) {
  std::vector<std::string> list;
  if (report.failures().empty()) return list;
  const auto add = [&](std::optional<std::string> text) {
    if (text) list.push_back(std::move(*text));
  };
  add(wrong_order(report));
  add(wrong_precision(report));
  Findings derivatives;
  std::map<std::pair<int, std::string_view>, Findings> groups;
  for (const Finding& f : report.failures())
    if (f.is_derivative()) {
      derivatives.push_back(&f);
      groups[{f.order, f.input}].push_back(&f);
    }
  add(wrong_rule(derivatives));

  // One pattern for all, or one for each input.
  std::vector<std::string> each;
  std::set<std::string> different;
  for (const auto& [key, group] : groups) {
    const std::optional<std::string> text = pattern_of(report, derivatives, group);
    different.insert(text.value_or(""));
    if (text)
      each.push_back(fmt::format("{}{}: {}", key.second,
                                 key.first > 1 ? fmt::format(" at order {}", key.first) : "", *text));
  }
  if (different.size() == 1 && !each.empty())
    list.push_back(*different.begin());
  else
    list.insert(list.end(), each.begin(), each.end());
  return list;
}

}  // namespace tapegrad::gradcheck
