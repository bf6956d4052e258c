#pragma once

#include <cstdint>
#include <functional>
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

}  // namespace tapegrad::test
