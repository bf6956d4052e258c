#include <algorithm>
#include <cmath>
#include <numeric>

#include <tapegrad/gradcheck/check/derivatives.h>
#include <tapegrad/gradcheck/check/directions.h>
#include <tapegrad/graph/values.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

Derivatives::Derivatives(Session& s, const Problem& problem, int order, std::span<const Rule> rules)
    : session_(s), order_(order), jacobian_(problem, rules) {
  for (std::size_t k = 0; k < jacobian_.grad_inputs().size(); ++k) {
    const std::string& name = jacobian_.input(k).name;
    const auto& excepted = s.options.without_gradient;
    s.report.tally(name, order).needs_proof =
        order == 1 && jacobian_.value(k).size() > 0 && std::ranges::find(excepted, name) == excepted.end();
  }
}

void Derivatives::run() {
  Progress::at(order_, "gradients");
  const Mode mode = session_.options.mode;
  std::size_t elements = 0;
  for (std::size_t k = 0; k < jacobian_.grad_inputs().size(); ++k)
    elements += static_cast<std::size_t>(jacobian_.value(k).size());
  const std::size_t results = jacobian_.base().values.size();
  full_ = mode == Mode::exhaustive ? elements * results <= kExhaustiveSize && elements <= kExhaustiveElements
          : mode == Mode::fast     ? false
                               : elements * results <= static_cast<std::size_t>(session_.options.full_size);
  if (full_) {
    std::vector<Row> rows(results);
    for (std::size_t j = 0; j < results; ++j) rows[j].element = static_cast<std::ptrdiff_t>(j);
    jacobian_.add(std::move(rows));
  }
  Directions directions(session_, jacobian_, *this);
  directions.add_rows();
  const Pause pause;
  if (mode != Mode::fast)
    for (std::size_t k = 0; k < jacobian_.grad_inputs().size(); ++k) check_elements(k);
  Progress::at(order_, "random directions");
  if (elements > 0) directions.run();
}

std::vector<std::size_t> Derivatives::chosen_elements(std::size_t k) {
  const auto size = static_cast<std::size_t>(jacobian_.value(k).size());
  std::vector<std::size_t> elements(size);
  std::iota(elements.begin(), elements.end(), std::size_t{0});
  if (full_) return elements;
  // Each element costs several evaluations of the whole function, so fewer are taken of a large input.
  const std::size_t affordable =
      std::max<std::size_t>(4, (std::size_t{1} << 17) / std::max<std::size_t>(1, size));
  const std::size_t most = std::min(static_cast<std::size_t>(session_.options.elements), affordable);
  if (size <= most) return elements;
  // The first and the last element, where loops go wrong, and random ones between.
  for (std::size_t i = 1; i + 1 < most; ++i)
    std::swap(elements[i], elements[i + session_.generator.below(size - 1 - i)]);
  if (most >= 2) elements[most - 1] = size - 1;
  elements.resize(most);
  return elements;
}

void Derivatives::check_elements(std::size_t k) {
  const Doubles x = to_doubles(jacobian_.value(k)), steps = jacobian_.steps(k);
  // Single results where all are compared, else weighted sums.
  const std::size_t rows = full_ ? jacobian_.base().values.size() : jacobian_.rows().size();
  const std::size_t rules = jacobian_.rules().size();
  const std::string& name = jacobian_.input(k).name;
  std::size_t zeros = 0;
  for (const std::size_t e : chosen_elements(k)) {
    if (Progress::is_watched())
      Progress::at(order_, kGradient, name,
                   tapegrad::detail::index_text(static_cast<std::int64_t>(e), jacobian_.value(k).shape()));
    Line line(jacobian_.problem(), jacobian_.at(), jacobian_.base(),
              {{jacobian_.grad_inputs()[k], e, steps[e]}});
    const std::vector<bool> still = full_ ? line.unchanged() : std::vector<bool>();
    for (std::size_t row = 0; row < rows; ++row) {
      if (session_.decided()) return;
      bool all_zero = full_ && still[row];
      for (std::size_t r = 0; r < rules && all_zero; ++r) all_zero = jacobian_.gradient(r, row, k)[e] == 0;
      if (all_zero) {
        zeros += rules;  // most of a large Jacobian
        continue;
      }
      for (std::size_t r = 0; r < rules; ++r) {
        const double slope = jacobian_.gradient(r, row, k)[e];
        const auto rounding = [&](std::span<const double> moves) {
          double largest = 0;
          for (const Jacobian::Gradient& g : jacobian_.nearby(r, row))
            if (std::isfinite(g[k][e])) largest = std::max(largest, std::abs(g[k][e] - slope));
          return largest * moves[0];
        };
        const Claim claim{.slopes = std::span(&slope, 1),
                          .rounding = rounding,
                          .value_rounding = [&] { return jacobian_.value_rounding(row); },
                          .rtol = session_.options.rtol,
                          .strict = session_.options.rtol,
                          .step = possible_step(x[e], jacobian_.input(k).max_step),
                          .largest = jacobian_.largest(row),
                          .most_rounding = jacobian_.most_rounding()};
        const Comparison c = compare_derivative(line, jacobian_.rows()[row], claim);
        record(c, jacobian_.rules()[r], name, [&](Finding& f) { place(f, k, e, row); });
      }
    }
  }
  session_.report.tally(name, order_).zero += zeros;
}

/// Says which element of the Jacobian a finding is about.
void Derivatives::place(Finding& f, std::size_t k, std::size_t e, std::size_t row) const {
  JacobianEntry& entry = f.entry.emplace(JacobianEntry{
      .element = static_cast<std::int64_t>(e), .input = jacobian_.value(k).shape(), .row = row});
  f.index = tapegrad::detail::index_text(entry.element, entry.input);
  if (jacobian_.rows()[row].element < 0) {
    f.index += " of a weighted sum";
    return;
  }
  const std::vector<Tensor>& results = jacobian_.results();
  const Position p = position_of(static_cast<std::size_t>(jacobian_.rows()[row].element), results);
  entry.result = static_cast<std::int64_t>(p.element);
  entry.output = results[p.tensor].shape();
  f.index += " of result " + (results.size() > 1 ? std::to_string(p.tensor) : std::string()) +
             tapegrad::detail::index_text(entry.result, entry.output);
}

void Derivatives::record(const Comparison& j, Rule rule, const std::string& input, const Locate& locate) {
  const bool excused =
      j.verdict == Verdict::fail && std::abs(j.analytic - j.numeric) <= session_.options.excuse_atol;
  Finding f{.verdict = excused ? Verdict::inconclusive : j.verdict,
            .order = order_,
            .what = {},
            .input = {},
            .index = {},
            .analytic = j.analytic,
            .numeric = j.numeric,
            .uncertainty = j.uncertainty,
            .step = j.step};
  if (!session_.report.would_store(f.verdict, f.relative_error())) {
    Report::count_in(session_.report.tally(input, order_), f.verdict);
    return;
  }
  f.what = describe(rule);
  if (excused) f.what += " (excused by the absolute tolerance)";
  f.input = input;
  locate(f);
  session_.report.add(std::move(f));
}

}  // namespace tapegrad::gradcheck::detail
