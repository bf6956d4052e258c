#include <algorithm>
#include <utility>

#include <tapegrad/nn/distributed/bucket_sums.h>

namespace tapegrad::nn {

BucketSums::BucketSums(const DataParallel& options, std::vector<Tensor> like)
    : communicator_(*options.communicator),
      strict_(options.strict),
      ordered_(communicator_, options.pieces()),
      places_(like.size()) {
  std::ranges::reverse(like);
  for (Bucket& bucket : buckets_of(like, options.bucket_bytes, communicator_.size())) {
    for (std::size_t m = 0; m < bucket.members.size(); ++m) {
      std::size_t& tensor = bucket.members[m].tensor;
      tensor = like.size() - 1 - tensor;
      places_[tensor] = {works_.size(), m};
    }
    works_.push_back({.bucket = std::move(bucket)});
  }
  // The last one is complete when there is nothing left to compute.
  if (options.overlap && communicator_.size() > 1 && works_.size() > 1)
    background_.emplace([this](std::size_t i) { sum_up(works_[i]); });
}

void BucketSums::clear() {
  if (exchanging_ && background_) background_->wait();  // an exchange that was given up
  for (Work& w : works_) {
    w.terms.take_nodes();
    w.row = Tensor();
    w.complete = 0;
  }
  exchanging_ = false;
  handed_over_ = 0;
}

void BucketSums::begin_term(std::span<const std::uint8_t> comes) {
  for (Work& w : works_) {
    w.row = Tensor();
    w.missing = 0;
    for (const Bucket::Member& m : w.bucket.members) w.missing += comes[m.tensor] != 0;
    if (w.missing > 0) continue;
    w.row = w.bucket.new_row();
    end_term(w);
  }
}

void BucketSums::add(std::size_t tensor, const Tensor& value, double factor) {
  Work& w = works_[places_[tensor].work];
  if (factor == 1 && value.size() == w.bucket.length) {
    w.row = value;
  } else {
    if (!w.row.defined()) w.row = w.bucket.new_row();
    put(w.row, w.bucket.members[places_[tensor].member], value, factor);
  }
  if (--w.missing > 0) return;
  end_term(w);
  if (exchanging_) hand_over();
}

void BucketSums::skip_term() {
  for (Work& w : works_) {
    w.row = Tensor();
    end_term(w);
  }
}

void BucketSums::end_term(Work& work) {
  if (strict_) work.terms.push({.first = first() + work.complete}, std::move(work.row));
  ++work.complete;
}

void BucketSums::exchange(std::vector<std::uint8_t> is_there, std::vector<std::uint8_t> is_used) {
  is_there_ = std::move(is_there);
  for (Work& w : works_)
    w.used = std::ranges::any_of(w.bucket.members, [&](const auto& m) { return is_used[m.tensor] != 0; });
  exchanging_ = true;
}

/// In their order, which is the same on all ranks.
void BucketSums::hand_over() {
  if (!background_) return;
  const std::size_t before = handed_over_;
  while (handed_over_ + 1 < works_.size() && is_complete(works_[handed_over_])) ++handed_over_;
  if (handed_over_ > before) background_->ready(handed_over_);
}

void BucketSums::finish() {
  if (background_) background_->wait();
  for (; handed_over_ < works_.size(); ++handed_over_) sum_up(works_[handed_over_]);
  exchanging_ = false;
}

void BucketSums::sum_up(Work& work) {
  if (!work.used) return;
  if (strict_) {
    work.row = ordered_.sum(work.bucket, work.terms, is_there_);
    return;
  }
  if (!work.row.defined()) work.row = work.bucket.new_row();
  all_reduce(communicator_, work.row);
}

Tensor BucketSums::sum(std::size_t tensor) const {
  const Work& w = works_[places_[tensor].work];
  return take(w.row, w.bucket.members[places_[tensor].member]);
}

}  // namespace tapegrad::nn
