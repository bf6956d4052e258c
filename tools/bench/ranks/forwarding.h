#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <tapegrad/nn/distributed/communicator.h>

namespace tapegrad::bench {

/// A communicator that calls begin() before each operation and gives it to another one, which must outlive it.
class Forwarding : public nn::Communicator {
 public:
  explicit Forwarding(nn::Communicator& to) noexcept : to_(to) {}

  int rank() const noexcept override { return to_.rank(); }
  int size() const noexcept override { return to_.size(); }
  void barrier() override {
    begin(Operation::barrier, 0);
    to_.barrier();
  }

 protected:
  enum class Operation : std::uint8_t { all_reduce, broadcast, all_gather, exchange, barrier };
  /// Bytes: of the row; of all_gather a rank's own; of an exchange a block.
  virtual void begin(Operation operation, std::size_t bytes) = 0;

  void broadcast_bytes(std::span<std::byte> bytes, int root) override {
    begin(Operation::broadcast, bytes.size());
    to_.broadcast(bytes, root);
  }
  void gather_blocks(std::span<const std::byte> own, std::span<std::byte> all) override {
    begin(Operation::all_gather, own.size());
    to_.all_gather(own, all);
  }
  void exchange_blocks(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block,
                       std::span<const std::uint8_t> sends) override {
    begin(Operation::exchange, block);
    to_.exchange(sent, received, block, sends);
  }

 private:
  void reduce(void* values, std::size_t count, Dtype dtype) override {
    begin(Operation::all_reduce, count * size_of(dtype));
    if (dtype == f32)
      to_.all_reduce(std::span(static_cast<float*>(values), count));
    else if (dtype == f64)
      to_.all_reduce(std::span(static_cast<double*>(values), count));
    else
      to_.all_reduce(std::span(static_cast<std::int64_t*>(values), count));
  }

  nn::Communicator& to_;
};

}  // namespace tapegrad::bench
