#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tapegrad {

/// Element type of a tensor, chosen at run time. Only f32 and f64 carry gradients.
enum class Dtype : std::uint8_t { f32, f64, i64 };

inline constexpr Dtype f32 = Dtype::f32;
inline constexpr Dtype f64 = Dtype::f64;
inline constexpr Dtype i64 = Dtype::i64;

constexpr std::size_t size_of(Dtype dtype) { return dtype == Dtype::f32 ? 4 : 8; }
constexpr bool is_floating(Dtype dtype) { return dtype != Dtype::i64; }
constexpr std::string_view name_of(Dtype dtype) {
  return dtype == Dtype::f32 ? "f32" : dtype == Dtype::f64 ? "f64" : "i64";
}

template <class T>
inline constexpr bool is_element_type = false;
template <>
inline constexpr bool is_element_type<float> = true;
template <>
inline constexpr bool is_element_type<double> = true;
template <>
inline constexpr bool is_element_type<std::int64_t> = true;

/// float, double or std::int64_t.
template <class T>
concept ElementType = is_element_type<T>;

/// The Dtype of a C++ element type: float, double or std::int64_t.
template <ElementType T>
inline constexpr Dtype dtype_of = Dtype::i64;
template <>
inline constexpr Dtype dtype_of<float> = Dtype::f32;
template <>
inline constexpr Dtype dtype_of<double> = Dtype::f64;

/// Calls f.template operator()<T>() with the C++ type of a dtype.
template <class F>
decltype(auto) visit_dtype(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::f32:
      return f.template operator()<float>();
    case Dtype::f64:
      return f.template operator()<double>();
    default:
      return f.template operator()<std::int64_t>();
  }
}

/// The same for the floating dtypes alone; the caller has refused i64.
template <class F>
decltype(auto) visit_floating(Dtype dtype, F&& f) {
  return dtype == Dtype::f32 ? f.template operator()<float>() : f.template operator()<double>();
}

}  // namespace tapegrad
