#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/nn/distributed/wire.h>
#include <tapegrad/nn/train/checkpoint_broadcast.h>

namespace tapegrad::nn {

Checkpoint broadcast(Communicator& communicator, const Checkpoint& checkpoint) {
  WireWriter w;
  if (communicator.is_root()) {
    w.text(checkpoint.path);
    w.pairs(checkpoint.settings);
    w.pairs(checkpoint.trainer_settings);
    w.number(checkpoint.unreadable.size());
    for (const std::string& line : checkpoint.unreadable) w.text(line);
    w.number(checkpoint.tensors.size());
    for (const auto& [name, tensor] : checkpoint.tensors) {
      w.text(name);
      w.number(static_cast<std::uint64_t>(tensor.dtype()));
      w.number(tensor.rank());
      for (std::size_t axis = 0; axis < tensor.rank(); ++axis)
        w.number(static_cast<std::uint64_t>(tensor.shape()[axis]));
    }
  }
  const std::string text = nn::broadcast(communicator, w.take());
  WireReader r(text);
  Checkpoint c;
  c.path = r.text();
  c.settings = r.pairs<Metadata>();
  c.trainer_settings = r.pairs<Metadata>();
  for (std::uint64_t n = r.number(); n > 0; --n) c.unreadable.push_back(r.text());
  for (std::uint64_t n = r.number(); n > 0; --n) {
    std::string name = r.text();
    const auto dtype = static_cast<Dtype>(r.number());
    std::vector<std::int64_t> sizes(r.number());
    for (std::int64_t& size : sizes) size = static_cast<std::int64_t>(r.number());
    c.tensors.emplace_back(std::move(name), Tensor::empty(Shape(sizes), dtype));
  }
  for (std::size_t i = 0; i < c.tensors.size(); ++i) {
    Tensor& tensor = c.tensors[i].second;
    if (communicator.is_root()) tensor = checkpoint.tensors[i].second.copy();
    if (tensor.size() > 0) communicator.broadcast(bytes_of(tensor));
  }
  return c;
}

}  // namespace tapegrad::nn
