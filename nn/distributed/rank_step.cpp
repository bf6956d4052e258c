#include <cmath>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/rank_step.h>
#include <tapegrad/nn/distributed/synchronised.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

namespace {

template <class T>
std::span<T> floating_values(Tensor& t) {
  return {TensorAccess::data_as<T>(t), static_cast<std::size_t>(t.size())};
}

/// after - before; exactly 0 where they are the same, also where both are infinite.
Tensor change(const Tensor& before, const Tensor& after) {
  if (!after.defined() || after.dtype() != before.dtype() || after.shape() != before.shape())
    throw ArgumentError(fmt::format(
        "trainer: a buffer of {} is {} behind forward; on ranks, who exchange it, a buffer keeps its dtype and shape",
        describe(before), after.defined() ? describe(after) : "undefined"));
  Tensor result = Tensor::empty(before.shape(), before.dtype());
  visit_floating(before.dtype(), [&]<class T> {
    const std::span<T> to = floating_values<T>(result);
    const std::span<const T> a = before.values<T>(), b = after.values<T>();
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = a[i] == b[i] ? T{0} : b[i] - a[i];
  });
  return result;
}

/// before + change, and before itself, to the bit, where nothing has changed.
Tensor changed(const Tensor& before, const Tensor& change) {
  Tensor result = Tensor::empty(before.shape(), before.dtype());
  visit_floating(before.dtype(), [&]<class T> {
    const std::span<T> to = floating_values<T>(result);
    const std::span<const T> a = before.values<T>(), d = change.values<T>();
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = d[i] == 0 ? a[i] : a[i] + d[i];
  });
  return result;
}

/// What `work` gives, on a micro-batch. An argument that it refuses may be right for a batch, as one item is too few
/// for BatchNorm: the message says of which part it is.
template <class Work>
PieceResult named_piece(std::int64_t piece, std::int64_t pieces, std::int64_t items, std::int64_t of_batch,
                        const Work& work) {
  try {
    return work();
  } catch (const ArgumentError& e) {
    if (pieces == 1) throw;
    throw ArgumentError(fmt::format("{}; this was micro-batch {} of {}, with {} of the {} items of a batch",
                                    e.what(), piece + 1, pieces, items, of_batch));
  }
}

}  // namespace

/// What ranks tell each other of a step before the gradients, in one message: losses and metrics of their
/// micro-batches, and which parameters these have read, and the rate of the update.
class RankStep::Measured {
 public:
  /// Of one rank.
  Measured(std::size_t pieces, std::size_t parameters, double lr)
      : read_(2 * pieces), of_rank_(read_ + parameters + 1), values_(of_rank_) {
    values_.back() = lr;
  }
  /// Of all ranks, who tell their own. Collective.
  Measured(const Measured& own, Communicator& communicator)
      : read_(own.read_),
        of_rank_(own.of_rank_),
        values_(of_rank_ * static_cast<std::size_t>(communicator.size())) {
    communicator.all_gather(std::as_bytes(std::span(own.values_)),
                            std::as_writable_bytes(std::span(values_)));
  }

  void take(std::size_t piece, const PieceResult& result, std::span<const std::uint8_t> read) {
    values_[2 * piece] = result.loss.item();
    values_[2 * piece + 1] = result.metric;
    for (std::size_t i = 0; i < read.size(); ++i)
      if (read[i]) values_[read_ + i] = 1;
  }
  double loss(std::size_t piece, std::size_t rank) const { return values_[rank * of_rank_ + 2 * piece]; }
  double metric(std::size_t piece, std::size_t rank) const {
    return values_[rank * of_rank_ + 2 * piece + 1];
  }
  double lr(std::size_t rank) const { return values_[(rank + 1) * of_rank_ - 1]; }
  bool is_used(std::size_t parameter) const {
    for (std::size_t at = read_ + parameter; at < values_.size(); at += of_rank_)
      if (values_[at] != 0) return true;
    return false;
  }

  std::string culprit{};  ///< which is told in a message of its own, where it must be

 private:
  std::size_t read_;
  std::size_t of_rank_;
  std::vector<double> values_;
};

RankStep::RankStep(const DataParallel& options, ModuleBase& net)
    : communicator_(*options.communicator),
      pieces_(options.pieces()),
      declares_exchange_(!synchronised_layers(net).empty()),
      sums_(with_synchronised_layers(options, net), list(net)) {}

/// What is summed.
std::vector<Tensor> RankStep::list(ModuleBase& net) {
  std::vector<Tensor> all;
  const ForwardState now(net);
  for (const auto& [buffer, value] : now.buffers())
    if (is_floating(value.dtype())) all.push_back(value);
  buffers_ = all.size();
  for (const auto& [name, parameter] : net.parameters()) {
    numbers_[parameter.id()] = parameters_.size();
    parameters_.push_back(parameter);
    all.push_back(parameter.data());
  }
  comes_.assign(all.size(), 1);
  used_ = comes_;
  return all;
}

std::int64_t RankStep::items_of(std::int64_t piece, std::int64_t items) const {
  return piece_begin(piece + 1, pieces_, items) - piece_begin(piece, pieces_, items);
}

BatchGradients RankStep::run(ModuleBase& net, Batches::Iterator& pieces, std::int64_t items, double lr,
                             const std::function<PieceResult(const Batch&)>& forward) {
  const ForwardState before(net);
  Measured own(static_cast<std::size_t>(batch_count(pieces_, communicator_.size())), parameters_.size(), lr);
  const NoExchange no_exchange(declares_exchange_ ? nullptr : &communicator_);
  BatchGradients result;
  sums_.clear();
  for (std::int64_t piece = sums_.first(); piece < sums_.last(); ++piece) {
    if (piece > sums_.first()) ++pieces;
    before.restore_buffers();
    before.start_part(piece);
    const std::int64_t n = items_of(piece, items);
    Tape tape;
    PieceResult computed;
    if (n > 0) {
      computed = named_piece(piece, pieces_, n, items, [&] { return forward(*pieces); });
      for (std::size_t i = 0; i < parameters_.size(); ++i)
        comes_[buffers_ + i] = tape.has_read(parameters_[i]);
      own.take(static_cast<std::size_t>(piece - sums_.first()), computed,
               std::span(comes_).subspan(buffers_));
      if (!std::isfinite(computed.loss.item()) && own.culprit.empty())
        own.culprit = fmt::format(" in micro-batch {} of {}{}", piece + 1, pieces_, computed.culprit);
    }
    if (piece + 1 == sums_.last()) {
      result = agree(own, items);
      if (!std::isfinite(result.loss)) return result;
    }
    if (n == 0)
      sums_.skip_term();
    else if (std::isfinite(computed.loss.item()))  // otherwise all will hear, and none goes on
      differentiate(tape, computed.loss, static_cast<double>(n) / static_cast<double>(items), before);
  }
  sums_.finish();

  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (used_[buffers_ + i]) result.gradients.insert({parameters_[i].id(), {}}, sums_.sum(buffers_ + i));
  std::size_t floating = 0;
  for (const auto& [buffer, was] : before.buffers()) {
    if (is_floating(was.dtype())) {
      *buffer = changed(was, sums_.sum(floating++));
    } else {  // a count: what the last micro-batch makes of it, which always has items
      Tensor count = buffer->copy();
      communicator_.broadcast(bytes_of(count), communicator_.size() - 1);
      *buffer = count;
    }
  }
  before.end_step();
  return result;
}

/// Tells all ranks what there is, and has sums exchanged from here on where all is finite.
BatchGradients RankStep::agree(const Measured& own, std::int64_t items) {
  BatchGradients result;
  const Measured all(own, communicator_);
  for (std::int64_t r = 1; r < communicator_.size(); ++r)
    if (const double rate = all.lr(static_cast<std::size_t>(r)); rate != all.lr(0))
      throw ArgumentError(fmt::format(
          "trainer: the ranks differ: the rate of an update is {} on rank 0, {} on rank {}; give all "
          "ranks the same schedule, and set the same rates in callbacks",
          all.lr(0), rate, r));
  std::vector<std::uint8_t> is_there;
  for (std::int64_t r = 0; r < communicator_.size(); ++r) {
    const std::int64_t first = piece_begin(r, communicator_.size(), pieces_);
    const std::int64_t last = piece_begin(r + 1, communicator_.size(), pieces_);
    for (std::int64_t piece = first; piece < last; ++piece) {
      const auto n = static_cast<double>(items_of(piece, items));
      is_there.push_back(n > 0);
      result.loss += n * all.loss(static_cast<std::size_t>(piece - first), static_cast<std::size_t>(r));
      result.metric += n * all.metric(static_cast<std::size_t>(piece - first), static_cast<std::size_t>(r));
    }
  }
  result.loss /= static_cast<double>(items);
  result.metric /= static_cast<double>(items);
  if (!std::isfinite(result.loss)) {
    for (const std::string& culprit : all_gather(communicator_, own.culprit))
      if (result.culprit.empty()) result.culprit = culprit;
    return result;
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) used_[buffers_ + i] = all.is_used(i);
  sums_.exchange(std::move(is_there), used_);
  return result;
}

/// Backward of a micro-batch that is this share of the batch.
void RankStep::differentiate(Tape& tape, const Tensor& loss, double share, const ForwardState& before) {
  sums_.begin_term(comes_);
  std::size_t found = 0;
  const auto add = [&](const Gradients::Entry& e) {
    const auto number = numbers_.find(e.key.parameter);
    if (number == numbers_.end()) return;
    ++found;
    sums_.add(buffers_ + number->second, e.value);
  };
  const Gradients gradients =
      tape.backward(loss, {.cotangent = Tensor::full(loss.shape(), share, loss.dtype()), .on_leaf = add});
  require_all_listed(communicator_, "trainer", gradients, found);
  std::size_t floating = 0;
  for (const auto& [buffer, was] : before.buffers())
    if (is_floating(was.dtype())) sums_.add(floating++, change(was, *buffer), share);
}

}  // namespace tapegrad::nn
