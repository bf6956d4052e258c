#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/elementwise.h>
#include <tapegrad/ops/loops/operand.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/reduce.h>

namespace tapegrad::detail {

/// One loop of an elementwise op over operands that broadcast to a shape: its results, elements of T, are written or
/// summed block by block.
template <class T>
class BroadcastLoop {
 public:
  /// `operands`: how many places the loop reads.
  BroadcastLoop(const ElementwiseLoop& loop, const void* op, std::size_t operands, const Shape& shape)
      : loop_(loop), op_(op), shape_(shape), n_(shape.size()), count_(operands) {}

  /// The operand at this place of the loop; those that are not bound are null.
  void bind(std::size_t place, const std::byte* data, const Shape& shape) {
    operands_[place] = BroadcastOperand(data, dtype_of<T>, shape, shape_);
  }

  void write(Destination<T> to) const {
    parallel_elements(n_, [&](std::int64_t begin, std::int64_t end) {
      for_blocks(begin, end, [&](std::int64_t start, std::int64_t count, const auto& compute) {
        (to + start).through(count, compute);
      });
    });
  }

  /// How many elements make a partial sum of those over the axes along which `to` broadcasts to the shape. Long sums
  /// are built of partial ones, which the threads share and which are added in pairs of equally many terms, so that
  /// they keep their digits. A partial sum takes long enough for the additions of whole results not to matter.
  static std::int64_t period_of(const Shape& to) {
    return std::max(kGrain, blocks_of(16 * to.size(), kOperandBlock) * kOperandBlock);
  }

  /// The sums over the axes along which `to` broadcasts to the shape.
  void sum(const Shape& to, Destination<T> out) const {
    const LoopNest<1> nest = broadcast_nest(shape_, to);
    const std::int64_t size = to.size();
    const std::int64_t period = period_of(to);
    if (n_ <= period) {
      out.clear(size);
      return add_blocks(nest, 0, n_, out.data);
    }
    const std::int64_t periods = blocks_of(n_, period);
    Workspace<T> partial(periods * size);
    std::fill(partial.begin(), partial.end(), static_cast<T>(kNothing));
    parallel_blocks(n_, period, [&](std::int64_t begin, std::int64_t end) {
      add_blocks(nest, begin, end, partial.data() + begin / period * size);
    });
    sum_rows(static_cast<const T*>(partial.data()), periods, size, out);
  }

  /// Where the results of a loop that makes several go: written, or summed over the axes along which their shape
  /// broadcasts to that of the loop.
  struct Result {
    std::size_t number = 0;  ///< among those of the loop
    Shape shape;
    Destination<T> to{};

    std::int64_t size() const { return shape.size(); }
  };

  /// Several results of one loop.
  void make(std::span<const Result> results) const {
    std::int64_t period = even_grain(n_);
    for (const Result& result : results)
      if (result.size() != n_) period = std::max(period, period_of(result.shape));
    const std::int64_t periods = blocks_of(n_, period);
    std::array<std::optional<Workspace<T, 64>>, kMaxArity> partial;
    for (std::size_t r = 0; r < results.size(); ++r) {
      const Result& result = results[r];
      if (result.size() == n_) continue;
      if (periods <= 1) {
        result.to.clear(result.size());
        continue;
      }
      partial[r].emplace(periods * result.size());
      std::fill(partial[r]->begin(), partial[r]->end(), static_cast<T>(kNothing));
    }
    parallel_blocks(n_, period, [&](std::int64_t begin, std::int64_t end) {
      std::array<T*, kMaxArity> sums{};
      for (std::size_t r = 0; r < results.size(); ++r)
        sums[r] = partial[r] ? partial[r]->data() + begin / period * results[r].size() : results[r].to.data;
      make_range(results, sums, begin, end);
    });
    for (std::size_t r = 0; r < results.size(); ++r)
      if (partial[r])
        sum_rows(static_cast<const T*>(partial[r]->data()), periods, results[r].size(), results[r].to);
  }

 private:
  /// Elements [begin, end) of several results, summed to `sums` where they are not written.
  void make_range(std::span<const Result> results, const std::array<T*, kMaxArity>& sums, std::int64_t begin,
                  std::int64_t end) const {
    Workspace<T> blocks(static_cast<std::int64_t>(results.size()) * kOperandBlock);
    std::array<std::optional<LoopNest<1>>, kMaxArity> nests;
    for (std::size_t r = 0; r < results.size(); ++r)
      if (results[r].size() != n_) nests[r].emplace(broadcast_nest(shape_, results[r].shape));
    for_blocks(begin, end, [&](std::int64_t start, std::int64_t count, const auto& compute) {
      std::array<T*, kMaxArity> to{};
      for (std::size_t r = 0; r < results.size(); ++r) {
        const bool in_place = results[r].size() == n_ && !results[r].to.add;
        to[results[r].number] = in_place ? results[r].to.data + start
                                         : blocks.data() + static_cast<std::int64_t>(r) * kOperandBlock;
      }
      compute(to.data());
      for (std::size_t r = 0; r < results.size(); ++r) {
        const T* const made = to[results[r].number];
        if (nests[r])
          add_block(*nests[r], start, count, made, sums[r]);
        else if (results[r].to.add)
          dispatch_isa(
              [&] { (results[r].to + start).put(count, [made](std::int64_t i) { return made[i]; }); });
      }
    });
  }
  /// f(start, count, compute) for each block of [begin, end); compute(out) writes its results.
  template <class F>
  void for_blocks(std::int64_t begin, std::int64_t end, F&& f) const {
    alignas(64) std::byte buffers[kMaxOperands][BroadcastOperand::kBufferBytes];
    for (std::size_t k = 0; k < count_; ++k)
      operands_[k].prepare(std::min(kOperandBlock, end - begin), buffers[k]);
    const auto loop = dispatch(loop_);
    for (std::int64_t start = begin; start < end; start += kOperandBlock) {
      const std::int64_t count = std::min(kOperandBlock, end - start);
      std::array<const void*, kMaxOperands> from;
      for (std::size_t k = 0; k < count_; ++k) from[k] = operands_[k].block(start, count, buffers[k]);
      f(start, count, [&](auto* out) { loop(op_, count, from.data(), out); });
    }
  }
  /// Adds the results in [begin, end) to what they are summed to.
  void add_blocks(const LoopNest<1>& nest, std::int64_t begin, std::int64_t end, T* sum) const {
    Workspace<T> results(kOperandBlock);
    for_blocks(begin, end, [&](std::int64_t start, std::int64_t count, const auto& compute) {
      compute(results.data());
      add_block(nest, start, count, results.data(), sum);
    });
  }
  static void add_block(const LoopNest<1>& nest, std::int64_t start, std::int64_t count, const T* block,
                        T* sum) {
    const bool contiguous = nest.inner().stride[0] != 0;
    dispatch_isa([&] {
      nest.for_each_run(start, start + count, [&](const LoopNest<1>::Offsets& at, std::int64_t run) {
        T* const to = sum + at[0];
        if (contiguous)
          Destination<T>{to, true}.put(run, [block](std::int64_t i) { return block[i]; });
        else
          *to += reduce_block<SumReducer<T>>(block, run, T{});
        block += run;
      });
    });
  }

  static constexpr std::size_t kMaxOperands = backward_operands(kMaxArity);

  const ElementwiseLoop& loop_;
  const void* op_;
  Shape shape_;
  std::int64_t n_;
  std::size_t count_;
  std::array<BroadcastOperand, kMaxOperands> operands_{};
};

/// The operands of a loop of gradients.
template <class T>
void bind_operands(BroadcastLoop<T>& loop, const ElementwiseOp& e, SaveMask read, const Shape& shape,
                   const std::byte* grad_results, const Shape& grad_shape, ElementAccess context) {
  loop.bind(0, grad_results, grad_shape);
  for (std::size_t k = 0; k < e.arity; ++k)
    if (read >> k & 1u)
      loop.bind(1 + k, context.saved_data(static_cast<unsigned>(k)), context.input_shape(k));
  if (read & kOut) loop.bind(output_operand(e.arity), context.saved_data(kOutputBit), shape);
}

/// The gradient of input i of an op whose operands broadcast to `shape`, from that of its results, which broadcasts to
/// it too: written or summed to the input's shape.
template <class T>
void broadcast_gradient(const ElementwiseOp& e, const void* op, std::size_t i, const Shape& shape,
                        const std::byte* grad_results, const Shape& grad_shape, ElementAccess context) {
  BroadcastLoop<T> gradient(e.backward[i][static_cast<std::size_t>(dtype_of<T>)], op,
                            backward_operands(e.arity), shape);
  bind_operands(gradient, e, e.saves_for_input(i), shape, grad_results, grad_shape, context);
  const Shape to = context.input_shape(i);
  context.accumulate(i, dtype_of<T>, [&](std::byte* data, bool add) {
    const Destination<T> destination{reinterpret_cast<T*>(data), add};
    if (to.size() == shape.size())
      gradient.write(destination);
    else
      gradient.sum(to, destination);
  });
}

/// The gradients of these inputs by one loop, likewise.
template <class T>
void joint_broadcast_gradients(const ElementwiseOp& e, const void* op, unsigned inputs, const Shape& shape,
                               const std::byte* grad_results, const Shape& grad_shape,
                               ElementAccess context) {
  BroadcastLoop<T> loop(e.joint_backward[static_cast<std::size_t>(dtype_of<T>)], op,
                        backward_operands(e.arity), shape);
  bind_operands(loop, e, e.saves_for_input(0), shape, grad_results, grad_shape, context);
  context.accumulate_jointly(inputs, dtype_of<T>, [&](const ElementAccess::Places& places) {
    std::array<typename BroadcastLoop<T>::Result, kMaxArity> results;
    std::size_t count = 0;
    for (std::size_t i = 0; i < e.arity; ++i)
      if (inputs >> i & 1u)
        results[count++] = {i, context.input_shape(i), {reinterpret_cast<T*>(places[i].data), places[i].add}};
    loop.make({results.data(), count});
  });
}

/// The gradients of these inputs, of an op that makes them by one loop or one by one.
template <class T>
void broadcast_gradients(const ElementwiseOp& e, const void* op, unsigned inputs, const Shape& shape,
                         const std::byte* grad_results, const Shape& grad_shape, ElementAccess context) {
  if (!e.has_joint_backward(dtype_of<T>)) {
    for (std::size_t i = 0; i < kMaxFormulaArity; ++i)
      if (inputs >> i & 1u) broadcast_gradient<T>(e, op, i, shape, grad_results, grad_shape, context);
    return;
  }
  // A sum to so many elements that one thread makes it keeps the others from sharing the rest.
  unsigned shared = 0;
  for (std::size_t i = 0; i < e.arity; ++i) {
    if (!(inputs >> i & 1u)) continue;
    const Shape to = context.input_shape(i);
    const bool one_block =
        to.size() != shape.size() && shape.size() > kGrain && BroadcastLoop<T>::period_of(to) >= shape.size();
    const bool alone = one_block || context.checks_finite();
    if (!alone) shared |= 1u << i;
  }
  const auto make = [&](unsigned some) {
    joint_broadcast_gradients<T>(e, op, some, shape, grad_results, grad_shape, context);
  };
  if (shared) make(shared);
  for (std::size_t i = 0; i < e.arity; ++i)
    if ((inputs & ~shared) >> i & 1u) make(1u << i);
}

}  // namespace tapegrad::detail
