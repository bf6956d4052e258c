#include <algorithm>
#include <array>

#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/elementwise.h>
#include <tapegrad/ops/loops/operand.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/reducers.h>

namespace tapegrad::detail {

namespace {

// ---- sums of gradients ----

/// sum[i] += term[i]
template <class T>
void add_elements(T* sum, const T* term, std::int64_t n) {
  dispatch_isa([=] { Destination<T>{sum, true}.put(n, [term](std::int64_t i) { return term[i]; }); });
}

/// Adds a block of the full gradient, from element `start` on, to the gradient of an operand that was
/// broadcast.
template <class T>
void reduce_to_operand(const LoopNest<1>& nest, std::int64_t start, std::int64_t count, const T* block,
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

struct GradientSum {
  static Tensor combine(Tensor a, const Tensor& b) {
    add_gradient_into(a, b);
    return a;
  }
};

/// Where the operands of a loop stand; null for those it does not read.
using Pointers = std::array<const void*, kBackwardOperands>;

Pointers advanced(Pointers p, std::int64_t by, std::size_t size) {
  for (const void*& q : p)
    if (q) q = at(q, by, size);
  return p;
}

// What follows is kept out of the way of small tensors, whose operations take as long as their prologue.

__attribute__((noinline)) Tensor forward_broadcast(const ElementwiseOp& e, const void* op,
                                                   const Tensor* const* in, const ElementwiseLoop& loop) {
  Shape shape = in[0]->shape();
  for (std::size_t i = 1; i < e.arity; ++i) shape = broadcast(shape, in[i]->shape(), e.name);
  const Dtype dtype = in[0]->dtype();
  const std::size_t size = size_of(dtype);
  Tensor out = Tensor::empty(shape, dtype);
  std::byte* const to = TensorAccess::data(out);
  parallel_ranges(shape.size(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::array<BroadcastOperand, kMaxArity> operands;
    for (std::size_t i = 0; i < e.arity; ++i)
      operands[i].bind(TensorAccess::data(*in[i]), dtype, in[i]->shape(), shape);
    for (std::int64_t start = begin; start < end; start += kOperandBlock) {
      const std::int64_t count = std::min(kOperandBlock, end - start);
      const void* pointers[kMaxArity] = {};
      for (std::size_t i = 0; i < e.arity; ++i) pointers[i] = operands[i].block(start, count);
      dispatch(loop)(op, count, pointers, at(to, start, size));
    }
  });
  return out;
}

/// By all threads, `size` bytes an element.
__attribute__((noinline)) void forward_shared(const ElementwiseLoop& loop, const void* op, std::size_t arity,
                                              const void* const* in, std::byte* to, std::int64_t n,
                                              std::size_t size) {
  parallel_ranges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    const void* from[kMaxArity];
    for (std::size_t i = 0; i < arity; ++i) from[i] = at(in[i], begin, size);
    dispatch(loop)(op, end - begin, from, at(to, begin, size));
  });
}

}  // namespace

template <std::size_t Arity>
Tensor elementwise_forward(const ElementwiseOp& e, const void* op, const Tensor* const* in) {
  const Tensor& first = *in[0];
  const Dtype dtype = first.dtype();
  const ElementwiseLoop& loop = e.forward[static_cast<std::size_t>(dtype)];
  bool same_shape = true;
  for (std::size_t i = 1; i < Arity; ++i) {
    // Beside the one before it: of where(c, a, b), c has been given the dtype of a.
    require_same_dtype(e.name, *in[i - 1], *in[i], {"input", i - 1}, {"input", i});
    same_shape &= in[i]->shape() == first.shape();
  }
  if (!loop[0]) throw_not_floating(e.name, "the input", dtype);
  if (!same_shape) return forward_broadcast(e, op, in, loop);
  Tensor out = Tensor::empty(first.shape(), dtype);
  std::byte* const to = TensorAccess::data(out);
  const void* pointers[kMaxArity];
  for (std::size_t i = 0; i < Arity; ++i) pointers[i] = TensorAccess::data(*in[i]);
  const std::int64_t n = first.size();
  if (n <= kGrain)
    dispatch(loop)(op, n, pointers, to);
  else
    forward_shared(loop, op, Arity, pointers, to, n, size_of(dtype));
  return out;
}

namespace {

/// Elements [begin, end) of a gradient by `loop`.
template <class T>
void gradient_range(const ElementwiseLoop& loop, const void* op, const Pointers& operands, Destination<T> to,
                    std::int64_t begin, std::int64_t end) {
  const std::int64_t step = to.add ? kOperandBlock : end - begin;
  for (std::int64_t start = begin; start < end; start += step) {
    const std::int64_t count = std::min(step, end - start);
    const Pointers from = advanced(operands, start, sizeof(T));
    (to + start).through(count, [&](T* out) { dispatch(loop)(op, count, from.data(), out); });
  }
}

/// Where all operands have the shape of the output.
template <std::size_t Arity>
void backward_direct(const ElementwiseOp& e, const void* op, unsigned needed, SaveMask read,
                     ElementAccess context) {
  Pointers operands{context.grad_output_data()};
  for (std::size_t i = 0; i < Arity; ++i)
    if (read >> i & 1u) operands[1 + i] = context.saved_data(static_cast<unsigned>(i));
  if (read & kOut) operands[kOutputOperand] = context.saved_data(kOutputBit);
  const Dtype dtype = context.output_dtype();
  const std::int64_t n = context.output_size();
  for (std::size_t i = 0; i < Arity; ++i) {
    if (!(needed >> i & 1u)) continue;
    if (e.identity_grad >> i & 1u) {
      context.add_grad_output(i);
      continue;
    }
    const ElementwiseLoop& loop = e.backward[i][static_cast<std::size_t>(dtype)];
    context.accumulate(i, dtype, [&](std::byte* to, bool add) {
      if (!add && n <= kGrain) return dispatch(loop)(op, n, operands.data(), to);
      visit_floating(dtype, [&]<class T> {
        const Destination<T> destination{reinterpret_cast<T*>(to), add};
        if (n <= kOperandBlock)
          return destination.through(n, [&](T* out) { dispatch(loop)(op, n, operands.data(), out); });
        parallel_ranges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
          gradient_range(loop, op, operands, destination, begin, end);
        });
      });
    });
  }
}

/// Where some operands are broadcast, or gradients reduced to the shape of one that was.
template <class T>
class BroadcastBackward {
 public:
  BroadcastBackward(const ElementwiseOp& e, const void* op, SaveMask read, ElementAccess context)
      : e_(e), op_(op), context_(context), shape_(context.output_shape()), n_(shape_.size()) {
    for (std::size_t i = 0; i < e.arity; ++i) {
      shapes_[i] = context.input_shape(i);
      if (read >> i & 1u) saved_[i] = context.saved_data(static_cast<unsigned>(i));
    }
    if (read & kOut) output_ = context.saved_data(kOutputBit);
  }

  void gradient(std::size_t i) {
    const Shape& to = shapes_[i];
    const bool identity = e_.identity_grad >> i & 1u;
    if (to == shape_) {
      if (identity) return context_.add_grad_output(i);
      return context_.accumulate(i, dtype_of<T>, [&](std::byte* data, bool add) {
        whole(i, Destination<T>{reinterpret_cast<T*>(data), add});
      });
    }
    if (identity) return context_.add(i, sum_to_shape(context_.grad_output(), to));
    const LoopNest<1> nest = broadcast_nest(shape_, to);
    context_.accumulate(i, dtype_of<T>, [&](std::byte* data, bool add) {
      const Destination<T> destination{reinterpret_cast<T*>(data), add};
      destination.clear(to.size());
      // Long sums are built of partial ones, added in pairs of equally many terms, so that they keep their
      // digits. A partial sum takes long enough for the additions of whole tensors not to matter.
      const std::int64_t period =
          std::max(4 * kOperandBlock, (16 * to.size() + kOperandBlock - 1) / kOperandBlock * kOperandBlock);
      if (n_ <= period) return reduce_blocks(nest, i, 0, n_, destination.data);
      Pairwise<GradientSum, Tensor> all;
      for (std::int64_t start = 0; start < n_; start += period) {
        Tensor sum = Tensor::full(to, kNothing, dtype_of<T>);
        reduce_blocks(nest, i, start, std::min(n_, start + period), TensorAccess::data_as<T>(sum));
        all.push(std::move(sum));
      }
      add_elements<T>(destination.data, TensorAccess::data_as<T>(all.result()), to.size());
    });
  }

 private:
  /// f(start, count, compute) for each block of the full gradient of input i in [begin, end); compute(out)
  /// writes it.
  template <class F>
  void blocks(std::size_t i, std::int64_t begin, std::int64_t end, F&& f) {
    std::array<BroadcastOperand, kMaxArity> operands;
    for (std::size_t k = 0; k < e_.arity; ++k)
      if (e_.saves[i] >> k & 1u) operands[k].bind(saved_[k], dtype_of<T>, shapes_[k], shape_);
    const auto loop = dispatch(e_.backward[i][static_cast<std::size_t>(dtype_of<T>)]);
    for (std::int64_t start = begin; start < end; start += kOperandBlock) {
      const std::int64_t count = std::min(kOperandBlock, end - start);
      Pointers from{at(context_.grad_output_data(), start, sizeof(T))};
      for (std::size_t k = 0; k < e_.arity; ++k) from[1 + k] = operands[k].block(start, count);
      if (e_.saves[i] & kOut) from[kOutputOperand] = at(output_, start, sizeof(T));
      f(start, count, [&](T* out) { loop(op_, count, from.data(), out); });
    }
  }
  void whole(std::size_t i, Destination<T> to) {
    parallel_ranges(n_, kGrain, [&](std::int64_t begin, std::int64_t end) {
      blocks(i, begin, end, [&](std::int64_t start, std::int64_t count, const auto& compute) {
        (to + start).through(count, compute);
      });
    });
  }
  void reduce_blocks(const LoopNest<1>& nest, std::size_t i, std::int64_t begin, std::int64_t end, T* sum) {
    Workspace<T> block(kOperandBlock);
    blocks(i, begin, end, [&](std::int64_t start, std::int64_t count, const auto& compute) {
      compute(block.data());
      reduce_to_operand<T>(nest, start, count, block.data(), sum);
    });
  }

  const ElementwiseOp& e_;
  const void* op_;
  ElementAccess context_;
  Shape shape_;
  std::int64_t n_;
  std::array<Shape, kMaxArity> shapes_;
  std::array<const std::byte*, kMaxArity> saved_{};
  const std::byte* output_ = nullptr;
};

}  // namespace

template <std::size_t Arity>
void elementwise_backward(const ElementwiseOp& e, const void* op, ElementAccess context) {
  unsigned needed = 0;
  SaveMask read = 0;
  for (std::size_t i = 0; i < Arity; ++i)
    if (context.needs_grad(i)) {
      needed |= 1u << i;
      read |= e.saves[i];
    }
  bool direct = true;
  for (std::size_t i = 0; i < Arity; ++i)
    if ((needed | read) >> i & 1u) direct &= context.has_output_shape(i);
  if (direct) return backward_direct<Arity>(e, op, needed, read, context);
  visit_floating(context.output_dtype(), [&]<class T> {
    BroadcastBackward<T> pass(e, op, read, context);
    for (std::size_t i = 0; i < Arity; ++i)
      if (needed >> i & 1u) pass.gradient(i);
  });
}

#define TAPEGRAD_INSTANTIATE(Arity)                                                          \
  template TAPEGRAD_API Tensor elementwise_forward<Arity>(const ElementwiseOp&, const void*, \
                                                          const Tensor* const*);             \
  template TAPEGRAD_API void elementwise_backward<Arity>(const ElementwiseOp&, const void*, ElementAccess)
TAPEGRAD_INSTANTIATE(1);
TAPEGRAD_INSTANTIATE(2);
TAPEGRAD_INSTANTIATE(3);
#undef TAPEGRAD_INSTANTIATE

void add_elements(Dtype dtype, std::byte* sum, const std::byte* term, std::int64_t n) {
  visit_floating(dtype, [&]<class T> {
    T* const to = reinterpret_cast<T*>(sum);
    const T* const from = reinterpret_cast<const T*>(term);
    if (n <= kGrain) return add_elements(to, from, n);
    parallel_ranges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
      add_elements(to + begin, from + begin, end - begin);
    });
  });
}

void add_gradient_into(Tensor& sum, const Tensor& term) {
  add_elements(sum.dtype(), TensorAccess::data(sum), TensorAccess::data(term), sum.size());
}

}  // namespace tapegrad::detail
