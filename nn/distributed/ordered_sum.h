#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/nn/distributed/communicator.h>

/// Sums whose bits do not depend on the number of ranks. Not part of the library's interface.
namespace tapegrad::nn {

/// Terms [first, first + width) of a sum.
struct Subtree {
  std::int64_t first = 0;
  std::int64_t width = 1;

  friend bool operator==(const Subtree&, const Subtree&) = default;
};

/// A term of a sum is there, or not.
inline bool is_there(const Tensor& row) noexcept { return row.defined(); }

/// Adds terms that come in their order along a binary tree over all of them: two neighbours of 2^k terms each are added
/// as soon as both are there and the left one starts at a multiple of 2^(k+1). Subtrees that are left in the end are
/// added from the right to the left. The tree depends on the number of terms alone, and whoever has some neighbouring
/// terms can add up all the whole subtrees of it among these.
///
/// T is a term or none, as is_there(term) says: add(a, b) adds b to a, and is called where both are there.
template <class T, class Add>
class TreeSum {
 public:
  explicit TreeSum(Add add) : add_(add) {}

  /// Puts terms [at.first, at.first + at.width) behind those that there are.
  void push(Subtree at, T value) {
    nodes_.push_back({at, std::move(value)});
    while (nodes_.size() > 1) {
      const Subtree& left = nodes_[nodes_.size() - 2].at;
      if (left.width != nodes_.back().at.width || left.first % (2 * left.width) != 0) break;
      merge();
    }
  }
  /// The sum, once all terms are there.
  T take_all() {
    while (nodes_.size() > 1) merge();
    T all = std::move(nodes_.front().value);
    nodes_.clear();
    return all;
  }

  struct Node {
    Subtree at;
    T value;
  };
  /// The subtrees so far, and those taken out.
  const std::vector<Node>& nodes() const noexcept { return nodes_; }
  std::vector<Node> take_nodes() { return std::exchange(nodes_, {}); }

 private:
  void merge() {
    Node right = std::move(nodes_.back());
    nodes_.pop_back();
    Node& left = nodes_.back();
    left.at.width += right.at.width;
    if (!is_there(left.value))
      left.value = std::move(right.value);
    else if (is_there(right.value))
      add_(left.value, right.value);
  }

  Add add_;
  std::vector<Node> nodes_;
};

/// The sum of rows of numbers over terms that several ranks have: the same bits, on all ranks, for any number of ranks
/// that is not above that of the terms.
///
/// Each rank adds up the subtrees that lie within its own terms. Of all these, rank r gets share r, adds it up along
/// the same tree, and sends the sum to the others: where each rank has one subtree, as where both numbers are powers of
/// two, that is as many bytes as a ring sends, 2 (n - 1) / n of a row, the fewest there can be.
///
/// A row goes in stretches of communicator.bytes_at_once() for each rank, each with shares of its own.
class OrderedSum {
 public:
  /// This rank's terms of one sum, which are pushed in their order.
  class Terms final : public TreeSum<Tensor, void (*)(Tensor&, const Tensor&)> {
   public:
    Terms() : TreeSum(&add_row) {}
  };

  /// Throws ArgumentError for more ranks than terms.
  OrderedSum(Communicator& communicator, std::int64_t terms);

  /// The terms of this rank: [first(), last()).
  std::int64_t first() const noexcept { return first_; }
  std::int64_t last() const noexcept { return last_; }
  /// The sum of all terms i for which is_there[i], at least one, on all ranks: `terms` are this rank's, whose elements
  /// are used up: rows of this bucket, with a multiple of communicator.size() elements. Collective.
  Tensor sum(const Bucket& bucket, Terms& terms, const std::vector<std::uint8_t>& is_there);

 private:
  using Nodes = std::vector<Terms::Node>;
  static void add_row(Tensor& to, const Tensor& from);
  void sum_stretch(Dtype dtype, std::int64_t begin, std::int64_t share, const Nodes& own, Tensor& sum,
                   const std::vector<std::uint8_t>& is_there);

  Communicator& communicator_;
  std::int64_t first_;
  std::int64_t last_;
  std::vector<std::vector<Subtree>> of_ranks_;  ///< the subtrees that each rank ends up with
  std::size_t rounds_ = 0;                      ///< the most that a rank has
  std::unique_ptr<std::byte[]> received_{};     ///< of a stretch from all ranks, in each round
  std::size_t received_bytes_ = 0;
};

}  // namespace tapegrad::nn
