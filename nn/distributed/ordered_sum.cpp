#include <algorithm>
#include <utility>

#include <tapegrad/nn/data/shard.h>
#include <tapegrad/nn/distributed/ordered_sum.h>
#include <tapegrad/ops/define.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

namespace {

/// A share of a row, of someone's subtree.
struct Share {
  std::byte* data = nullptr;  ///< null for one that is not there
};
bool is_there(const Share& share) { return share.data != nullptr; }

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

OrderedSum::OrderedSum(Communicator& communicator, std::int64_t terms)
    : communicator_(communicator),
      first_(piece_begin(communicator.rank(), communicator.size(), terms)),
      last_(piece_begin(communicator.rank() + 1, communicator.size(), terms)) {
  if (communicator.size() > terms)
    throw ArgumentError(fmt::format(
        "{} micro-batches for {} ranks; give at least as many micro-batches as ranks, the same number for any "
        "number of ranks",
        terms, communicator.size()));
  for (std::int64_t r = 0; r < communicator.size(); ++r) {
    of_ranks_.push_back(subtrees_of(piece_begin(r, communicator.size(), terms),
                                    piece_begin(r + 1, communicator.size(), terms)));
    rounds_ = std::max(rounds_, of_ranks_.back().size());
  }
}

void OrderedSum::add_row(Tensor& to, const Tensor& from) {
  tapegrad::detail::add_elements(to.dtype(), TensorAccess::data(to), TensorAccess::data(from), to.size());
}

Tensor OrderedSum::sum(const Bucket& bucket, Terms& terms, const std::vector<std::uint8_t>& is_there) {
  if (communicator_.size() == 1) return terms.take_all();
  const Nodes own = terms.take_nodes();
  const std::size_t most = std::max<std::size_t>(1, communicator_.bytes_at_once() / size_of(bucket.dtype));
  const auto share = static_cast<std::int64_t>(
      std::min(most, static_cast<std::size_t>(bucket.length / communicator_.size())));
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  if (const std::size_t bytes = rounds_ * ranks * static_cast<std::size_t>(share) * size_of(bucket.dtype);
      bytes > received_bytes_) {
    received_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    received_bytes_ = bytes;
  }
  // What was sent of a stretch is no longer needed: the sum takes its place.
  Tensor sum = own.front().value.defined() ? own.front().value : bucket.new_row();
  for (std::int64_t begin = 0; begin < bucket.length; begin += share * communicator_.size())
    sum_stretch(bucket.dtype, begin, std::min(share, (bucket.length - begin) / communicator_.size()), own,
                sum, is_there);
  return sum;
}

/// Elements [begin, begin + ranks * share) of the sum.
void OrderedSum::sum_stretch(Dtype dtype, std::int64_t begin, std::int64_t share, const Nodes& own,
                             Tensor& sum, const std::vector<std::uint8_t>& is_there) {
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  const auto self = static_cast<std::size_t>(communicator_.rank());
  const std::size_t block = static_cast<std::size_t>(share) * size_of(dtype);
  const auto stretch_of = [&](Tensor row) {
    return bytes_of(row).subspan(static_cast<std::size_t>(begin) * size_of(dtype), ranks * block);
  };

  // In round k each rank sends the k-th of its subtrees.
  const auto received_in = [&](std::size_t round) { return received_.get() + round * ranks * block; };
  for (std::size_t round = 0; round < rounds_; ++round) {
    std::vector<std::uint8_t> sends(ranks);
    for (std::size_t r = 0; r < ranks; ++r)
      sends[r] = round < of_ranks_[r].size() && any_there(of_ranks_[r][round], is_there);
    communicator_.exchange(sends[self] ? stretch_of(own[round].value) : std::span<std::byte>(),
                           {received_in(round), ranks * block}, block, sends);
  }

  const auto add = [&](Share& to, const Share& from) {
    tapegrad::detail::add_elements(dtype, to.data, from.data, share);
  };
  TreeSum<Share, decltype(add)> tree(add);
  for (std::size_t r = 0; r < ranks; ++r)
    for (std::size_t round = 0; round < of_ranks_[r].size(); ++round) {
      Share term;
      if (any_there(of_ranks_[r][round], is_there))
        term.data =
            r == self ? stretch_of(own[round].value).data() + self * block : received_in(round) + r * block;
      tree.push(of_ranks_[r][round], term);
    }
  communicator_.all_gather({tree.take_all().data, block}, stretch_of(sum));
}

}  // namespace tapegrad::nn
