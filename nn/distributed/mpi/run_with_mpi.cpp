#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <tapegrad/nn/distributed/mpi/run_with_mpi.h>

#include <fmt/format.h>
#include <mpi.h>

namespace tapegrad::nn {

namespace {

/// MPI counts in int: what is longer goes in several messages.
constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;

void check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  int kind = MPI_SUCCESS;
  MPI_Error_class(code, &kind);
  throw Error(fmt::format(
      "mpi: {}: {}{}", what, std::string_view(text, static_cast<std::size_t>(length)),
      kind == MPI_ERR_TRUNCATE ? "; another rank has called it with another size, or something else" : ""));
}

/// f(begin, count) for parts of n elements of this size, each of at most so many bytes, which MPI can count.
template <class F>
void in_parts(std::size_t n, std::size_t size, const F& f, std::size_t bytes = kMostAtOnce) {
  const std::size_t most = bytes / size;
  for (std::size_t begin = 0; begin < n; begin += most) f(begin, static_cast<int>(std::min(most, n - begin)));
}

class MpiRank final : public Communicator {
 public:
  /// Messages of this communicator and of the program's own do not meet.
  MpiRank() {
    check(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "a communicator of its own");
    check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "its errors");
    check(MPI_Comm_rank(comm_, &rank_), "the rank");
    check(MPI_Comm_size(comm_, &size_), "the number of ranks");
    MPI_Comm here = MPI_COMM_NULL;
    check(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here),
          "the ranks of a machine");
    int size_here = 0;
    check(MPI_Comm_size(here, &size_here), "the number of ranks of a machine");
    check(MPI_Comm_free(&here), "to free the communicator of a machine");
    one_machine_ = size_here == size_;
  }
  /// Frees it, which all ranks do together: not where one has failed.
  void free() { check(MPI_Comm_free(&comm_), "to free the communicator"); }

  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return size_; }

  void barrier() override { check(MPI_Barrier(comm_), "barrier"); }

  std::size_t bytes_at_once() const noexcept override {
    return one_machine_ ? kCachedBytes : Communicator::bytes_at_once();
  }

 private:
  static constexpr int kTag = 1;

  void reduce(void* values, std::size_t count, Dtype dtype) override {
    const MPI_Datatype type = dtype == f32 ? MPI_FLOAT : dtype == f64 ? MPI_DOUBLE : MPI_INT64_T;
    const auto reduce_part = [&](std::size_t begin, int n) {
      check(MPI_Allreduce(MPI_IN_PLACE, static_cast<std::byte*>(values) + begin * size_of(dtype), n, type,
                          MPI_SUM, comm_),
            "all_reduce");
    };
    const auto ranks = static_cast<std::size_t>(size_);
    in_parts(count, size_of(dtype), reduce_part, ranks * std::min(bytes_at_once(), kMostAtOnce / ranks));
  }

  void broadcast_bytes(std::span<std::byte> bytes, int root) override {
    in_parts(bytes.size(), 1, [&](std::size_t begin, int count) {
      check(MPI_Bcast(bytes.data() + begin, count, MPI_BYTE, root, comm_), "broadcast");
    });
  }

  void gather_blocks(std::span<const std::byte> own, std::span<std::byte> all) override {
    const std::size_t block = own.size();
    if (block == 0) return;
    std::byte* const place = all.data() + static_cast<std::size_t>(rank_) * block;
    if (place != own.data()) std::memcpy(place, own.data(), block);
    if (block <= kMostAtOnce) {
      check(MPI_Allgather(MPI_IN_PLACE, 0, MPI_BYTE, all.data(), static_cast<int>(block), MPI_BYTE, comm_),
            "all_gather");
      return;
    }
    for (int r = 0; r < size_; ++r)
      broadcast_bytes(all.subspan(static_cast<std::size_t>(r) * block, block), r);
  }

  void exchange_blocks(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block,
                       std::span<const std::uint8_t> sends) override {
    const auto self = static_cast<std::size_t>(rank_);
    std::vector<MPI_Request> requests;
    // Starting with its neighbour, so that not all send to rank 0 first.
    for (int step = 1; step < size_; ++step) {
      const auto to = static_cast<std::size_t>((rank_ + step) % size_);
      const auto from = static_cast<std::size_t>((rank_ - step + size_) % size_);
      in_parts(block, 1, [&](std::size_t begin, int count) {
        if (sends[from]) {
          requests.emplace_back();
          check(MPI_Irecv(received.data() + from * block + begin, count, MPI_BYTE, static_cast<int>(from),
                          kTag, comm_, &requests.back()),
                "exchange");
        }
        if (sends[self]) {
          requests.emplace_back();
          check(MPI_Isend(sent.data() + to * block + begin, count, MPI_BYTE, static_cast<int>(to), kTag,
                          comm_, &requests.back()),
                "exchange");
        }
      });
    }
    check(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE), "exchange");
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 0;
  bool one_machine_ = false;
};

/// Ends all ranks. The others may wait for this one in a collective operation: nothing can be agreed on any more.
[[noreturn]] void end_all(const Communicator& rank, const char* message) {
  // What all ranks throw, as for a file that is not there, rank 0 says for all: the others leave it the time.
  if (!rank.is_root()) std::this_thread::sleep_for(std::chrono::milliseconds(500));
  fmt::print(stderr, "rank {} of {} has failed: {}\n", rank.rank(), rank.size(), message);
  std::fflush(nullptr);
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::_Exit(1);
}

}  // namespace

int run_with_mpi(const Callback<int(Communicator&)>& run) {
  int finalised = 0;
  check(MPI_Finalized(&finalised), "whether it is finalised");
  if (finalised) throw Error("mpi: it is finalised, and cannot be initialised again; call run_with_mpi once");
  int initialised = 0;
  check(MPI_Initialized(&initialised), "whether it is initialised");
  int level = 0;
  if (initialised)
    check(MPI_Query_thread(&level), "what it knows of threads");
  else
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level), "to be initialised");
  if (level < MPI_THREAD_SERIALIZED)
    throw Error(initialised
                    ? "mpi: the program has initialised it for one thread; ask MPI_Init_thread for "
                      "MPI_THREAD_SERIALIZED"
                    : "mpi: it knows no threads (MPI_THREAD_SERIALIZED); take one that was built with them");
  MpiRank rank;
  int exit_code = 1;
  try {
    exit_code = run(rank);
  } catch (const std::exception& e) {
    end_all(rank, e.what());
  } catch (...) {
    end_all(rank, "something that is no exception of the standard library was thrown");
  }
  rank.free();
  if (!initialised) check(MPI_Finalize(), "to be finalised");
  return exit_code;
}

}  // namespace tapegrad::nn
