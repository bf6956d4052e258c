#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/export.h>

namespace tapegrad::nn {

/// Thrown on a rank that waits for others, where one of these has failed or has returned: the message names that rank
/// and the cause.
class TAPEGRAD_API RankFailed final : public Error {
 public:
  using Error::Error;
  ~RankFailed() override;
};

/// How the ranks of a training, numbered from 0, exchange numbers. Ranks are threads (run_on_threads) or processes
/// (run_with_mpi, in the library tapegrad_distributed); OneRank is a training by itself.
///
/// Each operation is collective: all ranks call the same ones in the same order, with equal sizes, and each returns
/// when this rank has its result. Ranks that are threads throw ArgumentError where they do not, all of them; with MPI
/// they end with an error of MPI, or wait for ever. One thread of a rank calls at a time. Throws RankFailed where
/// another rank does not come any more. What is sent stays as it is; of all_reduce and broadcast the result stands in
/// its place.
class TAPEGRAD_API Communicator {
 public:
  virtual ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// The number of this rank, from 0, and how many there are.
  virtual int rank() const noexcept = 0;
  virtual int size() const noexcept = 0;
  /// Whether this is rank 0, which alone writes files and speaks.
  bool is_root() const noexcept { return rank() == 0; }

  /// The sum over all ranks, element by element, the same bits on all. The order of the sum is the implementation's:
  /// that of ranks for threads.
  void all_reduce(std::span<float> values) { reduce(values.data(), values.size(), f32); }
  void all_reduce(std::span<double> values) { reduce(values.data(), values.size(), f64); }
  void all_reduce(std::span<std::int64_t> values) { reduce(values.data(), values.size(), i64); }
  /// The bytes of rank `root`. Throws ArgumentError where there is no such rank.
  void broadcast(std::span<std::byte> bytes, int root = 0);
  /// The bytes of all ranks, in their order; `all` is size() times as long as `own`, which may be this rank's place in
  /// it. Throws ArgumentError for another length.
  void all_gather(std::span<const std::byte> own, std::span<std::byte> all);
  /// Each rank sends block j, of `block` bytes, to rank j: `sent` is size() blocks, or empty on a rank that does not
  /// send, and block i of `received` is what rank i has sent to this one. sends[i] says whether rank i takes part as a
  /// sender, the same on all ranks; the blocks of one that does not stay as they are, and so does that of this rank
  /// itself. Throws ArgumentError for other lengths.
  void exchange(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block,
                std::span<const std::uint8_t> sends);
  /// Returns when all ranks have come here.
  virtual void barrier() = 0;
  /// How many bytes of each rank's share go best at once where a long row is summed: over a network as many as there
  /// are, as each operation costs its latency; within one machine (kCachedBytes) what is still in a processor's cache
  /// when the copy is added and sent on.
  virtual std::size_t bytes_at_once() const noexcept { return std::numeric_limits<std::size_t>::max(); }
  /// None of 64 KiB to 2 MiB was faster (tapegrad_ranks_bench, its table of collectives).
  static constexpr std::size_t kCachedBytes = 524288;

 protected:
  Communicator() noexcept = default;

 private:
  // What an implementation does, with arguments that have been checked.
  virtual void reduce(void* values, std::size_t count, Dtype dtype) = 0;
  virtual void broadcast_bytes(std::span<std::byte> bytes, int root) = 0;
  virtual void gather_blocks(std::span<const std::byte> own, std::span<std::byte> all) = 0;
  virtual void exchange_blocks(std::span<const std::byte> sent, std::span<std::byte> received,
                               std::size_t block, std::span<const std::uint8_t> sends) = 0;
};

/// A single rank: every operation gives it its own numbers back.
class TAPEGRAD_API OneRank final : public Communicator {
 public:
  OneRank() noexcept = default;
  int rank() const noexcept override { return 0; }
  int size() const noexcept override { return 1; }
  void barrier() override {}

 private:
  void reduce(void*, std::size_t, Dtype) override {}
  void broadcast_bytes(std::span<std::byte>, int) override {}
  void gather_blocks(std::span<const std::byte> own, std::span<std::byte> all) override;
  void exchange_blocks(std::span<const std::byte>, std::span<std::byte>, std::size_t,
                       std::span<const std::uint8_t>) override {}
};

}  // namespace tapegrad::nn
