#include <algorithm>
#include <array>

#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

namespace {

std::int64_t bytes_of(const Bucket& bucket) {
  return bucket.length * static_cast<std::int64_t>(size_of(bucket.dtype));
}

void add_member(Bucket& bucket, std::size_t number, const Tensor& tensor) {
  bucket.members.push_back({number, tensor.shape(), bucket.length});
  bucket.length += tensor.size();
}

}  // namespace

std::vector<Bucket> buckets_of(std::span<const Tensor> tensors, std::int64_t bytes, std::int64_t multiple) {
  std::vector<Bucket> buckets;
  std::array<Bucket, tapegrad::detail::kDtypeCount> open;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    Bucket alone{.dtype = t.dtype()};
    add_member(alone, i, t);
    if (bytes_of(alone) >= bytes) {
      buckets.push_back(std::move(alone));
      continue;
    }
    Bucket& bucket = open[static_cast<std::size_t>(t.dtype())];
    bucket.dtype = t.dtype();
    add_member(bucket, i, t);
    if (bytes_of(bucket) >= bytes) buckets.push_back(std::exchange(bucket, {}));
  }
  for (Bucket& bucket : open)
    if (!bucket.members.empty()) buckets.push_back(std::move(bucket));
  std::ranges::sort(buckets, {}, [](const Bucket& b) { return b.members.back().tensor; });
  for (Bucket& bucket : buckets) bucket.length = (bucket.length + multiple - 1) / multiple * multiple;
  return buckets;
}

void put(Tensor& row, const Bucket::Member& place, const Tensor& tensor, double factor) {
  visit_floating(row.dtype(), [&]<class T> {
    T* const to = TensorAccess::data_as<T>(row) + place.offset;
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

Tensor take(const Tensor& row, const Bucket::Member& place) {
  return TensorAccess::view(row, place.offset, place.shape);
}

std::span<std::byte> bytes_of(Tensor& row) {
  return {TensorAccess::data(row), static_cast<std::size_t>(row.size()) * size_of(row.dtype())};
}

void all_reduce(Communicator& communicator, Tensor& row) {
  visit_floating(row.dtype(), [&]<class T> {
    communicator.all_reduce(std::span(TensorAccess::data_as<T>(row), static_cast<std::size_t>(row.size())));
  });
}

}  // namespace tapegrad::nn
