#pragma once

#include <cmath>
#include <iosfwd>
#include <string>
#include <string_view>
#include <type_traits>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

#include <fmt/core.h>

namespace tapegrad {

class Parameter;

/// The elements as nested, aligned rows; fmt::format("{}", tensor) gives the same. A tensor of more than 1000
/// elements shows the ends of each axis and "..." between them. Where elements are left out, or there are
/// none, shape and dtype follow. Any tensor can be printed: tracked, stale, undefined.
///
/// A format specification applies to the elements, "{:.3f}" for one; fmt refuses one that does not fit them
/// with fmt::format_error. Without one, six significant digits are shown. A zero is shown without its sign, and so is
/// a nan.
TAPEGRAD_API std::string to_string(const Tensor& tensor);

/// The same on a stream, whose precision and std::fixed or std::scientific apply to the elements. A parameter is
/// written as its value; nothing is recorded.
TAPEGRAD_API std::ostream& operator<<(std::ostream& out, const Tensor& tensor);
TAPEGRAD_API std::ostream& operator<<(std::ostream& out, const Parameter& parameter);
TAPEGRAD_API std::ostream& operator<<(std::ostream& out, const Shape& shape);
TAPEGRAD_API std::ostream& operator<<(std::ostream& out, Dtype dtype);

namespace detail {

/// A number as it is shown: without the sign of a zero, and of a nan, whose sign means nothing (inf - inf has one).
template <class T>
T shown(T value) {
  if constexpr (std::is_floating_point_v<T>)
    if (std::isnan(value)) return std::abs(value);
  return value + T{0};
}

TAPEGRAD_API std::string format_tensor(const Tensor& tensor, std::string_view spec);
/// Of the parameter's value.
TAPEGRAD_API std::string format_parameter(const Parameter& parameter, std::string_view spec);
TAPEGRAD_API std::string format_text(std::string_view text, std::string_view spec);

/// Keeps a format specification as it stands, for the functions above to apply.
struct Formatter {
  constexpr auto parse(fmt::format_parse_context& context) {
    const auto* end = context.begin();
    while (end != context.end() && *end != '}') {
      if (*end == '{') throw ArgumentError("format: width and precision must be numbers, not arguments");
      ++end;
    }
    spec = std::string_view(context.begin(), static_cast<std::size_t>(end - context.begin()));
    return end;
  }
  // Not through format_to: fmt's shared library may lack the instance that another compiler asks for.
  static auto write(const std::string& text, fmt::format_context& context) {
    auto out = context.out();
    for (const char c : text) *out++ = c;
    return out;
  }
  std::string_view spec;
};

}  // namespace detail
}  // namespace tapegrad

template <>
struct fmt::formatter<tapegrad::Tensor> : tapegrad::detail::Formatter {
  auto format(const tapegrad::Tensor& tensor, fmt::format_context& context) const {
    return write(tapegrad::detail::format_tensor(tensor, spec), context);
  }
};

// As its value, with the same specifications.
template <>
struct fmt::formatter<tapegrad::Parameter> : tapegrad::detail::Formatter {
  auto format(const tapegrad::Parameter& parameter, fmt::format_context& context) const {
    return write(tapegrad::detail::format_parameter(parameter, spec), context);
  }
};

// As [2, 3]; the specification is that of a string.
template <>
struct fmt::formatter<tapegrad::Shape> : tapegrad::detail::Formatter {
  auto format(const tapegrad::Shape& shape, fmt::format_context& context) const {
    return write(tapegrad::detail::format_text(tapegrad::to_string(shape), spec), context);
  }
};

// As f32; the specification is that of a string.
template <>
struct fmt::formatter<tapegrad::Dtype> : tapegrad::detail::Formatter {
  auto format(tapegrad::Dtype dtype, fmt::format_context& context) const {
    return write(tapegrad::detail::format_text(tapegrad::name_of(dtype), spec), context);
  }
};
