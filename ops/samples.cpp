#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/samples.h>

#include <fmt/format.h>

namespace tapegrad {

Domain::~Domain() = default;

SampleInput::SampleInput(const Shape& s, const Domain& d) : shape(s), domain(d) {}
SampleInput::SampleInput(const SampleInput&) = default;
SampleInput::SampleInput(SampleInput&&) noexcept = default;
SampleInput& SampleInput::operator=(const SampleInput&) = default;
SampleInput& SampleInput::operator=(SampleInput&&) noexcept = default;
SampleInput::~SampleInput() = default;

SampleInput SampleInput::distinct(const Shape& s, const Domain& d) {
  SampleInput in(s, d);
  in.kind = Kind::distinct;
  return in;
}
SampleInput SampleInput::of(const Tensor& v) {
  SampleInput in(v.shape());
  in.kind = Kind::values;
  in.values = v;
  return in;
}
SampleInput SampleInput::absent() {
  SampleInput in{Shape{}};
  in.kind = Kind::absent;
  return in;
}
SampleInput SampleInput::constant(const Tensor& v) {
  SampleInput in = of(v);
  in.kind = Kind::constant;
  return in;
}

void Samples::append(Attributes op, Function function, std::vector<SampleInput> inputs,
                     std::string_view label) {
  all_.push_back(
      {std::string(label), std::vector<std::byte>(op.begin(), op.end()), function, std::move(inputs)});
}

void Samples::set_intended(Sample::Intended intended) {
  if (all_.empty())
    throw ArgumentError(
        "Samples::straight_through: there is no sample yet; it holds for those that were added before it");
  for (Sample& s : all_)
    if (!s.intended) s.intended = intended;
}

void Samples::append_convention(Attributes op, Function function, const std::vector<std::vector<double>>& at,
                                const std::vector<std::vector<double>>& gradients) {
  std::vector<SampleInput> inputs;
  for (const std::vector<double>& x : at) inputs.push_back(SampleInput::of(Tensor::from(x)));
  append(op, function, std::move(inputs), "convention");
  for (const std::vector<double>& g : gradients) all_.back().gradients.push_back(Tensor::from(g));
  uncertain_from(1);
}

void Samples::append_convention(Attributes op, Function function, const Tensor& at, const Tensor& gradient) {
  append(op, function, {SampleInput::of(at)}, "convention");
  all_.back().gradients = {gradient};
  uncertain_from(1);
}

namespace {

/// All n-tuples of the shapes.
std::vector<std::vector<Shape>> tuples(const std::vector<Shape>& shapes, std::size_t n) {
  std::vector<std::vector<Shape>> all{{}};
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<std::vector<Shape>> longer;
    for (const std::vector<Shape>& head : all)
      for (const Shape& s : shapes) {
        longer.push_back(head);
        longer.back().push_back(s);
      }
    all = std::move(longer);
  }
  return all;
}

/// Shapes of operands that differ: each axis broadcast or missing in each of them, within a block of the
/// loops and across several.
std::vector<std::vector<Shape>> broadcast_shapes(std::size_t operands) {
  if (operands == 1) return {};
  std::vector<std::vector<Shape>> all = operands == 2
                                            ? tuples({{2, 3}, {1, 3}, {2, 1}, {1, 1}, {3}, {1}, {}}, 2)
                                            : tuples({{2, 3}, {1, 3}, {2, 1}, {}}, operands);
  std::erase_if(all, [](const std::vector<Shape>& t) {
    return std::ranges::all_of(t, [&](const Shape& s) { return s == t[0]; });
  });
  const std::vector<std::vector<Shape>> large =
      operands == 2 ? std::vector<std::vector<Shape>>{{{5, 131}, {131}},   {{131}, {5, 131}},
                                                      {{5, 131}, {5, 1}},  {{5, 1}, {1, 131}},
                                                      {{}, {601}},         {{601}, {1}},
                                                      {{2, 1, 4}, {3, 1}}, {{2, 1, 4}, {2, 3, 1}},
                                                      {{0, 3}, {3}},       {{1}, {0}},
                                                      {{2, 1}, {2, 0}}}
                    : std::vector<std::vector<Shape>>{{{5, 131}, {131}, {5, 1}},
                                                      {{131}, {5, 131}, {}},
                                                      {{5, 1}, {1, 131}, {5, 131}},
                                                      {{2, 1, 4}, {3, 1}, {4}},
                                                      {{0, 3}, {3}, {1, 1}}};
  if (operands <= 3) all.insert(all.end(), large.begin(), large.end());
  return all;
}

}  // namespace

void Samples::append_elementwise(Attributes op, Function function, const std::vector<Domain>& domains,
                                 const std::vector<double>& special) {
  const std::size_t n = domains.size();
  const auto random = [&](const std::vector<Shape>& shapes) {
    std::vector<SampleInput> inputs;
    for (std::size_t i = 0; i < n; ++i) inputs.emplace_back(shapes[i], domains[i]);
    append(op, function, std::move(inputs), {});
  };
  for (const Shape& shape :
       {Shape{}, Shape{1}, Shape{7}, Shape{2, 3}, Shape{5, 131}, Shape{1031}, Shape{0}, Shape{0, 3}})
    random(std::vector<Shape>(n, shape));
  for (const std::vector<Shape>& shapes : broadcast_shapes(n)) random(shapes);
  random(std::vector<Shape>(n, Shape{33013}));  // for several threads
  if (special.empty()) return;

  // Each operand takes the special values while the others are random; then all take them, in every
  // combination.
  const auto count = static_cast<std::int64_t>(special.size());
  const auto given = [](const std::vector<double>& v) {
    return SampleInput::of(Tensor::from(v, Shape{static_cast<std::int64_t>(v.size())}));
  };
  for (std::size_t k = 0; k < n; ++k) {
    std::vector<SampleInput> inputs;
    for (std::size_t i = 0; i < n; ++i)
      inputs.push_back(i == k ? given(special) : SampleInput({count}, domains[i]));
    append(op, function, std::move(inputs),
           n == 1 ? "special values" : fmt::format("special values of input {}", k));
  }
  if (n == 1) return;
  std::vector<SampleInput> all;
  const auto combinations = static_cast<std::size_t>(std::pow(special.size(), n));
  for (std::size_t k = 0, period = 1; k < n; ++k, period *= special.size()) {
    std::vector<double> v(combinations);
    for (std::size_t j = 0; j < combinations; ++j) v[j] = special[j / period % special.size()];
    all.push_back(given(v));
  }
  append(op, function, std::move(all), "special values of all inputs");
}

}  // namespace tapegrad
