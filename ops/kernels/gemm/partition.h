#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/loops/parallel.h>

/// How the rows and the columns of a matrix product are divided among blocks.
namespace tapegrad::detail {

/// [0, size) in `count` chunks as equal as can be, the longer ones first.
class Partition {
 public:
  Partition() = default;
  Partition(std::int64_t size, std::int64_t count)
      : count_(count), length_(size / count), longer_(size - length_ * count) {}
  /// In chunks of at most `length`.
  static Partition into(std::int64_t size, std::int64_t length) { return {size, blocks_of(size, length)}; }

  std::int64_t count() const { return count_; }
  std::int64_t bound(std::int64_t i) const { return i * length_ + std::min(i, longer_); }

 private:
  std::int64_t count_ = 1;
  std::int64_t length_ = 0;
  std::int64_t longer_ = 0;
};

struct Range {
  std::int64_t from;
  std::int64_t to;
};
/// The length of blocks of [0, size) that are at most `most` long, at least 1, and as many as they have to be; all are
/// as long but the last, which is as long as can be.
inline std::int64_t even_blocks(std::int64_t size, std::int64_t most) {
  return blocks_of(size, blocks_of(size, std::max<std::int64_t>(1, most)));
}
inline Range chunk(const Partition& p, std::int64_t i) { return {p.bound(i), p.bound(i + 1)}; }

}  // namespace tapegrad::detail
