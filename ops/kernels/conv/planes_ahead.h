#pragma once

#include <cstdint>

#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/loops/parallel.h>

namespace tapegrad::detail {

/// Parts of planes that are called into the cache while products are made, some lines of it at a time: what is read and
/// written before and after them waits for memory, products do not.
template <class T>
class PlanesAhead {
 public:
  PlanesAhead() = default;
  /// So many elements of each of `count` planes.
  PlanesAhead(const T* first, std::int64_t elements, std::int64_t count, std::int64_t step)
      : at_(first), elements_(elements), left_(count), step_(step) {}

  /// Has a tile call for the next lines, as many as it does; returns whether any were left.
  bool call_in(Tile<T>& tile) {
    tile.next = left_ > 0 ? at_ + done_ : tile.c;
    tile.next_step = left_ > 0 ? 2 * kLine : 0;
    if (left_ == 0) return false;
    done_ += blocks_of(tile.depth, tile.interval) * tile.next_step;
    if (done_ >= elements_) {
      --left_;
      done_ = 0;
      at_ += step_;
    }
    return true;
  }

 private:
  static constexpr std::int64_t kLine = 64 / static_cast<std::int64_t>(sizeof(T));

  const T* at_ = nullptr;
  std::int64_t elements_ = 0, left_ = 0, step_ = 0;
  std::int64_t done_ = 0;
};

}  // namespace tapegrad::detail
