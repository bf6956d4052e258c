#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <tapegrad/gradcheck/check/comparison.h>
#include <tapegrad/gradcheck/check/derivatives.h>
#include <tapegrad/graph/values.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

Position position_of(std::size_t position, std::span<const Tensor> tensors) {
  std::size_t t = 0;
  while (position >= static_cast<std::size_t>(tensors[t].size()))
    position -= static_cast<std::size_t>(tensors[t++].size());
  return {t, position};
}

std::string_view describe(Rule rule) {
  switch (rule) {
    case Rule::fused:
      return kGradient;
    case Rule::general:
      return kGeneralGradient;
    default:
      return kRecordedGradient;
  }
}

namespace {

/// The derivatives of one problem.
class Derivatives {
 public:
  Derivatives(Session& s, const Problem& problem, int order, std::span<const Rule> rules)
      : session_(s),
        problem_(problem),
        order_(order),
        rules_(rules),
        grad_inputs_(problem.grad_inputs()),
        at_(problem.values()) {
    for (const std::size_t i : grad_inputs_) s.report.tally(problem.inputs()[i].name, order);
    for (Tensor& t : at_) t = t.copy();  // elements are moved in place, and a wrong rule may write to them
    std::vector<Tensor> constants = problem.values();
    for (std::size_t i = 0; i < constants.size(); ++i) constants[i] = problem.constant(i, constants[i]);
    {
      const Pause pause;
      results_ = problem.evaluate(constants);
    }
    base_ = Base(results_);
  }

  void run() {
    std::size_t elements = 0;
    for (const std::size_t i : grad_inputs_) elements += static_cast<std::size_t>(at_[i].size());
    // Each element costs an evaluation of the whole function, so a Jacobian with many elements for one result
    // is large as well.
    const bool exhaustive = session_.options.mode == Mode::exhaustive;
    full_ = elements * std::max(base_.values.size(), exhaustive ? elements : 0) <= full_size();
    choose_rows();
    slopes_.resize(rules_.size());
    for (std::size_t r = 0; r < rules_.size(); ++r) analyse(rules_[r], slopes_[r]);
    find_largest();
    const Pause pause;
    if (session_.options.mode != Mode::fast)
      for (std::size_t k = 0; k < grad_inputs_.size(); ++k) check_elements(k);
    if (!full_ && elements > 0)
      for (std::size_t d = 0; d < rows_.size(); ++d) {
        if (grad_inputs_.size() > 1)
          for (std::size_t k = 0; k < grad_inputs_.size(); ++k)
            check_direction(rows_.size() - 1 - d, k, k + 1);
        check_direction(d, 0, grad_inputs_.size());
      }
  }

  bool full() const { return full_; }
  /// [rule][row][input that needs a gradient]: the analytic gradients.
  using Gradients = std::vector<std::vector<double>>;
  const std::vector<Gradients>& slopes() const { return slopes_[0]; }
  const std::vector<Row>& rows() const { return rows_; }
  double largest_result() const {
    double largest = 0;
    for (const double y : base_.values) largest = std::max(largest, std::isfinite(y) ? std::abs(y) : 0);
    return largest;
  }

 private:
  /// Largest number of elements of a Jacobian that is compared whole.
  std::size_t full_size() const {
    switch (session_.options.mode) {
      case Mode::exhaustive:
        return std::size_t{1} << 20;
      case Mode::fast:
        return 0;
      default:
        return static_cast<std::size_t>(session_.options.full_size);
    }
  }

  void choose_rows() {
    if (full_) {
      for (std::size_t j = 0; j < base_.values.size(); ++j)
        rows_.push_back({.element = static_cast<std::ptrdiff_t>(j)});
      return;
    }
    for (int d = 0; d < session_.options.directions; ++d) {
      Row row;
      for (const Tensor& r : results_) {
        const std::vector<double> w = to_doubles(random_weights(r.shape(), f64, session_.generator));
        row.weights.insert(row.weights.end(), w.begin(), w.end());
      }
      rows_.push_back(std::move(row));
    }
  }

  std::vector<Tensor> weights_of(const Row& row) const {
    std::vector<Tensor> weights(results_.size());
    if (row.element >= 0) {
      const Position p = position_of(static_cast<std::size_t>(row.element), results_);
      const Tensor& r = results_[p.tensor];
      std::vector<double> one(static_cast<std::size_t>(r.size()));
      one[p.element] = 1;
      weights[p.tensor] = from_doubles(one, r.shape(), r.dtype());
      return weights;
    }
    std::size_t from = 0;
    for (std::size_t k = 0; k < results_.size(); ++k) {
      const auto n = static_cast<std::size_t>(results_[k].size());
      weights[k] =
          from_doubles(std::span(row.weights).subspan(from, n), results_[k].shape(), results_[k].dtype());
      from += n;
    }
    return weights;
  }

  void analyse(Rule rule, std::vector<Gradients>& slopes) {
    Recording recording(problem_, at_, grad_inputs_);
    for (const Row& row : rows_) {
      const std::vector<Tensor> g = recording.vjp(weights_of(row), rule);
      Gradients& all = slopes.emplace_back();
      for (std::size_t k = 0; k < g.size(); ++k) {
        const Tensor& x = at_[grad_inputs_[k]];
        if (g[k].shape() != x.shape() || g[k].dtype() != x.dtype())
          throw Error(fmt::format("the gradient is {} of {}, the input {} of {}", to_string(g[k].shape()),
                                  name_of(g[k].dtype()), to_string(x.shape()), name_of(x.dtype())));
        all.push_back(to_doubles(g[k]));
      }
    }
  }

  void check_elements(std::size_t k) {
    const std::size_t input = grad_inputs_[k];
    const std::vector<double> x = to_doubles(at_[input]);
    std::vector<std::size_t> elements(x.size());
    std::iota(elements.begin(), elements.end(), std::size_t{0});
    // Each element costs several evaluations of the whole function, so fewer are taken of a large input.
    const std::size_t affordable =
        std::max<std::size_t>(4, (std::size_t{1} << 17) / std::max<std::size_t>(1, x.size()));
    const std::size_t most = std::min(static_cast<std::size_t>(session_.options.elements), affordable);
    if (!full_ && elements.size() > most) {
      // The first and the last element, where loops go wrong, and random ones between.
      for (std::size_t i = 1; i + 1 < most; ++i)
        std::swap(elements[i], elements[i + session_.generator.below(elements.size() - 1 - i)]);
      if (most >= 2) elements[most - 1] = x.size() - 1;
      elements.resize(most);
    }
    for (const std::size_t e : elements) {
      const double step = natural_step(x[e], problem_.inputs()[input].max_step);
      Line line(problem_, at_, base_, {{input, e, step}});
      const std::vector<bool> still = full_ ? line.unchanged() : std::vector<bool>();
      std::size_t zeros = 0;
      for (std::size_t row = 0; row < rows_.size(); ++row) {
        const auto is_zero = [&](const std::vector<Gradients>& g) { return g[row][k][e] == 0; };
        if (full_ && still[row] && std::ranges::all_of(slopes_, is_zero)) {
          zeros += rules_.size();  // most of a large Jacobian
          continue;
        }
        for (std::size_t r = 0; r < rules_.size(); ++r) {
          const double slope = slopes_[r][row][k][e];
          Comparison j = compare_derivative(line, rows_[row], std::span(&slope, 1), session_.options.rtol);
          zero_if_negligible(j, step, largest_[row]);
          record(j, rules_[r], problem_.inputs()[input].name,
                 [&](Finding& f) { place(f, at_[input], e, row); });
        }
      }
      session_.report.tally(problem_.inputs()[input].name, order_).zero += zeros;
    }
  }

  /// Takes a derivative for zero that is too small beside the other derivatives of its result for a double to
  /// show: one whose numerical value is uncertain by more than itself, and one that differs from its
  /// numerical value by no more than the rounding of terms that cancel, as for a bias before a batch
  /// normalisation.
  void zero_if_negligible(Comparison& j, double step, double largest) const {
    constexpr double kRounding = 0x1p-46;
    const bool is_rounding =
        std::max(std::abs(j.analytic), std::abs(j.numeric)) * step <= kRounding * largest;
    if ((j.verdict == Verdict::inconclusive && is_negligible(j, step, largest)) ||
        (j.verdict == Verdict::fail && is_rounding))
      j.verdict = Verdict::zero;
  }
  bool is_negligible(const Comparison& j, double step, double largest) const {
    const double rtol = session_.options.rtol;
    const double size = std::max(std::abs(j.analytic), std::abs(j.numeric));
    return std::abs(j.analytic - j.numeric) <= rtol * size + 4 * j.uncertainty &&
           j.uncertainty * step <= rtol * largest;
  }

  /// Finds how much each row changes at most with the natural step of one element.
  void find_largest() {
    for (const Gradients& g : slopes_[0]) {
      double& largest = largest_.emplace_back(0);
      for (std::size_t k = 0; k < grad_inputs_.size(); ++k) {
        const std::vector<double> x = to_doubles(at_[grad_inputs_[k]]);
        for (std::size_t e = 0; e < x.size(); ++e)
          largest = std::max(
              largest, std::abs(g[k][e]) * natural_step(x[e], problem_.inputs()[grad_inputs_[k]].max_step));
      }
    }
  }

  /// Moves all elements of inputs [first, last) at once, each by its own random multiple of its natural step.
  /// Each moves in the direction that the gradient of the row points to, so that the parts of the derivative
  /// do not cancel.
  void check_direction(std::size_t row, std::size_t first, std::size_t last) {
    std::vector<Line::Move> moves;
    std::vector<std::vector<double>> slopes(rules_.size());
    for (std::size_t k = first; k < last; ++k) {
      const Input& in = problem_.inputs()[grad_inputs_[k]];
      const std::vector<double> x = to_doubles(at_[grad_inputs_[k]]);
      const std::vector<double> w =
          to_doubles(random_weights(at_[grad_inputs_[k]].shape(), f64, session_.generator));
      const std::vector<double>& g = slopes_[0][row][k];
      for (std::size_t e = 0; e < x.size(); ++e) {
        const double sign = g[e] > 0 ? 1 : g[e] < 0 ? -1 : w[e];
        moves.push_back(
            {grad_inputs_[k], e, 0.5 * std::copysign(w[e], sign) * natural_step(x[e], in.max_step)});
      }
      for (std::size_t r = 0; r < rules_.size(); ++r)
        slopes[r].insert(slopes[r].end(), slopes_[r][row][k].begin(), slopes_[r][row][k].end());
    }
    if (moves.empty()) return;
    const std::string& name = last - first > 1 ? kAll : problem_.inputs()[grad_inputs_[first]].name;
    const double count = static_cast<double>(moves.size());
    Line line(problem_, at_, base_, std::move(moves));
    for (std::size_t r = 0; r < rules_.size(); ++r) {
      Comparison j = compare_derivative(line, rows_[row], slopes[r], session_.options.rtol);
      zero_if_negligible(
          j, 1, std::sqrt(count) * largest_[row]);  // a direction is measured in steps of its elements
      record(j, rules_[r], name, [](Finding& f) { f.index = ", random direction"; });
    }
  }
  static inline const std::string kAll = "all inputs";

  /// Says which element of the Jacobian a finding is about.
  void place(Finding& f, const Tensor& x, std::size_t e, std::size_t row) const {
    JacobianEntry& entry = f.entry.emplace(
        JacobianEntry{.element = static_cast<std::int64_t>(e), .input = x.shape(), .row = row});
    f.index = tapegrad::detail::index_text(entry.element, entry.input);
    if (rows_[row].element < 0) {
      f.index += " of a weighted sum";
      return;
    }
    const Position p = position_of(static_cast<std::size_t>(rows_[row].element), results_);
    entry.result = static_cast<std::int64_t>(p.element);
    entry.output = results_[p.tensor].shape();
    f.index += " of result " + (results_.size() > 1 ? std::to_string(p.tensor) : std::string()) +
               tapegrad::detail::index_text(entry.result, entry.output);
  }

  /// Adds a finding to the report. `locate` completes it where the report stores it.
  template <class Locate>
  void record(const Comparison& j, Rule rule, const std::string& input, Locate&& locate) {
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

  Session& session_;
  const Problem& problem_;
  int order_;
  std::span<const Rule> rules_;
  std::vector<std::size_t> grad_inputs_;
  std::vector<Tensor> at_;
  std::vector<Tensor> results_;
  Base base_{{}};
  bool full_ = true;
  std::vector<Row> rows_;
  std::vector<std::vector<Gradients>> slopes_;
  std::vector<double> largest_;
};

/// Second derivatives do not depend on the order of differentiation. `gradients` are rows of results, each
/// differentiated for the inputs again; results and inputs are the same elements in the same order.
void check_symmetry(Session& s, const Derivatives& d, int order, std::size_t inputs) {
  const auto concatenated = [&](std::size_t row) {
    std::vector<double> all;
    for (std::size_t k = 0; k < inputs; ++k)
      all.insert(all.end(), d.slopes()[row][k].begin(), d.slopes()[row][k].end());
    return all;
  };
  const auto compare = [&](double a, double b, double size, const auto& where) {
    if (std::abs(a - b) <= 1e-10 * size || (std::isnan(a) && std::isnan(b))) return;
    s.report.add({.verdict = Verdict::fail,
                  .order = order,
                  .what = "symmetry of second derivatives",
                  .input = "inputs",
                  .index = where(),
                  .analytic = a,
                  .numeric = b});
  };
  std::vector<std::vector<double>> h;
  for (std::size_t row = 0; row < d.rows().size(); ++row) h.push_back(concatenated(row));
  if (d.full()) {
    double largest = 0;
    for (const auto& row : h)
      for (const double x : row) largest = std::max(largest, std::abs(x));
    for (std::size_t i = 0; i < h.size(); ++i)
      for (std::size_t j = 0; j < i && j < h[i].size(); ++j)
        compare(h[i][j], h[j][i], std::max(std::abs(h[i][j]), 1e-3 * largest),
                [&] { return fmt::format(", elements {} and {}", i, j); });
    return;
  }
  for (std::size_t i = 0; i + 1 < h.size(); ++i) {
    double a = 0, b = 0, size = 0;
    for (std::size_t e = 0; e < h[i].size(); ++e) {
      a += d.rows()[i + 1].weights[e] * h[i][e];
      b += d.rows()[i].weights[e] * h[i + 1][e];
      size += std::abs(d.rows()[i].weights[e] * h[i + 1][e]);
    }
    // Terms that cancel leave the rounding of the gradients they came from.
    compare(a, b, size + 1e-2 * d.largest_result(), [] { return std::string(", random directions"); });
  }
}

/// Compares all derivatives, then calls `then` with them. Where random directions leave the answer open in
/// fast mode, or find something wrong, the derivatives are compared again element by element.
template <class Then>
void differentiate(Session& s, const Problem& problem, int order, std::span<const Rule> rules, Then&& then) {
  if (s.options.mode == Mode::fast) {
    Report report;
    Session quick{s.options, report, s.generator};
    Derivatives d(quick, problem, order, rules);
    d.run();
    then(quick, d);
    if (report.count(Verdict::inconclusive) + report.count(Verdict::fail) == 0) return s.report.merge(report);
  }
  Options thorough = s.options;
  if (thorough.mode == Mode::fast) thorough.mode = Mode::automatic;
  Session session{thorough, s.report, s.generator};
  Derivatives d(session, problem, order, rules);
  d.run();
  then(session, d);
}

}  // namespace

void check_derivatives(Session& s, const Problem& problem, int order, std::span<const Rule> rules) {
  differentiate(s, problem, order, rules, [](Session&, const Derivatives&) {});
}

void check_higher_orders(Session& s, const Problem& problem, int order) {
  std::vector<Tensor> weights;
  {
    const Pause pause;
    for (const Tensor& r : problem.evaluate(problem.values()))
      weights.push_back(is_floating(r.dtype()) ? random_weights(r.shape(), r.dtype(), s.generator) : r);
  }
  const GradientProblem gradients(problem, weights);
  constexpr Rule kRules[] = {Rule::fused};
  differentiate(s, gradients, order, kRules, [&](Session& session, const Derivatives& d) {
    check_symmetry(session, d, order, problem.grad_inputs().size());
  });
  if (order < s.options.order) check_higher_orders(s, gradients, order + 1);
}

}  // namespace tapegrad::gradcheck::detail
