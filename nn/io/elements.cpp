#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>

#include <fmt/format.h>

namespace tapegrad::nn::files {

using tapegrad::detail::TensorAccess;

static_assert(std::endian::native == std::endian::little, "elements are written in little-endian order");

namespace {

/// Elements that C++ has no type for.
struct Half {
  std::uint16_t bits;
};
struct Brain {
  std::uint16_t bits;
};
struct Bool {
  std::uint8_t byte;
};

/// IEEE 754's binary16, every value of which is a float.
float widened(Half half) {
  const int exponent = half.bits >> 10 & 31;
  const int fraction = half.bits & 1023;
  const float sign = half.bits >> 15 ? -1.0F : 1.0F;
  if (exponent == 31) return fraction ? std::numeric_limits<float>::quiet_NaN() : sign * HUGE_VALF;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
}
/// bfloat16 is the upper half of a float.
float widened(Brain brain) { return std::bit_cast<float>(std::uint32_t{brain.bits} << 16); }
std::int64_t widened(Bool b) { return b.byte != 0; }
std::int64_t widened(std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    throw Unrepresentable(fmt::format("it holds {}, which is above the largest i64", value));
  return static_cast<std::int64_t>(value);
}
template <class T>
requires std::is_integral_v<T> std::int64_t widened(T value) { return value; }
template <class T>
requires std::is_floating_point_v<T> T widened(T value) { return value; }

template <class T>
T swapped(T value) {
  auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
  std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<T>(bytes);
}

template <class From>
Tensor read_as(ByteSource& source, const Shape& shape, bool big_endian) {
  using To = decltype(widened(From{}));
  source.announce(static_cast<std::uint64_t>(shape.size()) * sizeof(To));
  Tensor result = Tensor::empty(shape, dtype_of<To>);
  To* out = TensorAccess::data_as<To>(result);
  auto left = static_cast<std::size_t>(shape.size());
  if constexpr (std::is_same_v<From, To>) {
    source.read(out, left * sizeof(To));
    if (big_endian) std::transform(out, out + left, out, swapped<To>);
  } else {
    std::vector<From> block(std::min<std::size_t>(left, 1 << 14));
    while (left > 0) {
      const std::size_t n = std::min(left, block.size());
      source.read(block.data(), n * sizeof(From));
      for (std::size_t i = 0; i < n; ++i) *out++ = widened(big_endian ? swapped(block[i]) : block[i]);
      left -= n;
    }
  }
  return result;
}

/// Calls f with a value of the C++ type of an element.
template <class F>
decltype(auto) visit(Element element, F f) {
  switch (element) {
    case Element::f16:
      return f(Half{});
    case Element::bf16:
      return f(Brain{});
    case Element::f32:
      return f(float{});
    case Element::f64:
      return f(double{});
    case Element::i8:
      return f(std::int8_t{});
    case Element::i16:
      return f(std::int16_t{});
    case Element::i32:
      return f(std::int32_t{});
    case Element::i64:
      return f(std::int64_t{});
    case Element::u8:
      return f(std::uint8_t{});
    case Element::u16:
      return f(std::uint16_t{});
    case Element::u32:
      return f(std::uint32_t{});
    case Element::u64:
      return f(std::uint64_t{});
    default:
      return f(Bool{});
  }
}

}  // namespace

std::size_t size_of(Element element) {
  return visit(element, [](auto value) { return sizeof value; });
}

std::string_view name_of(Element element) {
  // In the order of Element.
  static constexpr std::string_view kNames[] = {"f16", "bf16", "f32", "f64", "i8",  "i16", "i32",
                                                "i64", "u8",   "u16", "u32", "u64", "bool"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(Element::boolean) + 1);
  return kNames[static_cast<std::size_t>(element)];
}

Dtype widened_dtype(Element element) {
  return visit(element, [](auto value) { return dtype_of<decltype(widened(value))>; });
}

std::pair<std::int64_t, std::int64_t> integer_limits(Element element) {
  return visit(element, []<class T>(T) {
    using Limits = std::numeric_limits<std::conditional_t<std::is_integral_v<T>, T, std::int64_t>>;
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    return std::pair{static_cast<std::int64_t>(Limits::min()),
                     std::cmp_less(Limits::max(), kMost) ? static_cast<std::int64_t>(Limits::max()) : kMost};
  });
}

void note_conversion(SavedState& saved, const std::string& name, Element from) {
  if (const Dtype to = widened_dtype(from); element_of(to) != from)
    saved.converted.push_back({name, std::string(name_of(from)), to});
}

Element element_of(Dtype dtype) {
  // In the order of Dtype.
  static constexpr Element kElements[] = {Element::f32, Element::f64, Element::i64};
  static_assert(std::size(kElements) == std::size(kDtypes));
  return kElements[static_cast<std::size_t>(dtype)];
}

Tensor read_elements(ByteSource& source, const Shape& shape, Element element, bool big_endian) {
  return visit(element, [&]<class From>(From) { return read_as<From>(source, shape, big_endian); });
}

}  // namespace tapegrad::nn::files
