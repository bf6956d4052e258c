#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/rank_step.h>
#include <tapegrad/nn/visitor.h>

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

}  // namespace

/// What forward changes in a network, and how it was when the step began.
class RankStep::Members final : Visitor {
 public:
  explicit Members(ModuleBase& net) { net.visit(*this); }

  void start_piece(std::int64_t piece) {
    for (auto& [buffer, before] : buffers) *buffer = before;
    for (auto& [generator, before] : generators) *generator = generator_of_piece(before, piece);
  }
  void end_step() {
    for (auto& [generator, before] : generators) {
      before.position += kWordsOfStep;
      *generator = Generator(before);
    }
  }

  std::vector<std::pair<Buffer*, Buffer>> buffers{};
  std::vector<std::pair<Generator*, Generator::State>> generators{};

 private:
  void buffer(std::string_view, Buffer& b) override { buffers.emplace_back(&b, b); }
  void generator(std::string_view, Generator& g) override { generators.emplace_back(&g, g.state()); }
  void module(std::string_view, ModuleBase& m) override { m.visit(*this); }
};

/// What ranks tell each other of a step before the gradients, in one message: losses and metrics of their micro-batches,
/// and whether they have a gradient of each parameter.
struct RankStep::Measured {
  Measured(std::size_t pieces, std::size_t parameters, std::size_t ranks = 1)
      : at_flags(2 * pieces * sizeof(double)), of_rank(at_flags + parameters), bytes(of_rank * ranks) {}

  double number(std::size_t i, std::size_t rank = 0) const {
    double value = 0;
    std::memcpy(&value, bytes.data() + rank * of_rank + i * sizeof(double), sizeof value);
    return value;
  }
  void set_number(std::size_t i, double value) {
    std::memcpy(bytes.data() + i * sizeof(double), &value, sizeof value);
  }
  void set_gradient(std::size_t parameter) { bytes[at_flags + parameter] = std::byte{1}; }
  bool has_gradient(std::size_t parameter, std::size_t rank) const {
    return bytes[rank * of_rank + at_flags + parameter] != std::byte{0};
  }

  std::size_t at_flags;
  std::size_t of_rank;
  std::vector<std::byte> bytes;
  std::string culprit{};  ///< which is told in a message of its own, where it must be
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
  for (const auto& [buffer, before] : Members(net).buffers)
    if (is_floating(before.dtype())) buffers_.push_back(layout.add(before.shape(), before.dtype()));
  return layout;
}

BatchGradients RankStep::run(ModuleBase& net, Batches::Iterator& pieces, std::int64_t items,
                             const std::function<PieceResult(const Batch&)>& forward) {
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  const auto most = static_cast<std::size_t>((pieces_ + communicator_.size() - 1) / communicator_.size());
  const auto items_of = [&](std::int64_t piece) {
    return piece_begin(piece + 1, pieces_, items) - piece_begin(piece, pieces_, items);
  };
  Members members(net);
  Measured own(most, parameters_.size());
  sum_.clear();
  for (std::int64_t piece = sum_.first(); piece < sum_.last(); ++piece) {
    if (piece > sum_.first()) ++pieces;
    members.start_piece(piece);
    const std::int64_t n = items_of(piece);
    if (n > 0)
      run_piece(members, *pieces, static_cast<double>(n) / static_cast<double>(items), own,
                static_cast<std::size_t>(piece - sum_.first()), forward);
    else if (strict_)
      sum_.add({});
    else
      only_ = sum_.new_rows();
  }

  BatchGradients result;
  Measured all(most, parameters_.size(), ranks);
  communicator_.all_gather(own.bytes, all.bytes);
  std::vector<std::uint8_t> is_there(static_cast<std::size_t>(pieces_));
  for (std::size_t r = 0; r < ranks; ++r) {
    const std::int64_t first = piece_begin(static_cast<std::int64_t>(r), communicator_.size(), pieces_);
    const std::int64_t last = piece_begin(static_cast<std::int64_t>(r) + 1, communicator_.size(), pieces_);
    for (std::int64_t piece = first; piece < last; ++piece) {
      const auto at = 2 * static_cast<std::size_t>(piece - first);
      const auto n = static_cast<double>(items_of(piece));
      is_there[static_cast<std::size_t>(piece)] = n > 0;
      result.loss += n * all.number(at, r);
      result.metric += n * all.number(at + 1, r);
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
    for (std::size_t r = 0; r < ranks; ++r) any = any || all.has_gradient(i, r);
    if (any) result.gradients.insert({parameters_[i].first.id(), {}}, take(sums, parameters_[i].second));
  }
  auto place = buffers_.begin();
  for (auto& [buffer, before] : members.buffers) {
    if (is_floating(before.dtype())) {
      *buffer = changed(before, take(sums, *place++));
    } else {  // a count: what the last micro-batch makes of it, which always has items
      Tensor count = buffer->copy();
      communicator_.broadcast(bytes_of(count), communicator_.size() - 1);
      *buffer = count;
    }
  }
  members.end_step();
  return result;
}

/// Forward and backward of a micro-batch that is this share of the batch.
void RankStep::run_piece(Members& members, const Batch& batch, double share, Measured& own, std::size_t index,
                         const std::function<PieceResult(const Batch&)>& forward) {
  Tape tape;
  PieceResult result = forward(batch);
  const double loss = result.loss.item();
  own.set_number(2 * index, loss);
  own.set_number(2 * index + 1, result.metric);
  if (!std::isfinite(loss)) {  // all ranks will hear, and none goes on
    if (own.culprit.empty())
      own.culprit = fmt::format(" in micro-batch {} of {}{}",
                                sum_.first() + static_cast<std::int64_t>(index) + 1, pieces_, result.culprit);
    return;
  }
  const Gradients gradients =
      tape.backward(result.loss, Tensor::full(result.loss.shape(), share, result.loss.dtype()));
  NumberRows rows = sum_.new_rows();
  std::size_t found = 0, there_are = 0;
  for (const Gradients::Entry& e : gradients) there_are += e.key.parameter != 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (const Tensor* const gradient = gradients.find(parameters_[i].first)) {
      put(rows, parameters_[i].second, *gradient);
      own.set_gradient(i);
      ++found;
    }
  if (found != there_are)
    throw ArgumentError(fmt::format(
        "trainer: rank {} has gradients of {} parameters, of which the network lists {}; ranks match them by the "
        "names that its visit gives, so all must be listed",
        communicator_.rank(), there_are, found));
  auto place = buffers_.begin();
  for (const auto& [buffer, before] : members.buffers)
    if (is_floating(before.dtype())) put(rows, *place++, change(before, *buffer), share);
  if (strict_)
    sum_.add(std::move(rows));
  else
    only_ = std::move(rows);
}

NumberRows RankStep::sum_up(const std::vector<std::uint8_t>& is_there) {
  if (strict_) return sum_.finish(is_there);
  for (Tensor& row : only_.of)
    if (row.defined())
      visit_floating(row.dtype(), [&]<class T> { communicator_.all_reduce(floating_values<T>(row)); });
  return std::move(only_);
}

}  // namespace tapegrad::nn
