#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/rank_step.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

namespace {

/// What a micro-batch draws from: as independent of the others as of the generator that it is made from.
Generator generator_of_piece(const Generator::State& at, std::int64_t piece) {
  const auto low = [](std::uint64_t n) { return static_cast<std::uint32_t>(n); };
  const auto high = [](std::uint64_t n) { return static_cast<std::uint32_t>(n >> 32); };
  constexpr std::uint32_t kOfPieces = 0x70696563U;
  const auto words = philox4x32({low(at.position), high(at.position), low(at.stream), high(at.stream)},
                                {low(at.seed), high(at.seed)});
  const auto r = philox4x32(words, {low(static_cast<std::uint64_t>(piece)), kOfPieces});
  return Generator(std::uint64_t{r[1]} << 32 | r[0], std::uint64_t{r[3]} << 32 | r[2]);
}

/// How many words of a generator stand for a step, of which its micro-batches' are made.
constexpr std::uint64_t kWordsOfStep = 4;

template <class T>
std::span<T> floating_values(Tensor& t) {
  return {TensorAccess::data_as<T>(t), static_cast<std::size_t>(t.size())};
}

/// after - before; exactly 0 where they are the same, also where both are infinite.
Tensor change(const Tensor& before, const Tensor& after) {
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

/// The network as forward of a micro-batch is to find it.
void start_piece(const ForwardState& before, std::int64_t piece) {
  before.restore();
  for (const auto& [generator, value] : before.generators())
    *generator = generator_of_piece(value.state(), piece);
}

/// Generators where the next step is to find them.
void end_step(const ForwardState& before) {
  for (const auto& [generator, value] : before.generators()) {
    Generator::State state = value.state();
    state.position += kWordsOfStep;
    *generator = Generator(state);
  }
}

}  // namespace

/// What ranks tell each other of a step before the gradients, in one message: losses and metrics of their micro-batches,
/// and whether they have a gradient of each parameter.
class RankStep::Measured {
 public:
  Measured(std::size_t pieces, std::size_t parameters, std::size_t ranks = 1)
      : gradients_(2 * pieces), of_rank_(gradients_ + parameters), values_(of_rank_ * ranks) {}

  double& loss(std::size_t piece, std::size_t rank = 0) { return values_[rank * of_rank_ + 2 * piece]; }
  double& metric(std::size_t piece, std::size_t rank = 0) { return values_[rank * of_rank_ + 2 * piece + 1]; }
  /// 1 where there is a gradient, else 0.
  double& gradient(std::size_t parameter, std::size_t rank = 0) {
    return values_[rank * of_rank_ + gradients_ + parameter];
  }
  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(values_)); }

  std::string culprit{};  ///< which is told in a message of its own, where it must be

 private:
  std::size_t gradients_;
  std::size_t of_rank_;
  std::vector<double> values_;
};

RankStep::RankStep(const DataParallel& options, ModuleBase& net)
    : communicator_(*options.communicator),
      strict_(options.strict),
      pieces_(options.pieces()),
      layout_(lay_out(net)),
      sum_(communicator_, layout_, pieces_) {}

RowLayout RankStep::lay_out(ModuleBase& net) {
  RowLayout layout;
  for (const auto& [name, parameter] : net.parameters())
    parameters_.emplace_back(parameter, layout.add(parameter.shape(), parameter.dtype()));
  const ForwardState now(net);
  for (const auto& [buffer, before] : now.buffers())
    if (is_floating(before.dtype())) buffers_.push_back(layout.add(before.shape(), before.dtype()));
  return layout;
}

BatchGradients RankStep::run(ModuleBase& net, Batches::Iterator& pieces, std::int64_t items,
                             const std::function<PieceResult(const Batch&)>& forward) {
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  const auto most = static_cast<std::size_t>(batch_count(pieces_, communicator_.size()));
  const auto items_of = [&](std::int64_t piece) {
    return piece_begin(piece + 1, pieces_, items) - piece_begin(piece, pieces_, items);
  };
  const ForwardState before(net);
  Measured own(most, parameters_.size());
  sum_.clear();
  for (std::int64_t piece = sum_.first(); piece < sum_.last(); ++piece) {
    if (piece > sum_.first()) ++pieces;
    start_piece(before, piece);
    const std::int64_t n = items_of(piece);
    if (n > 0)
      run_piece(before, *pieces, static_cast<double>(n) / static_cast<double>(items), own,
                static_cast<std::size_t>(piece - sum_.first()), forward);
    else if (strict_)
      sum_.add({});
    else
      only_ = sum_.new_rows();
  }

  BatchGradients result;
  Measured all(most, parameters_.size(), ranks);
  communicator_.all_gather(own.bytes(), all.bytes());
  std::vector<std::uint8_t> is_there(static_cast<std::size_t>(pieces_));
  for (std::size_t r = 0; r < ranks; ++r) {
    const std::int64_t first = piece_begin(static_cast<std::int64_t>(r), communicator_.size(), pieces_);
    const std::int64_t last = piece_begin(static_cast<std::int64_t>(r) + 1, communicator_.size(), pieces_);
    for (std::int64_t piece = first; piece < last; ++piece) {
      const auto at = static_cast<std::size_t>(piece - first);
      const auto n = static_cast<double>(items_of(piece));
      is_there[static_cast<std::size_t>(piece)] = n > 0;
      result.loss += n * all.loss(at, r);
      result.metric += n * all.metric(at, r);
    }
  }
  result.loss /= static_cast<double>(items);
  result.metric /= static_cast<double>(items);
  if (!std::isfinite(result.loss)) {
    for (const std::string& culprit : all_gather(communicator_, own.culprit))
      if (result.culprit.empty()) result.culprit = culprit;
    return result;
  }

  const NumberRows sums = sum_up(is_there);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    bool any = false;
    for (std::size_t r = 0; r < ranks; ++r) any = any || all.gradient(i, r) != 0;
    if (any) result.gradients.insert({parameters_[i].first.id(), {}}, take(sums, parameters_[i].second));
  }
  auto place = buffers_.begin();
  for (const auto& [buffer, was] : before.buffers()) {
    if (is_floating(was.dtype())) {
      *buffer = changed(was, take(sums, *place++));
    } else {  // a count: what the last micro-batch makes of it, which always has items
      Tensor count = buffer->copy();
      communicator_.broadcast(bytes_of(count), communicator_.size() - 1);
      *buffer = count;
    }
  }
  end_step(before);
  return result;
}

/// Forward and backward of a micro-batch that is this share of the batch.
void RankStep::run_piece(const ForwardState& before, const Batch& batch, double share, Measured& own,
                         std::size_t index, const std::function<PieceResult(const Batch&)>& forward) {
  Tape tape;
  PieceResult result = forward(batch);
  const double loss = result.loss.item();
  own.loss(index) = loss;
  own.metric(index) = result.metric;
  if (!std::isfinite(loss)) {  // all ranks will hear, and none goes on
    if (own.culprit.empty())
      own.culprit = fmt::format(" in micro-batch {} of {}{}",
                                sum_.first() + static_cast<std::int64_t>(index) + 1, pieces_, result.culprit);
    return;
  }
  const Gradients gradients =
      tape.backward(result.loss, Tensor::full(result.loss.shape(), share, result.loss.dtype()));
  NumberRows rows = sum_.new_rows();
  std::size_t found = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (const Tensor* const gradient = gradients.find(parameters_[i].first)) {
      put(rows, parameters_[i].second, *gradient);
      own.gradient(i) = 1;
      ++found;
    }
  require_all_listed(communicator_, "trainer", gradients, found);
  auto place = buffers_.begin();
  for (const auto& [buffer, was] : before.buffers())
    if (is_floating(was.dtype())) put(rows, *place++, change(was, *buffer), share);
  if (strict_)
    sum_.add(std::move(rows));
  else
    only_ = std::move(rows);
}

NumberRows RankStep::sum_up(const std::vector<std::uint8_t>& is_there) {
  if (strict_) return sum_.finish(is_there);
  all_reduce(communicator_, only_);
  return std::move(only_);
}

}  // namespace tapegrad::nn
