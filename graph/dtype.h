#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

#include <tapegrad/graph/export.h>

namespace tapegrad {

/// Element type of a tensor, chosen at run time. Only floating ones carry gradients.
enum class Dtype : std::uint8_t { f32, f64, i64 };

/// The dtypes by their names: float, double and 64-bit integers.
inline constexpr Dtype f32 = Dtype::f32;
inline constexpr Dtype f64 = Dtype::f64;
inline constexpr Dtype i64 = Dtype::i64;

namespace detail {

/// One row a dtype, in the order of Dtype. `type` holds an element, `compute` is what formulas calculate in,
/// and `accumulator` what long running sums are kept in. A type that is not its own compute type converts
/// from it and to it.
template <Dtype D>
struct DtypeRow;
template <>
struct DtypeRow<Dtype::f32> {
  static constexpr std::string_view name = "f32";
  using type = float;
  using compute = float;
  using accumulator = double;
};
template <>
struct DtypeRow<Dtype::f64> {
  static constexpr std::string_view name = "f64";
  using type = double;
  using compute = double;
  using accumulator = double;
};
template <>
struct DtypeRow<Dtype::i64> {
  static constexpr std::string_view name = "i64";
  using type = std::int64_t;
  using compute = std::int64_t;
  using accumulator = std::int64_t;
};

/// The number of rows, and of values of Dtype.
inline constexpr std::size_t kDtypeCount = 3;

}  // namespace detail

/// What is known of a dtype at run time.
struct DtypeInfo {
  Dtype dtype;            ///< which one it is
  std::string_view name;  ///< "f32"
  std::size_t size;       ///< bytes of an element
  bool floating;          ///< whether it is f32 or f64
  double largest;         ///< the largest finite number
  double epsilon;         ///< distance from 1 to the next number; 0 for integers
};

namespace detail {

template <class Row>
constexpr DtypeInfo dtype_info(Dtype dtype) {
  using Limits = std::numeric_limits<typename Row::type>;
  return {dtype,
          Row::name,
          sizeof(typename Row::type),
          !Limits::is_integer,
          static_cast<double>(Limits::max()),
          static_cast<double>(Limits::epsilon())};
}

template <std::size_t... I>
constexpr std::array<DtypeInfo, sizeof...(I)> dtype_table(std::index_sequence<I...>) {
  return {dtype_info<DtypeRow<static_cast<Dtype>(I)>>(static_cast<Dtype>(I))...};
}

}  // namespace detail

/// All dtypes; row number i is that of Dtype(i).
inline constexpr auto kDtypes = detail::dtype_table(std::make_index_sequence<detail::kDtypeCount>{});

/// The row of a dtype, and what stands in it: bytes of an element, whether it is floating, the distance from 1 to the
/// next number, the name.
constexpr const DtypeInfo& row_of(Dtype dtype) { return kDtypes[static_cast<std::size_t>(dtype)]; }
constexpr std::size_t size_of(Dtype dtype) { return row_of(dtype).size; }
constexpr bool is_floating(Dtype dtype) { return row_of(dtype).floating; }
constexpr double epsilon_of(Dtype dtype) { return row_of(dtype).epsilon; }
constexpr std::string_view name_of(Dtype dtype) { return row_of(dtype).name; }

namespace detail {

/// The row whose type is T; kDtypeCount where there is none.
template <class T, std::size_t I = 0>
constexpr std::size_t row_number() {
  if constexpr (I == kDtypeCount)
    return I;
  else if constexpr (std::same_as<T, typename DtypeRow<static_cast<Dtype>(I)>::type>)
    return I;
  else
    return row_number<T, I + 1>();
}

/// f.template operator()<T>() with the type of row I or of a later one; the last needs no test.
template <bool OnlyFloating, std::size_t I = 0, class F>
decltype(auto) visit_rows(Dtype dtype, F&& f) {
  if constexpr (OnlyFloating && !kDtypes[I].floating) {
    return visit_rows<OnlyFloating, I + 1>(dtype, f);
  } else {
    constexpr bool last = [] {
      for (std::size_t i = I + 1; i < kDtypeCount; ++i)
        if (!OnlyFloating || kDtypes[i].floating) return false;
      return true;
    }();
    using T = typename DtypeRow<static_cast<Dtype>(I)>::type;
    if constexpr (last)
      return f.template operator()<T>();
    else
      return dtype == static_cast<Dtype>(I) ? f.template operator()<T>()
                                            : visit_rows<OnlyFloating, I + 1>(dtype, f);
  }
}

}  // namespace detail

/// The type of a tensor's elements: float, double or std::int64_t.
template <class T>
concept ElementType = (detail::row_number<T>() < detail::kDtypeCount);

/// The Dtype of a C++ element type.
template <ElementType T>
inline constexpr Dtype dtype_of = static_cast<Dtype>(detail::row_number<T>());

namespace detail {
/// What formulas on elements of type T calculate in, and what long running sums of them are kept in.
template <ElementType T>
using ComputeType = typename DtypeRow<dtype_of<T>>::compute;
template <ElementType T>
using AccumulatorType = typename DtypeRow<dtype_of<T>>::accumulator;
}  // namespace detail

/// Calls f.template operator()<T>() with the C++ type of a dtype.
template <class F>
decltype(auto) visit_dtype(Dtype dtype, F&& f) {
  return detail::visit_rows<false>(dtype, f);
}

/// The same for the floating dtypes alone; the caller has refused all others.
template <class F>
decltype(auto) visit_floating(Dtype dtype, F&& f) {
  return detail::visit_rows<true>(dtype, f);
}

}  // namespace tapegrad
