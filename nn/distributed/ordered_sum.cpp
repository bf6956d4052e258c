#include <algorithm>
#include <utility>

#include <tapegrad/nn/data/shard.h>
#include <tapegrad/nn/distributed/ordered_sum.h>
#include <tapegrad/ops/define.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// A share of a row, of someone's subtree.
struct Share {
  std::byte* data = nullptr;
  bool there = false;
};
bool is_there(const Share& share) { return share.there; }

/// Adds nothing: to find out which subtrees there will be.
struct Nothing {};
bool is_there(const Nothing&) { return false; }

std::vector<Subtree> subtrees_of(std::int64_t first, std::int64_t last) {
  const auto add = [](Nothing&, const Nothing&) {};
  TreeSum<Nothing, decltype(add)> sum(add);
  for (std::int64_t i = first; i < last; ++i) sum.push({.first = i}, {});
  std::vector<Subtree> all;
  for (const auto& node : sum.nodes()) all.push_back(node.at);
  return all;
}

bool any_there(const Subtree& at, const std::vector<std::uint8_t>& is_there) {
  return std::any_of(is_there.begin() + at.first, is_there.begin() + at.first + at.width,
                     [](std::uint8_t there) { return there != 0; });
}

}  // namespace

OrderedSum::OrderedSum(Communicator& communicator, const RowLayout& layout, std::int64_t terms)
    : communicator_(communicator),
      layout_(layout),
      first_(piece_begin(communicator.rank(), communicator.size(), terms)),
      last_(piece_begin(communicator.rank() + 1, communicator.size(), terms)),
      next_(first_) {
  if (communicator.size() > terms)
    throw ArgumentError(fmt::format(
        "micro_batches is {}, and there are {} ranks; give at least as many micro-batches as ranks, the same "
        "number for any number of ranks",
        terms, communicator.size()));
  for (std::int64_t r = 0; r < communicator.size(); ++r) {
    of_ranks_.push_back(subtrees_of(piece_begin(r, communicator.size(), terms),
                                    piece_begin(r + 1, communicator.size(), terms)));
    rounds_ = std::max(rounds_, of_ranks_.back().size());
  }
}

void OrderedSum::add_rows(NumberRows& to, const NumberRows& from) {
  for (std::size_t i = 0; i < to.of.size(); ++i)
    if (Tensor& row = to.of[i]; row.defined()) {
      Tensor other = from.of[i];
      tapegrad::detail::add_elements(row.dtype(), bytes_of(row).data(), bytes_of(other).data(), row.size());
    }
}

void OrderedSum::add(NumberRows term) { local_.push({.first = next_++}, std::move(term)); }

NumberRows OrderedSum::finish(const std::vector<std::uint8_t>& is_there) {
  next_ = first_;
  if (communicator_.size() == 1) return local_.take_all();
  const auto own = local_.take_nodes();
  NumberRows sums;
  for (std::size_t i = 0; i < sums.of.size(); ++i)
    if (const NumberRows like = layout_.new_rows(communicator_.size()); like.of[i].defined())
      sums.of[i] = reduce_row(i, own, is_there);
  return sums;
}

/// Sums one row: `own` are this rank's subtrees.
Tensor OrderedSum::reduce_row(std::size_t dtype, const std::vector<LocalSum::Node>& own,
                              const std::vector<std::uint8_t>& is_there) {
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  Tensor sum = layout_.new_rows(communicator_.size()).of[dtype];
  const std::int64_t share = sum.size() / communicator_.size();
  const std::size_t block = static_cast<std::size_t>(share) * size_of(sum.dtype());

  // In round k each rank sends the k-th of its subtrees.
  std::vector<Tensor> received(rounds_);
  for (std::size_t round = 0; round < rounds_; ++round) {
    std::vector<std::uint8_t> sends(ranks);
    for (std::size_t r = 0; r < ranks; ++r)
      sends[r] = round < of_ranks_[r].size() && any_there(of_ranks_[r][round], is_there);
    received[round] = Tensor::empty(sum.shape(), sum.dtype());
    Tensor sent =
        sends[static_cast<std::size_t>(communicator_.rank())] ? own[round].value.of[dtype] : Tensor();
    communicator_.exchange(sent.defined() ? bytes_of(sent) : std::span<std::byte>(),
                           bytes_of(received[round]), block, sends);
  }
  const auto add = [&](Share& to, const Share& from) {
    tapegrad::detail::add_elements(sum.dtype(), to.data, from.data, share);
  };
  TreeSum<Share, decltype(add)> tree(add);
  for (std::size_t r = 0; r < ranks; ++r)
    for (std::size_t round = 0; round < of_ranks_[r].size(); ++round)
      tree.push(of_ranks_[r][round],
                {bytes_of(received[round]).data() + r * block, any_there(of_ranks_[r][round], is_there)});
  const Share own_share = tree.take_all();
  communicator_.all_gather({own_share.data, block}, bytes_of(sum));
  return sum;
}

}  // namespace tapegrad::nn
