#include <algorithm>
#include <array>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/elementwise.h>
#include <tapegrad/ops/loops/operand.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/reduce.h>

#include <fmt/format.h>

namespace tapegrad::detail {

namespace {

// ---- sums of gradients ----

template <class T>
struct AddKernel {
  static void run(T* __restrict sum, const T* __restrict term, std::size_t n) {
    std::size_t j = 0;
    for (; n - j >= kUnroll; j += kUnroll)
      for (std::size_t k = 0; k < kUnroll; ++k) sum[j + k] += term[j + k];
    for (; j < n; ++j) sum[j] += term[j];
  }
};

/// sum[i] += term[i]
template <class T>
void add_elements(T* sum, const T* term, std::int64_t n) {
  static constexpr auto kLoop = per_isa<AddKernel<T>, T*, const T*, std::size_t>();
  dispatch(kLoop)(sum, term, static_cast<std::size_t>(n));
}

// Adds a block of the full gradient to the gradient of an operand that was broadcast.
template <class T>
void reduce_block(const BroadcastLayout& layout, std::int64_t start, std::int64_t count, const T* block,
                  T* sum) {
  layout.walk(start, count, [&](std::int64_t offset, std::int64_t run, std::int64_t step) {
    if (step)
      add_elements(sum + offset, block, run);
    else
      sum[offset] += fold_block<SumFold<T>>(block, run, T{});
    block += run;
  });
}

struct GradientSum {
  static Tensor combine(Tensor a, const Tensor& b) {
    add_gradient_into(a, b);
    return a;
  }
};

// ---- errors ----

[[noreturn]] void throw_mixed(const ElementwiseOp& e, Dtype a, Dtype b) {
  throw DtypeError(
      fmt::format("{}: inputs of {} and {}; cast one of them (tensors are not converted silently)",
                  op_label(e.name), name_of(a), name_of(b)));
}
[[noreturn]] void throw_not_taken(const ElementwiseOp& e, Dtype dtype) {
  throw DtypeError(fmt::format("{}: an input of {}; this operation takes f32 and f64, cast the input first",
                               op_label(e.name), name_of(dtype)));
}

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
  parallel_ranges(shape.size(), kRangeLength, [&](std::int64_t begin, std::int64_t end) {
    std::array<BroadcastOperand, kMaxArity> operands;
    for (std::size_t i = 0; i < e.arity; ++i)
      operands[i].bind(TensorAccess::data(*in[i]), dtype, in[i]->shape(), shape);
    for (std::int64_t start = begin; start < end; start += kOperandBlock) {
      const std::int64_t count = std::min(kOperandBlock, end - start);
      const void* pointers[kMaxArity] = {};
      for (std::size_t i = 0; i < e.arity; ++i) pointers[i] = operands[i].block(start, count);
      dispatch(loop)(op, static_cast<std::size_t>(count), pointers, at(to, start, size));
    }
  });
  return out;
}

/// By all threads, `size` bytes an element.
__attribute__((noinline)) void forward_shared(const ElementwiseLoop& loop, const void* op, std::size_t arity,
                                              const void* const* in, std::byte* to, std::int64_t n,
                                              std::size_t size) {
  parallel_ranges(n, kRangeLength, [&](std::int64_t begin, std::int64_t end) {
    const void* from[kMaxArity];
    for (std::size_t i = 0; i < arity; ++i) from[i] = at(in[i], begin, size);
    dispatch(loop)(op, static_cast<std::size_t>(end - begin), from, at(to, begin, size));
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
    if (in[i]->dtype() != dtype) throw_mixed(e, dtype, in[i]->dtype());
    same_shape &= in[i]->shape() == first.shape();
  }
  if (!loop[0]) throw_not_taken(e, dtype);
  if (!same_shape) return forward_broadcast(e, op, in, loop);
  Tensor out = Tensor::empty(first.shape(), dtype);
  std::byte* const to = TensorAccess::data(out);
  const void* pointers[kMaxArity];
  for (std::size_t i = 0; i < Arity; ++i) pointers[i] = TensorAccess::data(*in[i]);
  const std::int64_t n = first.size();
  if (n <= kRangeLength)
    dispatch(loop)(op, static_cast<std::size_t>(n), pointers, to);
  else
    forward_shared(loop, op, Arity, pointers, to, n, size_of(dtype));
  return out;
}

namespace {

/// Elements [begin, end) of a gradient by `loop`, written or added.
template <class T>
void gradient_range(const ElementwiseLoop& loop, const void* op, const Pointers& operands, T* to, bool add,
                    std::int64_t begin, std::int64_t end) {
  const auto run = [&](std::int64_t start, std::int64_t count, T* out) {
    const Pointers from = advanced(operands, start, sizeof(T));
    dispatch(loop)(op, static_cast<std::size_t>(count), from.data(), out);
  };
  if (!add) return run(begin, end - begin, to + begin);
  if (end - begin == 1) {
    T term;
    run(begin, 1, &term);
    to[begin] += term;
    return;
  }
  Scratch scratch;
  T* const block = reinterpret_cast<T*>(scratch.bytes);
  for (std::int64_t start = begin; start < end; start += kOperandBlock) {
    const std::int64_t count = std::min(kOperandBlock, end - start);
    run(start, count, block);
    add_elements(to + start, block, count);
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
  const bool is_double = context.output_dtype() == f64;
  const std::int64_t n = context.output_size();
  for (std::size_t i = 0; i < Arity; ++i) {
    if (!(needed >> i & 1u)) continue;
    if (e.identity_grad >> i & 1u) {
      context.add_grad_output(i);
      continue;
    }
    const ElementwiseLoop& loop = e.backward[i][is_double];
    context.accumulate_data(i, [&](std::byte* to, bool add) {
      if (!add && n <= kRangeLength)
        return dispatch(loop)(op, static_cast<std::size_t>(n), operands.data(), to);
      parallel_ranges(n, kRangeLength, [&](std::int64_t begin, std::int64_t end) {
        if (is_double)
          gradient_range(loop, op, operands, reinterpret_cast<double*>(to), add, begin, end);
        else
          gradient_range(loop, op, operands, reinterpret_cast<float*>(to), add, begin, end);
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
      return context_.accumulate_data(
          i, [&](std::byte* data, bool add) { whole(i, reinterpret_cast<T*>(data), add); });
    }
    if (identity) return context_.add(i, sum_to_shape(context_.grad_output(), to));
    const BroadcastLayout layout(to, shape_);
    context_.accumulate(i, [&](Tensor& destination, bool add) {
      if (!add) std::fill_n(TensorAccess::data_as<T>(destination), to.size(), T{0});
      // Long sums are built of partial ones, added in pairs of equally many terms, so that they keep their
      // digits. A partial sum takes long enough for the additions of whole tensors not to matter.
      const std::int64_t period =
          std::max(4 * kOperandBlock, (16 * to.size() + kOperandBlock - 1) / kOperandBlock * kOperandBlock);
      if (n_ <= period) return reduce_blocks(layout, i, 0, n_, destination);
      PairwiseFold<GradientSum, Tensor> fold;
      for (std::int64_t start = 0; start < n_; start += period) {
        Tensor sum = Tensor::zeros(to, destination.dtype());
        reduce_blocks(layout, i, start, std::min(n_, start + period), sum);
        fold.push(std::move(sum));
      }
      add_gradient_into(destination, fold.result());
    });
  }

 private:
  /// f(start, count, block of the full gradient of input i) for [begin, end).
  template <class F>
  void blocks(std::size_t i, std::int64_t begin, std::int64_t end, F&& f) {
    std::array<BroadcastOperand, kMaxArity> operands;
    for (std::size_t k = 0; k < e_.arity; ++k)
      if (e_.saves[i] >> k & 1u) operands[k].bind(saved_[k], dtype_of<T>, shapes_[k], shape_);
    Scratch scratch;
    T* const block = reinterpret_cast<T*>(scratch.bytes);
    const ElementwiseLoop& loop = e_.backward[i][sizeof(T) == sizeof(double)];
    for (std::int64_t start = begin; start < end; start += kOperandBlock) {
      const std::int64_t count = std::min(kOperandBlock, end - start);
      Pointers from{at(context_.grad_output_data(), start, sizeof(T))};
      for (std::size_t k = 0; k < e_.arity; ++k) from[1 + k] = operands[k].block(start, count);
      if (e_.saves[i] & kOut) from[kOutputOperand] = at(output_, start, sizeof(T));
      dispatch(loop)(op_, static_cast<std::size_t>(count), from.data(), block);
      f(start, count, block);
    }
  }
  void whole(std::size_t i, T* to, bool add) {
    parallel_ranges(n_, kRangeLength, [&](std::int64_t begin, std::int64_t end) {
      blocks(i, begin, end, [&](std::int64_t start, std::int64_t count, const T* block) {
        if (add)
          add_elements(to + start, block, count);
        else
          std::copy_n(block, count, to + start);
      });
    });
  }
  void reduce_blocks(const BroadcastLayout& layout, std::size_t i, std::int64_t begin, std::int64_t end,
                     Tensor& sum) {
    blocks(i, begin, end, [&](std::int64_t start, std::int64_t count, const T* block) {
      reduce_block(layout, start, count, block, TensorAccess::data_as<T>(sum));
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
    if (n <= kRangeLength) return add_elements(to, from, n);
    parallel_ranges(n, kRangeLength, [&](std::int64_t begin, std::int64_t end) {
      add_elements(to + begin, from + begin, end - begin);
    });
  });
}

void add_gradient_into(Tensor& sum, const Tensor& term) {
  add_elements(sum.dtype(), TensorAccess::data(sum), TensorAccess::data(term), sum.size());
}

}  // namespace tapegrad::detail
