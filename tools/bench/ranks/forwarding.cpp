#include "forwarding.h"

namespace tapegrad::bench {

void Forwarding::broadcast(std::span<std::byte> bytes, int root) {
  begin(Operation::broadcast, bytes.size());
  to_.broadcast(bytes, root);
}

void Forwarding::all_gather(std::span<const std::byte> own, std::span<std::byte> all) {
  begin(Operation::all_gather, own.size());
  to_.all_gather(own, all);
}

void Forwarding::exchange(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block,
                          std::span<const std::uint8_t> sends) {
  begin(Operation::exchange, block);
  to_.exchange(sent, received, block, sends);
}

void Forwarding::barrier() {
  begin(Operation::barrier, 0);
  to_.barrier();
}

void Forwarding::reduce(void* values, std::size_t count, Dtype dtype) {
  begin(Operation::all_reduce, count * size_of(dtype));
  if (dtype == f32)
    to_.all_reduce(std::span(static_cast<float*>(values), count));
  else if (dtype == f64)
    to_.all_reduce(std::span(static_cast<double*>(values), count));
  else
    to_.all_reduce(std::span(static_cast<std::int64_t*>(values), count));
}

}  // namespace tapegrad::bench
