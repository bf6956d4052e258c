#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>

namespace tapegrad::nn {

/// A part of each batch: it is cut into `pieces` of neighbouring items, as equal as they can be, of which a loader
/// makes `count` from `first` on, one after the other. Ranks that train together have one piece each, or several; what
/// is in a piece depends neither on the number of ranks nor on which of them makes it. A batch with fewer items than
/// pieces has pieces without items, whose tensors are undefined.
struct Shard {
  std::int64_t pieces = 1;  ///< of one batch
  std::int64_t first = 0;   ///< the first of them that is made
  std::int64_t count = 1;   ///< how many are made

  friend bool operator==(const Shard&, const Shard&) = default;
};

/// How many batches so many items make, the last of which may be smaller.
constexpr std::int64_t batch_count(std::int64_t items, std::int64_t batch) {
  return items / batch + (items % batch != 0);
}

/// Where piece `piece` of a batch of so many items begins, and piece - 1 ends.
constexpr std::int64_t piece_begin(std::int64_t piece, std::int64_t pieces, std::int64_t items) {
  return items / pieces * piece + items % pieces * piece / pieces;
}

}  // namespace tapegrad::nn
