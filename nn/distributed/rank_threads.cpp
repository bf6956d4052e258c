#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <tapegrad/nn/distributed/rank_threads.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// What a rank has come for, and what the others are to read of it.
struct Call {
  std::string_view operation{};
  std::size_t count = 0;  ///< of elements, or of the bytes of a block
  std::string_view element = "bytes";
  int root = 0;
  const void* data = nullptr;

  /// As in "all_reduce of 100 f32".
  std::string describe() const {
    if (operation == "barrier") return "barrier";
    const std::string text = fmt::format("{} of {} {}", operation, count, element);
    return operation == "broadcast" ? fmt::format("{} from rank {}", text, root) : text;
  }
  bool is_same(const Call& other) const noexcept {
    return operation == other.operation && count == other.count && element == other.element &&
           root == other.root;
  }
};

/// Where the threads meet. Each publishes what the others are to read and waits for all; when it has read, it waits
/// again, so that nobody changes what is still read.
class MeetingPlace {
 public:
  explicit MeetingPlace(int ranks) : published_(static_cast<std::size_t>(ranks)) {}

  int size() const noexcept { return static_cast<int>(published_.size()); }
  /// What a rank has published, between two meetings.
  const void* of(int rank) const noexcept { return published_[static_cast<std::size_t>(rank)].data; }
  void publish(int rank, const Call& call) noexcept { published_[static_cast<std::size_t>(rank)] = call; }
  /// Which rank has come for something else than rank 0, between two meetings; -1 where all have come for the same.
  int find_other() const noexcept {
    for (int r = 1; r < size(); ++r)
      if (!published_[static_cast<std::size_t>(r)].is_same(published_[0])) return r;
    return -1;
  }
  /// What rank 0 and another one have come for, where it is not the same.
  std::string describe_difference(int other) const {
    return fmt::format(
        "{} on rank 0, {} on rank {}; all ranks call the same operations in the same order, with equal sizes",
        published_[0].describe(), published_[static_cast<std::size_t>(other)].describe(), other);
  }

  /// Returns when all ranks have called it as often. Throws RankFailed where one will not.
  void meet(int rank) {
    std::unique_lock lock(mutex_);
    if (gone_.empty() && ++arrived_ == size()) {
      arrived_ = 0;
      ++meetings_;
      all_here_.notify_all();
      return;
    }
    const std::int64_t meeting = meetings_;
    all_here_.wait(lock, [&] { return meetings_ != meeting || !gone_.empty(); });
    if (meetings_ == meeting) throw RankFailed(fmt::format("rank {} waits in vain: {}", rank, gone_));
  }

  /// Rank `rank` does not come any more, for this reason. The first one counts.
  void leave(int rank, const std::string& reason) {
    const std::lock_guard lock(mutex_);
    if (gone_.empty()) gone_ = fmt::format("rank {} {}", rank, reason);
    all_here_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::vector<Call> published_;
  int arrived_ = 0;
  std::int64_t meetings_ = 0;
  std::string gone_;
};

template <class T>
void add_up(MeetingPlace& place, int rank, std::size_t count) {
  // This rank sums its share of the elements over all ranks, in their order, and writes it to all of them.
  const auto ranks = static_cast<std::size_t>(place.size());
  const auto self = static_cast<std::size_t>(rank);
  const std::size_t end = count * (self + 1) / ranks;
  std::vector<T*> all;
  for (int r = 0; r < place.size(); ++r) all.push_back(static_cast<T*>(const_cast<void*>(place.of(r))));
  for (std::size_t i = count * self / ranks; i < end; ++i) {
    T sum = all[0][i];
    for (std::size_t r = 1; r < ranks; ++r) sum += all[r][i];
    for (T* const values : all) values[i] = sum;
  }
}

class RankThread final : public Communicator {
 public:
  RankThread(MeetingPlace& place, int rank) noexcept : place_(place), rank_(rank) {}

  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return place_.size(); }

  void barrier() override {
    share({.operation = "barrier"}, [] {});
  }
  std::size_t bytes_at_once() const noexcept override { return kCachedBytes; }

 private:
  void reduce(void* values, std::size_t count, Dtype dtype) override {
    share({.operation = "all_reduce", .count = count, .element = name_of(dtype), .data = values}, [&] {
      if (dtype == f32)
        add_up<float>(place_, rank_, count);
      else if (dtype == f64)
        add_up<double>(place_, rank_, count);
      else
        add_up<std::int64_t>(place_, rank_, count);
    });
  }

  void broadcast_bytes(std::span<std::byte> bytes, int root) override {
    share({.operation = "broadcast", .count = bytes.size(), .root = root, .data = bytes.data()}, [&] {
      if (rank_ != root && !bytes.empty()) std::memcpy(bytes.data(), place_.of(root), bytes.size());
    });
  }

  void gather_blocks(std::span<const std::byte> own, std::span<std::byte> all) override {
    share({.operation = "all_gather", .count = own.size(), .data = own.data()}, [&] {
      for (int r = 0; r < size(); ++r) copy_block(all, r, place_.of(r), 0, own.size());
    });
  }

  void exchange_blocks(std::span<const std::byte> sent, std::span<std::byte> received, std::size_t block,
                       std::span<const std::uint8_t> sends) override {
    share({.operation = "exchange", .count = block, .data = sent.data()}, [&] {
      for (int r = 0; r < size(); ++r)
        if (r != rank_ && sends[static_cast<std::size_t>(r)])
          copy_block(received, r, place_.of(r), rank_, block);
    });
  }

  template <class Read>
  void share(const Call& call, const Read& read) {
    place_.publish(rank_, call);
    place_.meet(rank_);
    const int other = place_.find_other();
    std::string difference;
    if (other < 0)
      read();
    else
      difference = place_.describe_difference(other);
    place_.meet(rank_);
    if (other >= 0) throw ArgumentError(fmt::format("the ranks differ: {}", difference));
  }

  /// Block `from` of what another rank has published becomes block `to`.
  static void copy_block(std::span<std::byte> all, int to, const void* data, int from, std::size_t block) {
    if (block == 0) return;
    std::byte* const place = all.data() + static_cast<std::size_t>(to) * block;
    const std::byte* const source =
        static_cast<const std::byte*>(data) + static_cast<std::size_t>(from) * block;
    if (place != source) std::memcpy(place, source, block);
  }

  MeetingPlace& place_;
  int rank_;
};

/// What a rank has thrown, and whether that was for the sake of another one.
struct Failure {
  std::exception_ptr error{};
  bool of_another = false;
};

Failure run_rank(MeetingPlace& place, int rank, const Callback<void(Communicator&)>& run) noexcept {
  Failure failure;
  std::string reason = "has returned";
  try {
    RankThread communicator(place, rank);
    run(communicator);
  } catch (const RankFailed& e) {
    failure = {std::current_exception(), true};
    reason = e.what();
  } catch (const std::exception& e) {
    failure = {std::current_exception(), false};
    reason = fmt::format("has failed: {}", e.what());
  } catch (...) {
    failure = {std::current_exception(), false};
    reason = "has failed";
  }
  place.leave(rank, reason);
  return failure;
}

}  // namespace

void run_on_threads(int ranks, const Callback<void(Communicator&)>& run) {
  if (ranks < 1)
    throw ArgumentError(fmt::format("run_on_threads: {} ranks; there must be at least one", ranks));
  MeetingPlace place(ranks);
  std::vector<Failure> failures(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  bool all_started = true;
  try {
    for (int r = 1; r < ranks; ++r)
      threads.emplace_back([&, r] { failures[static_cast<std::size_t>(r)] = run_rank(place, r, run); });
  } catch (const std::system_error&) {
    all_started = false;
    place.leave(static_cast<int>(threads.size()) + 1, "cannot start: the system gives no thread");
  }
  if (all_started) failures[0] = run_rank(place, 0, run);
  for (std::thread& t : threads) t.join();
  if (!all_started)
    throw OutOfMemory(fmt::format("run_on_threads: the system gives no thread for rank {} of {}",
                                  threads.size() + 1, ranks));
  for (const bool of_another : {false, true})
    for (const Failure& f : failures)
      if (f.error && f.of_another == of_another) std::rethrow_exception(f.error);
}

}  // namespace tapegrad::nn
