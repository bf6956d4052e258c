// The loops that make a batch of bytes; what a dataset gives and refuses is in data_test.cpp.
#include <cstdint>
#include <vector>

#include <tapegrad/nn/data/data.h>

#include "kernel_support.h"

namespace batch_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Batch;
using nn::Dataset;
using nn::IdxArray;

namespace {

constexpr std::int64_t kItems = 37;

std::uint8_t pixel(std::int64_t item, std::int64_t i) {
  return static_cast<std::uint8_t>((item * 131 + i * 7 + i / 37) % 256);
}

Dataset images(std::int64_t width, const nn::ImageOptions& options) {
  IdxArray pixels{{kItems, 1, width}, {}};
  IdxArray labels{{kItems}, {}};
  for (std::int64_t item = 0; item < kItems; ++item) {
    for (std::int64_t i = 0; i < width; ++i) pixels.bytes.push_back(pixel(item, i));
    labels.bytes.push_back(static_cast<std::uint8_t>(item % 10));
  }
  return Dataset(std::move(pixels), labels, options);
}

std::vector<std::int64_t> scattered(std::int64_t count) {
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < count; ++i) indices.push_back(i * 23 % kItems);
  return indices;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batch)

BOOST_AUTO_TEST_CASE(every_pixel_of_every_item_is_converted) {
  // A rest alone, whole steps of both lengths, and all of them; so many items that the threads share them.
  for (const std::int64_t width : {1, 15, 16, 64, 95, 784})
    for (const bool normalize : {true, false})
      for (const bool one_hot : {true, false}) {
        const Dataset data = images(width, {.normalize = normalize, .one_hot = one_hot});
        const std::vector<std::int64_t> indices = scattered(width == 784 ? 400 : 5);
        for_each_isa([&] {
          const Batch b = data.gather(indices);
          const auto n = static_cast<std::int64_t>(indices.size());
          BOOST_TEST_REQUIRE(to_string(b.x.shape()) == to_string(Shape{n, width}));
          const std::vector<float> x = b.x.to_vector<float>();
          std::int64_t wrong = 0;
          for (std::size_t i = 0; i < x.size(); ++i) {
            const auto at = static_cast<std::int64_t>(i);
            const auto byte =
                static_cast<float>(pixel(indices[static_cast<std::size_t>(at / width)], at % width));
            wrong += x[i] != (normalize ? byte / 255.0F : byte);
          }
          BOOST_TEST(wrong == 0);
          for (std::size_t i = 0; i < indices.size(); ++i) {
            if (!one_hot) {
              wrong += b.t.values<std::int64_t>()[i] != indices[i] % 10;
            } else {
              for (std::int64_t c = 0; c < 10; ++c)
                wrong += b.t.values<float>()[i * 10 + static_cast<std::size_t>(c)] !=
                         (c == indices[i] % 10 ? 1.0F : 0.0F);
            }
          }
          BOOST_TEST(wrong == 0);
        });
      }
}

BOOST_AUTO_TEST_CASE(no_bit_depends_on_the_number_of_threads) {
  const Dataset bytes = images(784, {.one_hot = true});
  const Dataset tensors(random({kItems, 784}, f64), random({kItems, 3}, f32));
  for (const Dataset& data : {bytes, tensors})
    check_bits_for_threads([&] {
      const Batch b = data.gather(scattered(700));
      return std::vector<Tensor>{b.x, b.t};
    });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace batch_test
