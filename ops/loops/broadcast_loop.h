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
    operands_[place] = {data, shape};
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
  struct Operand {
    const std::byte* data = nullptr;
    Shape shape{};
  };

  /// f(start, count, compute) for each block of [begin, end); compute(out) writes its results.
  template <class F>
  void for_blocks(std::int64_t begin, std::int64_t end, F&& f) const {
    std::array<BroadcastOperand, kBackwardOperands> operands;
    for (std::size_t k = 0; k < operands.size(); ++k)
      if (operands_[k].data) operands[k].bind(operands_[k].data, dtype_of<T>, operands_[k].shape, shape_);
    const auto loop = dispatch(loop_);
    for (std::int64_t start = begin; start < end; start += kOperandBlock) {
      const std::int64_t count = std::min(kOperandBlock, end - start);
      std::array<const void*, kBackwardOperands> from;
      for (std::size_t k = 0; k < from.size(); ++k) from[k] = operands[k].block(start, count);
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
  std::array<Operand, kBackwardOperands> operands_{};
};

}  // namespace tapegrad::detail
