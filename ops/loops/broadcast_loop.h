#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

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
  BroadcastLoop(const ElementwiseLoop& loop, const void* op, const Shape& shape)
      : loop_(loop), op_(op), shape_(shape), n_(shape.size()) {}

  /// The operand at this place of the loop; those that are not bound are null.
  void bind(std::size_t place, const std::byte* data, const Shape& shape) {
    operands_[place] = BroadcastOperand(data, dtype_of<T>, shape, shape_);
  }

  void write(Destination<T> to) const {
    parallel_ranges(n_, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for_blocks(begin, end, [&](std::int64_t start, std::int64_t count, const auto& compute) {
        (to + start).through(count, compute);
      });
    });
  }

  /// The sums over the axes along which `to` broadcasts to the shape.
  void sum(const Shape& to, Destination<T> out) const {
    const LoopNest<1> nest = broadcast_nest(shape_, to);
    const std::int64_t size = to.size();
    // Long sums are built of partial ones, which the threads share and which are added in pairs of equally many
    // terms, so that they keep their digits. A partial sum takes long enough for the additions of whole results not
    // to matter.
    const std::int64_t period = std::max(kGrain, blocks_of(16 * size, kOperandBlock) * kOperandBlock);
    if (n_ <= period) {
      out.clear(size);
      return add_blocks(nest, 0, n_, out.data);
    }
    const std::int64_t periods = blocks_of(n_, period);
    Workspace<T> partial(periods * size);
    std::fill(partial.begin(), partial.end(), static_cast<T>(kNothing));
    parallel_ranges(n_, period, [&](std::int64_t begin, std::int64_t end) {
      add_blocks(nest, begin, end, partial.data() + begin / period * size);
    });
    sum_rows(static_cast<const T*>(partial.data()), periods, size, out);
  }

 private:
  /// f(start, count, compute) for each block of [begin, end); compute(out) writes its results.
  template <class F>
  void for_blocks(std::int64_t begin, std::int64_t end, F&& f) const {
    alignas(64) std::byte buffers[kBackwardOperands][BroadcastOperand::kBufferBytes];
    for (std::size_t k = 0; k < operands_.size(); ++k)
      operands_[k].prepare(std::min(kOperandBlock, end - begin), buffers[k]);
    const auto loop = dispatch(loop_);
    for (std::int64_t start = begin; start < end; start += kOperandBlock) {
      const std::int64_t count = std::min(kOperandBlock, end - start);
      std::array<const void*, kBackwardOperands> from;
      for (std::size_t k = 0; k < from.size(); ++k) from[k] = operands_[k].block(start, count, buffers[k]);
      f(start, count, [&](T* out) { loop(op_, count, from.data(), out); });
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

  const ElementwiseLoop& loop_;
  const void* op_;
  Shape shape_;
  std::int64_t n_;
  std::array<BroadcastOperand, kBackwardOperands> operands_{};
};

/// The gradient of input i of an op whose operands broadcast to `shape`, from that of its results, which broadcasts to
/// it too: written or summed to the input's shape.
template <class T>
void broadcast_gradient(const ElementwiseOp& e, const void* op, std::size_t i, const Shape& shape,
                        const std::byte* grad_results, const Shape& grad_shape, ElementAccess context) {
  BroadcastLoop<T> gradient(e.backward[i][static_cast<std::size_t>(dtype_of<T>)], op, shape);
  gradient.bind(0, grad_results, grad_shape);
  for (std::size_t k = 0; k < e.arity; ++k)
    if (e.saves[i] >> k & 1u)
      gradient.bind(1 + k, context.saved_data(static_cast<unsigned>(k)), context.input_shape(k));
  if (e.saves[i] & kOut) gradient.bind(kOutputOperand, context.saved_data(kOutputBit), shape);
  const Shape to = context.input_shape(i);
  context.accumulate(i, dtype_of<T>, [&](std::byte* data, bool add) {
    const Destination<T> destination{reinterpret_cast<T*>(data), add};
    if (to.size() == shape.size())
      gradient.write(destination);
    else
      gradient.sum(to, destination);
  });
}

}  // namespace tapegrad::detail
