#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <utility>

#include <tapegrad/nn/distributed/communicator.h>

namespace tapegrad::bench {

/// A rank that says it is one of several, and is alone: its operations return at once, without what the others would
/// have sent. A training computes as a rank of so many does, and its numbers are of no use.
///
/// What is little (losses, facts to be agreed on) arrives as if all ranks had sent the same; of what is large only this
/// rank's own part is there, and zeros where nothing was before.
class ClaimedRank final : public nn::Communicator {
 public:
  ClaimedRank(int rank, int size) noexcept : rank_(rank), size_(size) {}

  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return size_; }
  void barrier() override {}

 private:
  void reduce(void*, std::size_t, Dtype) override {}
  void broadcast_bytes(std::span<std::byte>, int) override {}
  void gather_blocks(std::span<const std::byte> own, std::span<std::byte> all) override;
  void exchange_blocks(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block,
                       std::span<const std::uint8_t> sends) override;

  int rank_;
  int size_;
  /// Where zeros are. They are written once, so that steps do not pay for them.
  std::set<std::pair<const std::byte*, std::size_t>> cleared_{};
};

}  // namespace tapegrad::bench
