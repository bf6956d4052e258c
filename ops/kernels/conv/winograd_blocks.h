#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/conv/axis.h>
#include <tapegrad/ops/kernels/conv/winograd_tiles.h>
#include <tapegrad/ops/loops/parallel.h>

/// How the tiles of images are divided.
namespace tapegrad::detail {

/// Bytes of the components of the source that are worked on at once, and of those of the results. They stay in the
/// second level of cache.
inline constexpr std::int64_t kNearComponents = 256 * 1024;
/// Vectors of tiles that are worth it to read all weights, even where they take more than that.
inline constexpr std::int64_t kLeastVectors = 8;

/// What a tile, or a pair of a row and a channel, takes in all components.
template <class T>
inline constexpr std::int64_t kComponentBytes = kComponents* static_cast<std::int64_t>(sizeof(T));

/// So many tiles pay for the components of so many weights: those that leave the second level of cache cost more.
template <class T>
std::int64_t least_tiles(std::int64_t weights) {
  constexpr std::int64_t kFarBytes = 4 * 1024 * 1024;
  return weights * kComponentBytes<T> > kFarBytes ? 49 : 16;
}

/// Tiles along an axis.
inline std::int64_t tiles_along(const AxisWalk& walk) { return blocks_of(walk.results, 2); }

/// At most so many tiles of so many channels are near at once.
template <class T>
std::int64_t most_near_tiles(std::int64_t channels, std::int64_t lanes) {
  return std::max(kLeastVectors * lanes, kNearComponents / (kComponentBytes<T> * channels));
}
/// A block has a whole line of tiles: of more of them, times channels, it would be far.
inline constexpr std::int64_t kMostOfLine = 1 << 16;

/// From the tiles of a channel, or a row, of so many images to those of the next one: an odd number of lines of the
/// cache, which spreads them in it.
inline std::int64_t pitch_of_tiles(std::int64_t of_image, std::int64_t images) {
  return (blocks_of((images - 1) * of_image + whole_vectors(of_image), kUnroll) | 1) * kUnroll;
}

/// Where a block is.
struct TilePlace {
  std::int64_t image;
  std::int64_t images;
  std::int64_t line;  ///< of tiles
  std::int64_t group = 0;
};

/// Blocks are some images, or some lines of tiles of one image.
class TileBlocks {
 public:
  /// Of at most `most_tiles` in vectors of `lanes`, and of at most `most_images`.
  TileBlocks(const AxisWalk& y, const AxisWalk& x, std::int64_t batch, std::int64_t most_tiles,
             std::int64_t most_images, std::int64_t lanes)
      : columns(tiles_along(x)), lines_of_image(tiles_along(y)), lines(lines_of_image), batch_(batch) {
    const std::int64_t of_image = lines_of_image * columns;
    if (of_image > most_tiles)
      lines = fullest(lines_of_image, most_tiles / columns, columns, lanes);
    else
      images = fullest(batch, std::min(most_images, most_tiles / of_image), of_image, lanes);
  }

  std::int64_t count() const { return of_image() * blocks_of(batch_, images); }
  TilePlace operator[](std::int64_t i) const {
    const std::int64_t image = i / of_image() * images;
    return {image, std::min(images, batch_ - image), i % of_image() * lines};
  }

  std::int64_t columns;  ///< tiles of a line
  std::int64_t lines_of_image;
  std::int64_t lines;  ///< of a block
  std::int64_t images = 1;

 private:
  std::int64_t of_image() const { return blocks_of(lines_of_image, lines); }

  /// The length of blocks, of at most `most` of `count` parts of so many tiles, that together take the fewest vectors.
  static std::int64_t fullest(std::int64_t count, std::int64_t most, std::int64_t tiles, std::int64_t lanes) {
    std::int64_t best = 1;
    std::int64_t fewest = count * blocks_of(tiles, lanes);
    for (std::int64_t length = 2; length <= std::min(count, most); ++length) {
      const std::int64_t vectors =
          count / length * blocks_of(length * tiles, lanes) + blocks_of(count % length * tiles, lanes);
      if (vectors > fewest) continue;
      best = length;
      fewest = vectors;
    }
    return best;
  }

  std::int64_t batch_;
};

}  // namespace tapegrad::detail
