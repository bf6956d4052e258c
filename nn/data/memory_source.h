#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tapegrad/nn/data/data_source.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/idx.h>

/// The data sets that are in memory. Not part of the library's interface: constructors of Dataset come here.
namespace tapegrad::nn {

/// Items that are rows of tensors.
class TensorSource final : public DataSource {
 public:
  /// `all` is one batch of all items. Throws as the constructors of Dataset do.
  TensorSource(const Batch& all, std::int64_t classes);
  std::int64_t size() const override { return all_.size(); }
  Item item(std::int64_t index) const override;
  Batch gather(std::span<const std::int64_t> indices) const override;
  std::int64_t classes() const override { return classes_; }

 private:
  Batch all_;
  std::int64_t classes_;
};

/// Images and labels in bytes, converted as batches are made.
class ImageSource final : public DataSource {
 public:
  /// Throws as the constructor of Dataset does.
  ImageSource(IdxArray images, const IdxArray& labels, const ImageOptions& options);
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  Item item(std::int64_t index) const override;
  Batch gather(std::span<const std::int64_t> indices) const override;
  std::int64_t classes() const override { return options_.classes; }

 private:
  std::vector<std::uint8_t> pixels_;
  std::vector<std::uint8_t> labels_;
  Shape image_;
  ImageOptions options_;
};

/// The only item of a batch.
Item item_of(const Batch& batch);

}  // namespace tapegrad::nn
