#pragma once

#include <cstdint>
#include <span>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/data/batch.h>

namespace tapegrad::nn {

/// Where the items of a data set come from. Derive from it for data that are read, decoded or computed when they are
/// asked for:
///
///     class Recordings : public nn::DataSource {
///      public:
///       std::int64_t size() const override { return std::ssize(files_); }
///       nn::Item item(std::int64_t i) const override {
///         return {.x = read_sound(files_[i]), .t = Tensor::scalar(...)};
///       }
///       ...
///     };
///     nn::DataLoader loader(nn::Dataset(std::make_shared<Recordings>(folder)), {.batch = 32, .workers = 2});
///
/// An item depends on its index alone, so that epochs, seeds and interrupted trainings give the same batches; what is
/// to be random belongs into a Transform. Several threads call const members at the same time where a loader has
/// workers. What they throw arrives in the loop over the batches, at the batch that it belongs to.
class TAPEGRAD_API DataSource {
 public:
  DataSource() = default;
  DataSource(const DataSource&) = delete;
  DataSource& operator=(const DataSource&) = delete;
  virtual ~DataSource();

  /// Number of items, which stays what it is when a Dataset is made.
  virtual std::int64_t size() const = 0;
  /// Item `index`, which is in [0, size()): its tensors, of the same names, shapes and dtypes for all that come to be
  /// in one batch. A scalar is one number for each item, as class indices are (i64).
  virtual Item item(std::int64_t index) const = 0;
  /// The items with these indices as one batch: each tensor has a first axis that counts them. An index may be there
  /// several times, and there may be none: the batch then tells the shapes. Calls item() for each, one after the other,
  /// for none item(0). Override it where many items are had at less than the price of each.
  ///
  /// Throws ShapeError, DtypeError or ArgumentError where shapes, dtypes or names of two items differ, which it names;
  /// ArgumentError for no indices where there are no items.
  virtual Batch gather(std::span<const std::int64_t> indices) const;
  /// Number of classes, where targets are class indices; otherwise 0.
  virtual std::int64_t classes() const;
};

}  // namespace tapegrad::nn
