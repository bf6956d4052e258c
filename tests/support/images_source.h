#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <tapegrad/tapegrad.h>

/// Items that are made when they are asked for.
namespace tapegrad::test {

/// Images whose elements tell the item, made by a function that is called before each.
class Images : public nn::DataSource {
 public:
  explicit Images(std::int64_t size, std::function<void(std::int64_t)> before = {})
      : size_(size), before_(std::move(before)) {}
  std::int64_t size() const override { return size_; }
  nn::Item item(std::int64_t i) const override {
    if (before_) before_(i);
    return {.x = Tensor::arange(static_cast<double>(16 * i), static_cast<double>(16 * i + 16), 1, f32),
            .t = Tensor::from(std::vector<std::int64_t>{i}, Shape{}),
            .more = {{"half", Tensor::scalar(static_cast<double>(i) / 2)}}};
  }

 private:
  std::int64_t size_;
  std::function<void(std::int64_t)> before_;
};

/// Images [1, 4, 4] of so many items, some of which take longer than others.
inline nn::Dataset slow_images(std::int64_t n) {
  const auto before = [](std::int64_t i) {
    if (i % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  };
  return nn::Dataset(std::make_shared<Images>(n, before)).map([](nn::Batch b) {
    b.x = reshape(b.x, Shape{b.size(), 1, 4, 4});
    return b;
  });
}

inline nn::Transform augmentation() {
  return nn::Compose{nn::RandomShift(2), nn::RandomHorizontalFlip(), [](nn::Batch b, Generator& g) {
                       b.set("noise", randn({b.size()}, g));
                       return b;
                     }};
}

}  // namespace tapegrad::test
