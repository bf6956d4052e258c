#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/distributed/background.h>
#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/nn/distributed/data_parallel.h>
#include <tapegrad/nn/distributed/ordered_sum.h>

/// Not part of the library's interface.
namespace tapegrad::nn {

/// Sums of a list of tensors over the micro-batches of all ranks. They stand in buckets, and each bucket is summed as
/// soon as this rank's part of it is complete, by another thread, while the rank computes what is in the next one.
///
/// For each of this rank's terms: begin_term() and add() for its tensors, or skip_term(). Before the tensors of the
/// last one come the ranks have to agree on what there is: exchange(). Then finish(), and the sums are there.
class BucketSums {
 public:
  /// For tensors like these, the last of which come first.
  BucketSums(const DataParallel& options, std::vector<Tensor> like);

  /// The terms of this rank: [first(), last()).
  std::int64_t first() const noexcept { return ordered_.first(); }
  std::int64_t last() const noexcept { return ordered_.last(); }

  /// Forgets all terms.
  void clear();
  /// The next term: comes[i] says whether tensor i will be added; zeros stand for one that will not.
  void begin_term(std::span<const std::uint8_t> comes);
  /// Times `factor`. The elements of `value` may be used up.
  void add(std::size_t tensor, const Tensor& value, double factor = 1);
  /// The next term is not there.
  void skip_term();
  /// From here on buckets are exchanged. is_there[i] says which of all ranks' terms are there, is_used[i] whether any
  /// of them adds tensor i, the same on all ranks.
  void exchange(std::vector<std::uint8_t> is_there, std::vector<std::uint8_t> is_used);
  /// Returns when all sums are there. Collective, and so is what begins with exchange(): until here this rank's
  /// communicator is for these sums alone.
  void finish();
  /// The sum of a tensor that was used.
  Tensor sum(std::size_t tensor) const;

 private:
  /// A bucket at work.
  struct Work {
    Bucket bucket{};
    OrderedSum::Terms terms{};  ///< of this rank, where their order counts
    Tensor row{};               ///< the term at hand, or the only one; in the end the sum
    std::size_t missing = 0;    ///< tensors of the term at hand that have not come
    std::int64_t complete = 0;  ///< terms that have
    bool used = false;
  };
  bool is_complete(const Work& work) const noexcept { return work.complete == last() - first(); }
  void end_term(Work& work);
  void hand_over();
  void sum_up(Work& work);

  Communicator& communicator_;
  bool strict_;
  OrderedSum ordered_;
  std::vector<Work> works_;
  struct Place {
    std::size_t work = 0, member = 0;
  };
  std::vector<Place> places_;  ///< of the tensors
  bool exchanging_ = false;
  std::vector<std::uint8_t> is_there_{};
  std::size_t handed_over_ = 0;             ///< buckets that the other thread may sum
  std::optional<Background> background_{};  ///< it ends before what it works on
};

}  // namespace tapegrad::nn
