#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/data_source.h>
#include <tapegrad/nn/data/item_stack.h>

namespace tapegrad::nn {

DataSource::~DataSource() = default;

std::int64_t DataSource::classes() const { return 0; }

Batch DataSource::gather(std::span<const std::int64_t> indices) const {
  if (indices.empty() && size() == 0)
    throw ArgumentError("data source: there are no items, whose shapes a batch of none could have");
  constexpr batching::ItemMaker kMaker{"data source",
                                       "in item(), or override gather(), which may pad those of a batch"};
  return batching::stacked(kMaker, indices, 0, [&](std::int64_t index) { return item(index); });
}

}  // namespace tapegrad::nn
