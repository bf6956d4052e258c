#include <algorithm>
#include <cmath>

#include <tapegrad/gradcheck/check/jacobian.h>
#include <tapegrad/gradcheck/check/rounding_noise.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

Position position_of(std::size_t position, std::span<const Tensor> tensors) {
  std::size_t t = 0;
  while (position >= static_cast<std::size_t>(tensors[t].size()))
    position -= static_cast<std::size_t>(tensors[t++].size());
  return {t, position};
}

Jacobian::Jacobian(const Problem& problem, std::span<const Rule> rules)
    : problem_(problem),
      rules_(rules),
      grad_inputs_(problem.grad_inputs()),
      at_(problem.values()),
      gradients_(rules.size()) {
  for (Tensor& t : at_) t = t.copy();  // elements are moved in place, and a wrong rule may write to them
  for (const Tensor& t : at_)
    if (is_floating(t.dtype())) largest_input_ = std::max(largest_input_, largest_of({&t, 1}));
  std::vector<Tensor> constants = problem.values();
  for (std::size_t i = 0; i < constants.size(); ++i) constants[i] = problem.constant(i, constants[i]);
  const Pause pause;
  results_ = problem.evaluate(constants);
  base_ = Base(results_);
}

void Jacobian::add(std::vector<Row> rows) {
  for (std::size_t r = 0; r < rules_.size(); ++r) {
    Recording recording(problem_, at_, grad_inputs_);
    for (const Row& row : rows) gradients_[r].push_back(values_of(recording.vjp(weights_of(row), rules_[r])));
  }
  rows_.insert(rows_.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
  while (largest_.size() < rows_.size()) largest_.push_back(largest_change(largest_.size()));
}

std::vector<Tensor> Jacobian::weights_of(const Row& row) const {
  std::vector<Tensor> weights(results_.size());
  if (row.element >= 0) {
    const Position p = position_of(static_cast<std::size_t>(row.element), results_);
    const Tensor& r = results_[p.tensor];
    Doubles one(static_cast<std::size_t>(r.size()));
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

Jacobian::Gradient Jacobian::values_of(const std::vector<Tensor>& gradients) const {
  Gradient all;
  for (std::size_t k = 0; k < gradients.size(); ++k) {
    const Tensor &g = gradients[k], &x = at_[grad_inputs_[k]];
    if (g.shape() != x.shape() || g.dtype() != x.dtype())
      throw Error(fmt::format("the gradient is {} of {}, the input {} of {}", to_string(g.shape()),
                              name_of(g.dtype()), to_string(x.shape()), name_of(x.dtype())));
    all.push_back(to_doubles(g));
  }
  return all;
}

const std::vector<Jacobian::Gradient>& Jacobian::nearby(std::size_t rule, std::size_t row) {
  const auto [entry, fresh] = nearby_.try_emplace({rule, row});
  std::vector<Gradient>& all = entry->second;
  if (!fresh) return all;
  constexpr int kPoints = 12;
  Generator g(row);
  for (int i = 0; i < kPoints; ++i) try {
      Recording recording(problem_, beside(at_, g), grad_inputs_);
      RoundingNoise noise(g());
      all.push_back(values_of(recording.vjp(weights_of(rows_[row]), rules_[rule])));
    } catch (const ArgumentError&) {  // outside the function's domain
    }
  return all;
}

double Jacobian::value_rounding(std::size_t row) {
  if (nearby_values_.empty()) {
    constexpr int kPoints = 8;
    Generator g(0);
    for (int i = 0; i < kPoints; ++i) try {
        std::vector<Tensor> at = beside(at_, g);
        for (std::size_t k = 0; k < at.size(); ++k) at[k] = problem_.constant(k, at[k]);
        RoundingNoise noise(g());
        nearby_values_.emplace_back(problem_.evaluate(at));
      } catch (const ArgumentError&) {  // outside the function's domain
      }
  }
  const double usual = base_.value(rows_[row]);
  double largest = 0;
  for (const Base& near : nearby_values_) {
    const double apart = std::abs(near.value(rows_[row]) - usual);
    if (std::isfinite(apart)) largest = std::max(largest, apart);
  }
  return largest;
}

Doubles Jacobian::steps(std::size_t k) const {
  Doubles s = to_doubles(value(k));
  for (double& x : s) x = natural_step(x, input(k).max_step);
  return s;
}

double Jacobian::largest_change(std::size_t row) const {
  const double number = std::abs(base_.value(rows_[row]));
  double largest = std::isfinite(number) ? number : 0;
  for (std::size_t k = 0; k < grad_inputs_.size(); ++k) {
    const Doubles x = to_doubles(value(k)), &g = gradients_[0][row][k];
    for (std::size_t e = 0; e < x.size(); ++e) {
      const double change = std::abs(g[e]) * possible_step(x[e], input(k).max_step);
      if (std::isfinite(change)) largest = std::max(largest, change);
    }
  }
  return largest;
}

}  // namespace tapegrad::gradcheck::detail
