#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/io/text.h>

#include <fmt/format.h>

namespace tapegrad::nn {

struct Init::Form {
  std::string_view name;
  Kind kind;
  std::string_view number;          ///< what the number is
  std::optional<double> otherwise;  ///< it, where none is given
};

constexpr Init::Form Init::kForms[] = {
    {"std", Kind::normal, "stddev", {}},
    {"uniform", Kind::uniform, "bound", {}},
    {"constant", Kind::constant, "value", {}},
    {"xavier", Kind::xavier, "gain", 1},
    {"xavier-uniform", Kind::xavier_uniform, "gain", 1},
    {"he", Kind::he, "slope", 0},
    {"he-uniform", Kind::he_uniform, "slope", 0},
};

Init::Init(Kind kind, double number) : kind_(kind), number_(number) {
  if (std::isfinite(number) && (number >= 0 || kind == Kind::constant)) return;
  const Form& form = *std::ranges::find(kForms, kind, &Form::kind);
  throw ArgumentError(fmt::format("init: {} {} for '{}'; it must be finite{}", form.number, number, form.name,
                                  kind == Kind::constant ? "" : " and not negative"));
}

Init Init::constant(double value) { return {Kind::constant, value}; }
Init Init::normal(double stddev) { return {Kind::normal, stddev}; }
Init Init::uniform(double bound) { return {Kind::uniform, bound}; }
Init Init::xavier(double gain) { return {Kind::xavier, gain}; }
Init Init::xavier_uniform(double gain) { return {Kind::xavier_uniform, gain}; }
Init Init::he(double slope) { return {Kind::he, slope}; }
Init Init::he_uniform(double slope) { return {Kind::he_uniform, slope}; }

std::string Init::forms() {
  std::string all;
  for (const Form& f : kForms)
    all += fmt::format("{}{}{}{}{}", all.empty() ? "" : ", ", f.name, f.otherwise ? "[:" : ":", f.number,
                       f.otherwise ? "]" : "");
  return all;
}

Init Init::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto form = std::ranges::find(kForms, name, &Form::name);
  if (form == std::end(kForms))
    throw ArgumentError(fmt::format("init: '{}' is not known; there are {}", text, forms()));
  if (colon == std::string_view::npos) {
    if (form->otherwise) return {form->kind, *form->otherwise};
    throw ArgumentError(fmt::format("init: '{}' needs its {}, as in {}:0.01", text, form->number, name));
  }
  const auto number = files::number_in<double>(text.substr(colon + 1));
  if (!number)
    throw ArgumentError(fmt::format("init: the {} in '{}' is not a number; write it as in {}:0.01",
                                    form->number, text, name));
  return {form->kind, *number};
}

std::string Init::text() const {
  const Form& form = *std::ranges::find(kForms, kind_, &Form::kind);
  if (form.otherwise == number_) return std::string(form.name);
  return fmt::format("{}:{}", form.name, number_);
}

namespace {

/// As Init's documentation counts them.
Fans fans_of(const Shape& shape) {
  if (shape.rank() == 2) return {static_cast<double>(shape[0]), static_cast<double>(shape[1])};
  double kernel = 1;
  for (std::size_t i = 2; i < shape.rank(); ++i) kernel *= static_cast<double>(shape[i]);
  return {static_cast<double>(shape[1]) * kernel, static_cast<double>(shape[0]) * kernel};
}

}  // namespace

Tensor Init::operator()(const Shape& shape, Generator& generator, Dtype dtype) const {
  const bool asks_fans = kind_ != Kind::constant && kind_ != Kind::normal && kind_ != Kind::uniform;
  if (asks_fans && shape.rank() < 2)
    throw ShapeError(
        fmt::format("init: '{}' needs a weight [in, out] or kernels [out, in, ...], asked is {}; give such a "
                    "tensor a standard "
                    "deviation of its own (std:0.01)",
                    text(), to_string(shape)));
  return (*this)(shape, asks_fans ? fans_of(shape) : Fans{1, 1}, generator, dtype);
}

Tensor Init::operator()(const Shape& shape, const Fans& fans, Generator& generator, Dtype dtype) const {
  const auto draw_normal = [&](double stddev) { return randn(shape, generator, dtype, 0, stddev); };
  const auto draw_uniform = [&](double bound) {
    return bound > 0 ? tapegrad::uniform(shape, generator, -bound, bound, dtype)
                     : Tensor::zeros(shape, dtype);
  };
  const auto gain = [&] { return std::sqrt(2 / (1 + number_ * number_)); };
  if (shape.size() == 0) return Tensor::zeros(shape, dtype);
  switch (kind_) {
    case Kind::constant:
      return Tensor::full(shape, number_, dtype);
    case Kind::normal:
      return draw_normal(number_);
    case Kind::uniform:
      return draw_uniform(number_);
    case Kind::xavier:
      return draw_normal(number_ * std::sqrt(2 / (fans.in + fans.out)));
    case Kind::xavier_uniform:
      return draw_uniform(number_ * std::sqrt(6 / (fans.in + fans.out)));
    case Kind::he:
      return draw_normal(gain() / std::sqrt(fans.in));
    case Kind::he_uniform:
      return draw_uniform(gain() * std::sqrt(3 / fans.in));
  }
  throw Error("init: unreachable");
}

}  // namespace tapegrad::nn
