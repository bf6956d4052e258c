// Pieces of batches, which ranks load.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace shard_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::DataLoader;
using nn::LoaderOptions;
using nn::Shard;

nn::Dataset numbers(std::int64_t n) {
  const Tensor x = Tensor::arange(n);
  return {reshape(cast(x, f32), {n, 1}), x};
}

/// Items of each piece, of an epoch.
std::vector<std::vector<float>> pieces_of(std::int64_t items, const LoaderOptions& options,
                                          std::int64_t first = 0) {
  std::vector<std::vector<float>> pieces;
  for (const nn::Batch& b : DataLoader(numbers(items), options).epoch(3, first))
    pieces.push_back(b.x.defined() ? b.x.to_vector<float>() : std::vector<float>());
  return pieces;
}

BOOST_AUTO_TEST_SUITE(shard)

BOOST_AUTO_TEST_CASE(pieces_are_the_batch_whoever_makes_them) {
  for (const std::int64_t items : {40, 43, 61})
    for (const std::int64_t pieces : {1, 3, 8}) {
      const LoaderOptions options{.batch = 20, .seed = 4};
      const auto batches = pieces_of(items, options);
      LoaderOptions all = options;
      all.shard = {pieces, 0, pieces};
      const auto whole = pieces_of(items, all);
      BOOST_TEST(whole.size() == batches.size() * static_cast<std::size_t>(pieces));
      std::size_t least = 20, most = 0;
      for (std::size_t b = 0; b < batches.size(); ++b) {
        std::vector<float> joined;
        for (std::size_t p = 0; p < static_cast<std::size_t>(pieces); ++p) {
          const auto& piece = whole[b * static_cast<std::size_t>(pieces) + p];
          joined.insert(joined.end(), piece.begin(), piece.end());
          if (b == 0) least = std::min(least, piece.size()), most = std::max(most, piece.size());
        }
        BOOST_TEST(joined == batches[b]);
      }
      BOOST_TEST(most - least <= 1U);
      // By two loaders, the second one in the middle of an epoch.
      for (std::int64_t first = 0; first < pieces; ++first) {
        LoaderOptions part = options;
        part.shard = {pieces, first, pieces - first};
        part.workers = first % 3;
        const auto got = pieces_of(items, part, 1);
        const auto count = static_cast<std::size_t>(pieces - first);
        BOOST_TEST(got.size() == count * (batches.size() - 1));
        for (std::size_t i = 0; i < got.size(); ++i)
          BOOST_TEST(got[i] == whole[(i / count + 1) * static_cast<std::size_t>(pieces) +
                                     static_cast<std::size_t>(first) + i % count]);
      }
    }
}

BOOST_AUTO_TEST_CASE(what_a_transform_draws_depends_on_the_piece_alone) {
  LoaderOptions options{.batch = 16, .transform = [](const nn::Batch& b, Generator& rng) {
                          nn::Batch noisy = b;
                          noisy.x = b.x + randn(b.x.shape(), rng);
                          return noisy;
                        }};
  options.shard = {4, 0, 4};
  const auto whole = pieces_of(64, options);
  BOOST_TEST(whole[0] != whole[1]);
  options.shard = {4, 2, 1};
  const auto third = pieces_of(64, options);
  for (std::size_t b = 0; b < third.size(); ++b) BOOST_TEST(third[b] == whole[4 * b + 2]);
}

BOOST_AUTO_TEST_CASE(shares_of_an_evaluation_are_its_batches) {
  const nn::Dataset data = numbers(43);
  std::vector<std::vector<float>> expected, got;
  for (const nn::Batch& b : nn::in_order(data, 5)) expected.push_back(b.x.to_vector<float>());
  for (std::int64_t share = 0; share < 4; ++share)
    for (const nn::Batch& b : nn::share_in_order(data, 5, {}, share % 2, share, 4))
      got.push_back(b.x.to_vector<float>());
  BOOST_TEST((got == expected));
  BOOST_CHECK_EXCEPTION(nn::share_in_order(data, 5, {}, 0, 4, 4), ArgumentError, mentions("share 4 of 4"));
}

BOOST_AUTO_TEST_CASE(shards_that_cannot_be_are_refused) {
  for (const Shard& s : {Shard{0, 0, 1}, Shard{4, -1, 1}, Shard{4, 0, 0}, Shard{4, 2, 3}, Shard{4, 4, 1}})
    BOOST_CHECK_EXCEPTION(DataLoader(numbers(20), {.batch = 4, .shard = s}), ArgumentError,
                          mentions("loader: a shard of"));
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace shard_test
