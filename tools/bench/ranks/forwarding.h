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
  void broadcast(std::span<std::byte> bytes, int root) override;
  void all_gather(std::span<const std::byte> own, std::span<std::byte> all) override;
  void exchange(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block,
                std::span<const std::uint8_t> sends) override;
  void barrier() override;

 protected:
  enum class Operation : std::uint8_t { all_reduce, broadcast, all_gather, exchange, barrier };
  /// Bytes: of the row; of all_gather a rank's own; of an exchange a block.
  virtual void begin(Operation operation, std::size_t bytes) = 0;

 private:
  void reduce(void* values, std::size_t count, Dtype dtype) override;

  nn::Communicator& to_;
};

}  // namespace tapegrad::bench
