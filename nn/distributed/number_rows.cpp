#include <tapegrad/nn/distributed/number_rows.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

namespace {

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
    tapegrad::detail::parallel_ranges(
        tensor.size(), tapegrad::detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
          tapegrad::detail::dispatch_isa([&] {
            tapegrad::detail::simd_for(end - begin,
                                       [&](std::int64_t i) { to[begin + i] = from[begin + i] * by; });
          });
        });
  });
}

Tensor take(const NumberRows& rows, const RowPlace& place) {
  return TensorAccess::view(rows.of[number_of(place.dtype)], place.offset, place.shape);
}

std::span<std::byte> bytes_of(Tensor& row) {
  return {TensorAccess::data(row), static_cast<std::size_t>(row.size()) * size_of(row.dtype())};
}

void all_reduce(Communicator& communicator, NumberRows& rows) {
  for (Tensor& row : rows.of)
    if (row.defined())
      visit_floating(row.dtype(), [&]<class T> {
        communicator.all_reduce(
            std::span(TensorAccess::data_as<T>(row), static_cast<std::size_t>(row.size())));
      });
}

}  // namespace tapegrad::nn
