#pragma once

#include <cstdint>
#include <optional>

#include <tapegrad/graph/attributes.h>
#include <tapegrad/ops/loops/workspace.h>

/// Along an axis of `in` elements that gets `out`: which elements each result is made of, and which results are made of
/// each element.
namespace tapegrad::detail {

/// Which elements results are made of.
struct Interpolation {
  bool bilinear = false;
  bool align_corners = false;
  void describe(AttributeVisitor& v) const { v("bilinear", bilinear), v("align_corners", align_corners); }
};

/// (1 - share) of one element and `share` of the next; where that is 0, none of it.
struct Place {
  std::int64_t first;
  double share;
};

/// Where element i of `out` stands among `in`. Exact: of whole numbers, with one division.
Place place_of(std::int64_t i, std::int64_t in, std::int64_t out, const Interpolation& between);

/// The places of an axis.
class Places {
 public:
  Places(std::int64_t in, std::int64_t out, const Interpolation& between) : all_(out) {
    for (std::int64_t i = 0; i < out; ++i) all_[i] = place_of(i, in, out, between);
  }
  const Place& operator[](std::int64_t i) const { return all_[i]; }
  std::int64_t size() const { return all_.size(); }

 private:
  Workspace<Place> all_;
};

/// Longest step between elements for which there are loops of whole vectors.
inline constexpr std::int64_t kLongestStride = 4;

/// The places of an axis, seen from its elements: which results have a share of element k, and how much. They lie in a
/// row: kept are `most()` of them from start(k) on, the share 0 for those that have none of it.
class Shares {
 public:
  Shares(std::int64_t in, std::int64_t out, const Interpolation& between);

  std::int64_t elements() const { return elements_; }
  std::int64_t most() const { return most_; }
  /// Not 0: start(k) = k * stride() - before(), so that loops over k take whole vectors.
  std::int64_t stride() const { return stride_; }
  /// Places from start(k) on may lie so far before the first result, or behind the last.
  std::int64_t before() const { return before_; }
  std::int64_t after() const { return after_; }
  std::int64_t start(std::int64_t k) const { return stride_ != 0 ? k * stride_ - before_ : ranges_[k].first; }
  /// Of all k, for the result at start(k) + t.
  const double* at(std::int64_t t) const { return shares_->data() + t * elements_; }

 private:
  struct Range {
    std::int64_t first;
    std::int64_t last;
  };

  std::int64_t elements_, most_ = 0, stride_ = 0, before_ = 0, after_ = 0;
  Workspace<Range> ranges_;
  std::optional<Workspace<double>> shares_;
};

}  // namespace tapegrad::detail
