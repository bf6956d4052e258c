#include <cstring>

#include <tapegrad/nn/distributed/communicator.h>

#include <fmt/format.h>

namespace tapegrad::nn {

RankFailed::~RankFailed() = default;
Communicator::~Communicator() = default;

void Communicator::broadcast(std::span<std::byte> bytes, int root) {
  if (root < 0 || root >= size())
    throw ArgumentError(fmt::format("broadcast: from rank {} of {}; they are numbered from 0", root, size()));
  broadcast_bytes(bytes, root);
}

void Communicator::all_gather(std::span<const std::byte> own, std::span<std::byte> all) {
  if (all.size() != own.size() * static_cast<std::size_t>(size()))
    throw ArgumentError(fmt::format(
        "all_gather: {} bytes of each of {} ranks, and a place for {}; give it one for all of them",
        own.size(), size(), all.size()));
  gather_blocks(own, all);
}

void Communicator::exchange(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block,
                            std::span<const std::uint8_t> sends) {
  const auto ranks = static_cast<std::size_t>(size());
  const bool sends_nothing =
      sent.empty() && sends.size() == ranks && !sends[static_cast<std::size_t>(rank())];
  if ((sent.size() != block * ranks && !sends_nothing) || received.size() != block * ranks ||
      sends.size() != ranks)
    throw ArgumentError(fmt::format(
        "exchange: blocks of {} bytes on {} ranks, {} bytes to send, {} to receive, and {} senders to tell of; "
        "give a block and a sender for each rank",
        block, ranks, sent.size(), received.size(), sends.size()));
  exchange_blocks(sent, received, block, sends);
}

void OneRank::gather_blocks(std::span<const std::byte> own, std::span<std::byte> all) {
  if (!own.empty() && own.data() != all.data()) std::memcpy(all.data(), own.data(), own.size());
}

}  // namespace tapegrad::nn
