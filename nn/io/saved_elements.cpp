#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>

#include <fmt/format.h>

namespace tapegrad::nn::files {

using tapegrad::detail::TensorAccess;

namespace {

/// A floating type of 16 bits: its sign, so many bits of an exponent, and the fraction.
struct Narrow {
  int fraction;
  int exponent;
  std::string_view name;

  constexpr int bias() const { return (1 << (exponent - 1)) - 1; }
  constexpr std::uint16_t infinity() const {
    return static_cast<std::uint16_t>(((1 << exponent) - 1) << fraction);
  }
};
constexpr Narrow kF16{.fraction = 10, .exponent = 5, .name = "f16"};
constexpr Narrow kBf16{.fraction = 7, .exponent = 8, .name = "bf16"};

const Narrow* narrow_of(Element element) {
  return element == Element::f16 ? &kF16 : element == Element::bf16 ? &kBf16 : nullptr;
}

/// The nearest number of the type, of two as near the one with an even fraction. It is rounded once, from f64, which
/// holds every f32.
std::uint16_t narrowed(const Narrow& type, double value) {
  constexpr int kFraction = 52;
  constexpr int kBias = 1023;
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 63 << 15);
  const auto magnitude = bits & ~(std::uint64_t{1} << 63);
  if (std::isnan(value)) return sign | type.infinity() | static_cast<std::uint16_t>(1 << (type.fraction - 1));
  // What f64 holds below its normal numbers is 0 here.
  const int exponent = static_cast<int>(magnitude >> kFraction) - kBias + type.bias();
  if (exponent > (1 << type.exponent) - 1) return sign | type.infinity();
  if (exponent < -type.fraction - 1) return sign;
  const std::uint64_t one = std::uint64_t{1} << kFraction;
  const std::uint64_t significand = (magnitude & (one - 1)) | one;
  // Numbers below the normal ones have the exponent of the smallest of these, and no leading 1.
  const int shift = kFraction - type.fraction + (exponent < 1 ? 1 - exponent : 0);
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  const std::uint64_t rest = significand & (2 * half - 1);
  std::uint64_t rounded = significand >> shift;
  if (rest > half || (rest == half && rounded % 2 == 1)) ++rounded;
  // The leading 1 is added to the exponent, and so is a carry.
  const std::uint64_t base = exponent < 1 ? 0 : static_cast<std::uint64_t>(exponent - 1) << type.fraction;
  const std::uint64_t sum = base + rounded;
  return sign | static_cast<std::uint16_t>(std::min<std::uint64_t>(sum, type.infinity()));
}

/// Calls f with the elements of a floating tensor.
template <class F>
void for_each_floating(const Tensor& tensor, F f) {
  visit_dtype(tensor.dtype(), [&]<class T> {
    if constexpr (std::is_floating_point_v<T>)
      for (const T value : tensor.values<T>()) f(static_cast<double>(value));
  });
}

}  // namespace

Element saved_element(Dtype dtype, const SaveOptions& options) {
  if (!row_of(dtype).floating || options.floats == SavedFloats::same) return element_of(dtype);
  return options.floats == SavedFloats::f16 ? Element::f16 : Element::bf16;
}

std::string_view elements_of(const Tensor& tensor, Element element, std::string& converted) {
  const auto count = static_cast<std::size_t>(tensor.size());
  const Narrow* type = narrow_of(element);
  if (!type)
    return {reinterpret_cast<const char*>(TensorAccess::data(tensor)), count * size_of(tensor.dtype())};
  converted.resize(count * sizeof(std::uint16_t));
  char* to = converted.data();
  for_each_floating(tensor, [&](double value) {
    const std::uint16_t bits = narrowed(*type, value);
    std::memcpy(to, &bits, sizeof bits);
    to += sizeof bits;
  });
  return converted;
}

void require_representable(std::string_view function, const std::string& name, const Tensor& tensor,
                           Element element) {
  const Narrow* type = narrow_of(element);
  if (!type) return;
  for_each_floating(tensor, [&](double value) {
    if (std::isfinite(value) && (narrowed(*type, value) & 0x7fff) == type->infinity())
      throw ArgumentError(fmt::format("{}: {} holds {}, which is beyond {}; save it as {}", function, name,
                                      value, type->name, type == &kF16 ? "bf16, or as it is" : "it is"));
  });
}

}  // namespace tapegrad::nn::files
