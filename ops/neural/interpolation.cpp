#include <algorithm>

#include <tapegrad/ops/neural/interpolation.h>

namespace tapegrad::detail {

namespace {
/// Holds the product of two sizes.
__extension__ using Int128 = __int128;
}  // namespace

Place place_of(std::int64_t i, std::int64_t in, std::int64_t out, const Interpolation& between) {
  if (!between.bilinear) return {static_cast<std::int64_t>(Int128(i) * in / out), 0};
  const Int128 over =
      between.align_corners ? Int128(i) * (in - 1) : std::max<Int128>(0, (2 * Int128(i) + 1) * in - out);
  const Int128 under = between.align_corners ? std::max<Int128>(1, out - 1) : 2 * Int128(out);
  const auto first = static_cast<std::int64_t>(over / under);
  if (first >= in - 1) return {in - 1, 0};
  return {first, static_cast<double>(over % under) / static_cast<double>(under)};
}

Shares::Shares(std::int64_t in, std::int64_t out, const Interpolation& between) : elements_(in), ranges_(in) {
  const auto each_share = [&](auto&& f) {
    for (std::int64_t i = 0; i < out; ++i) {
      const auto [k, share] = place_of(i, in, out, between);
      f(i, k, 1 - share);
      if (share != 0) f(i, k + 1, share);
    }
  };
  std::fill(ranges_.begin(), ranges_.end(), Range{0, 0});
  each_share([&](std::int64_t i, std::int64_t k, double) {
    Range& r = ranges_[k];
    if (r.last == 0) r.first = i;
    r.last = i + 1;
    most_ = std::max(most_, r.last - r.first);
  });

  // Steps of the same length, if with them not many more places have to be looked at.
  const std::int64_t stride = out / in;
  if (stride >= 1 && stride <= kLongestStride) {
    std::int64_t before = 0, most = 0;
    for (std::int64_t k = 0; k < in; ++k) before = std::max(before, k * stride - ranges_[k].first);
    for (std::int64_t k = 0; k < in; ++k) most = std::max(most, ranges_[k].last - (k * stride - before));
    if (most <= most_ + 2) {
      stride_ = stride, before_ = before, most_ = most;
      after_ = std::max<std::int64_t>(0, (in - 1) * stride - before + most - out);
    }
  }

  shares_.emplace(most_ * in);
  std::fill(shares_->begin(), shares_->end(), 0);
  each_share(
      [&](std::int64_t i, std::int64_t k, double share) { (*shares_)[(i - start(k)) * in + k] = share; });
}

}  // namespace tapegrad::detail
