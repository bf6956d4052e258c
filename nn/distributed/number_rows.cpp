#include <tapegrad/nn/distributed/number_rows.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

namespace {

/// f(i) for each element, shared among threads.
template <class F>
void for_each_element(std::int64_t n, const F& f) {
  tapegrad::detail::parallel_ranges(n, tapegrad::detail::kGrain, [&](std::int64_t from, std::int64_t to) {
    tapegrad::detail::dispatch_isa(
        [&] { tapegrad::detail::simd_for(to - from, [&](std::int64_t i) { f(from + i); }); });
  });
}

std::size_t number_of(Dtype dtype) { return static_cast<std::size_t>(dtype); }

}  // namespace

RowPlace RowLayout::add(const Shape& shape, Dtype dtype) {
  std::int64_t& length = lengths_[number_of(dtype)];
  const RowPlace place{dtype, length, shape};
  length += shape.size();
  return place;
}

NumberRows RowLayout::new_rows(std::int64_t multiple) const {
  NumberRows rows;
  for (const DtypeInfo& info : kDtypes)
    if (const std::int64_t n = lengths_[number_of(info.dtype)]; n > 0)
      rows.of[number_of(info.dtype)] = Tensor::zeros({(n + multiple - 1) / multiple * multiple}, info.dtype);
  return rows;
}

void put(NumberRows& rows, const RowPlace& place, const Tensor& tensor, double factor) {
  visit_floating(place.dtype, [&]<class T> {
    T* const to = TensorAccess::data_as<T>(rows.of[number_of(place.dtype)]) + place.offset;
    const T* const from = TensorAccess::data_as<T>(tensor);
    const T by = static_cast<T>(factor);
    for_each_element(tensor.size(), [&](std::int64_t i) { to[i] = from[i] * by; });
  });
}

Tensor take(const NumberRows& rows, const RowPlace& place) {
  return TensorAccess::view(rows.of[number_of(place.dtype)], place.offset, place.shape);
}

std::span<std::byte> bytes_of(Tensor& row) {
  return {TensorAccess::data(row), static_cast<std::size_t>(row.size()) * size_of(row.dtype())};
}

void add_numbers(Dtype dtype, std::byte* to, const std::byte* from, std::int64_t n) {
  visit_floating(dtype, [&]<class T> {
    T* const sum = reinterpret_cast<T*>(to);
    const T* const term = reinterpret_cast<const T*>(from);
    for_each_element(n, [&](std::int64_t i) { sum[i] += term[i]; });
  });
}

}  // namespace tapegrad::nn
