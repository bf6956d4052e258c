#include <algorithm>
#include <array>
#include <utility>

#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/broadcast_loop.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/elementwise.h>
#include <tapegrad/ops/loops/parallel.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(__NO_MATH_ERRNO__)
#error "sqrt is not vectorised: a later option has switched -fno-math-errno off again"
#endif

namespace tapegrad::detail {

namespace {

// ---- sums of gradients ----

/// sum[i] += term[i]
template <class T>
void add_elements(T* sum, const T* term, std::int64_t n) {
  dispatch_isa([=] { Destination<T>{sum, true}.put(n, [term](std::int64_t i) { return term[i]; }); });
}

/// Where the operands of a loop stand; null for those it does not read.
template <std::size_t Arity>
using Pointers = std::array<const void*, backward_operands(Arity)>;

template <std::size_t N>
std::array<const void*, N> advanced(std::array<const void*, N> p, std::int64_t by, std::size_t size) {
  for (const void*& q : p)
    if (q) q = at(q, by, size);
  return p;
}

// What follows is kept out of the way of small tensors, whose operations take as long as their prologue.

__attribute__((noinline)) Tensor forward_broadcast(const ElementwiseOp& e, const void* op,
                                                   const Tensor* const* in, const ElementwiseLoop& loop) {
  Shape shape = in[0]->shape();
  for (std::size_t i = 1; i < e.arity; ++i) shape = broadcast(shape, in[i]->shape(), e.name);
  Tensor out = Tensor::empty(shape, in[0]->dtype());
  visit_dtype(out.dtype(), [&]<class T> {
    BroadcastLoop<T> results(loop, op, e.arity, shape);
    for (std::size_t i = 0; i < e.arity; ++i) results.bind(i, TensorAccess::data(*in[i]), in[i]->shape());
    results.write({TensorAccess::data_as<T>(out), false});
  });
  return out;
}

/// By all threads, `size` bytes an element.
__attribute__((noinline)) void forward_shared(const ElementwiseLoop& loop, const void* op, std::size_t arity,
                                              const void* const* in, std::byte* to, std::int64_t n,
                                              std::size_t size) {
  parallel_elements(n, [&](std::int64_t begin, std::int64_t end) {
    const void* from[kMaxArity];
    for (std::size_t i = 0; i < arity; ++i) from[i] = at(in[i], begin, size);
    dispatch(loop)(op, end - begin, from, at(to, begin, size));
  });
}

/// The dtype of all operands, which must be the same.
template <std::size_t Arity>
Dtype common_dtype(const ElementwiseOp& e, const Tensor* const* in) {
  // Each beside the one before it: of where(c, a, b), c has been given the dtype of a.
  for (std::size_t i = 1; i < Arity; ++i)
    require_same_dtype(e.name, *in[i - 1], *in[i], {"input", i - 1}, {"input", i});
  const Dtype dtype = in[0]->dtype();
  if (!e.forward[static_cast<std::size_t>(dtype)][0]) throw_not_floating(e.name, "the input", dtype);
  return dtype;
}

template <std::size_t Arity>
using DataPointers = std::array<const void*, Arity>;

template <std::size_t Arity>
DataPointers<Arity> data_of(const Tensor* const* in) {
  DataPointers<Arity> from;
  for (std::size_t i = 0; i < Arity; ++i) from[i] = TensorAccess::data(*in[i]);
  return from;
}

template <std::size_t Arity>
inline Tensor forward_tensors(const ElementwiseOp& e, const void* op, const Tensor* const* in, Dtype dtype) {
  const Tensor& first = *in[0];
  const ElementwiseLoop& loop = e.forward[static_cast<std::size_t>(dtype)];
  bool same_shape = true;
  for (std::size_t i = 1; i < Arity; ++i) same_shape &= in[i]->shape() == first.shape();
  if (!same_shape) return forward_broadcast(e, op, in, loop);
  Tensor out = Tensor::empty(first.shape(), dtype);
  std::byte* const to = TensorAccess::data(out);
  const DataPointers<Arity> from = data_of<Arity>(in);
  const std::int64_t n = first.size();
  if (n <= kGrain)
    dispatch(loop)(op, n, from.data(), to);
  else
    forward_shared(loop, op, Arity, from.data(), to, n, size_of(dtype));
  return out;
}

}  // namespace

template <std::size_t Arity>
Tensor elementwise_forward(const ElementwiseOp& e, const void* op, const Tensor* const* in) {
  const Dtype dtype = common_dtype<Arity>(e, in);
  std::size_t rank = 0;
  for (std::size_t i = 0; i < Arity; ++i) rank |= in[i]->rank();
  if (rank != 0) return forward_tensors<Arity>(e, op, in, dtype);
  Storage* const s = allocate_scalar();
  std::byte* const to = s->data(kScalarBytes);
  dispatch(e.forward[static_cast<std::size_t>(dtype)])(op, 1, data_of<Arity>(in).data(), to);
  return TensorAccess::adopt(s, to, {}, dtype);
}

namespace {

/// Elements [begin, end) of a gradient by `loop`.
template <class T, std::size_t N>
void gradient_range(const ElementwiseLoop& loop, const void* op, const std::array<const void*, N>& operands,
                    Destination<T> to, std::int64_t begin, std::int64_t end) {
  const std::int64_t step = to.add ? kOperandBlock : end - begin;
  for (std::int64_t start = begin; start < end; start += step) {
    const std::int64_t count = std::min(step, end - start);
    const std::array<const void*, N> from = advanced(operands, start, sizeof(T));
    (to + start).through(count, [&](T* out) { dispatch(loop)(op, count, from.data(), out); });
  }
}

/// Fills in the saved operands that `read` names.
template <std::size_t Arity>
inline void bind_saved(Pointers<Arity>& operands, SaveMask read, ElementAccess context) {
  for (std::size_t i = 0; i < Arity; ++i)
    if (read >> i & 1u) operands[1 + i] = context.saved_data(static_cast<unsigned>(i));
  if (read & kOut) operands[output_operand(Arity)] = context.saved_data(kOutputBit);
}

/// The gradients that are needed, and what they read.
struct Needed {
  unsigned inputs = 0;
  SaveMask read = 0;
};
template <std::size_t Arity>
inline Needed needed_of(const ElementwiseOp& e, ElementAccess context) {
  Needed needed;
  for (std::size_t i = 0; i < Arity; ++i)
    if (context.needs_grad(i)) {
      needed.inputs |= 1u << i;
      needed.read |= e.saves_for_input(i);
    }
  return needed;
}

/// f(inputs) for the gradients that one loop makes: all, but one by one where each is checked, so that the input is
/// named whose gradient is at fault.
template <class F>
void for_each_loop(unsigned inputs, ElementAccess context, const F& f) {
  if (!context.checks_finite()) [[likely]]
    return f(inputs);
  for (std::size_t i = 0; i < kMaxArity; ++i)
    if (inputs >> i & 1u) f(1u << i);
}

/// Gradients of scalars by one loop, from the operands that are bound.
template <std::size_t Arity>
__attribute__((noinline)) void joint_scalar_gradients(const ElementwiseOp& e, const void* op, unsigned inputs,
                                                      const Pointers<Arity>& operands,
                                                      ElementAccess context) {
  const Dtype dtype = context.output_dtype();
  context.accumulate_jointly(inputs, dtype, [&](const ElementAccess::Places& places) {
    visit_floating(dtype, [&]<class T> {
      T terms[Arity];
      T* to[Arity] = {};
      for (std::size_t i = 0; i < Arity; ++i)
        if (inputs >> i & 1u) to[i] = &terms[i];
      dispatch(e.joint_backward[static_cast<std::size_t>(dtype)])(op, 1, operands.data(), to);
      for (std::size_t i = 0; i < Arity; ++i)
        if (to[i])
          Destination<T>{reinterpret_cast<T*>(places[i].data), places[i].add}.put(
              1, [&](std::int64_t) { return terms[i]; });
    });
  });
}

/// Where the output is a scalar, and with it all inputs.
template <std::size_t Arity>
void backward_scalar(const ElementwiseOp& e, const void* op, ElementAccess context) {
  const Dtype dtype = context.output_dtype();
  Pointers<Arity> operands{context.grad_output_data()};
  if constexpr (Arity > 1)
    if (e.has_joint_backward(dtype)) {
      const Needed needed = needed_of<Arity>(e, context);
      bind_saved<Arity>(operands, needed.read, context);
      return for_each_loop(needed.inputs, context, [&](unsigned inputs) {
        joint_scalar_gradients<Arity>(e, op, inputs, operands, context);
      });
    }
  for (std::size_t i = 0; i < std::min(Arity, kMaxFormulaArity); ++i) {
    if (!context.needs_grad(i)) continue;
    if (e.identity_grad >> i & 1u) {
      context.add_grad_output(i);
      continue;
    }
    bind_saved<Arity>(operands, e.saves_for_input(i), context);
    const auto loop = dispatch(e.backward[i][static_cast<std::size_t>(dtype)]);
    context.accumulate(i, dtype, [&](std::byte* to, bool add) {
      if (!add) return loop(op, 1, operands.data(), to);
      visit_floating(dtype, [&]<class T> {
        T term;
        loop(op, 1, operands.data(), &term);
        AddTo{}(*reinterpret_cast<T*>(to), term);
      });
    });
  }
}

/// Gradients of tensors of the output's shape by one loop, from operands of that shape.
template <std::size_t Arity, class T>
void joint_direct_gradients(const ElementwiseOp& e, const void* op, unsigned inputs,
                            const Pointers<Arity>& operands, ElementAccess context) {
  const ElementwiseLoop& loop = e.joint_backward[static_cast<std::size_t>(dtype_of<T>)];
  const std::int64_t n = context.output_size();
  context.accumulate_jointly(inputs, dtype_of<T>, [&](const ElementAccess::Places& places) {
    std::array<Destination<T>, Arity> gradients;
    std::int64_t adds = 0;
    for (std::size_t i = 0; i < Arity; ++i) {
      gradients[i] = {reinterpret_cast<T*>(places[i].data), places[i].add};
      adds += places[i].add;
    }
    const auto range = [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t step = adds ? std::min(kOperandBlock, end - begin) : end - begin;
      Workspace<T> terms(adds * step);
      for (std::int64_t start = begin; start < end; start += step) {
        const std::int64_t count = std::min(step, end - start);
        std::array<T*, Arity> to{};
        T* free = terms.data();
        for (std::size_t i = 0; i < Arity; ++i)
          if (gradients[i].data)
            to[i] = gradients[i].add ? std::exchange(free, free + step) : gradients[i].data + start;
        dispatch(loop)(op, count, advanced(operands, start, sizeof(T)).data(), to.data());
        for (std::size_t i = 0; i < Arity; ++i)
          if (gradients[i].add) add_elements(gradients[i].data + start, to[i], count);
      }
    };
    if (n > 0) parallel_elements(n, range);
  });
}

/// Where all operands have the shape of the output.
template <std::size_t Arity>
void backward_direct(const ElementwiseOp& e, const void* op, unsigned needed, SaveMask read,
                     ElementAccess context) {
  Pointers<Arity> operands{context.grad_output_data()};
  bind_saved<Arity>(operands, read, context);
  const Dtype dtype = context.output_dtype();
  const std::int64_t n = context.output_size();
  for (std::size_t i = 0; i < std::min(Arity, kMaxFormulaArity); ++i) {
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
        parallel_elements(n, [&](std::int64_t begin, std::int64_t end) {
          gradient_range(loop, op, operands, destination, begin, end);
        });
      });
    });
  }
}

template <std::size_t Arity>
__attribute__((noinline)) void backward_tensors(const ElementwiseOp& e, const void* op,
                                                ElementAccess context) {
  const Needed gradients = needed_of<Arity>(e, context);
  const unsigned needed = gradients.inputs;
  const SaveMask read = gradients.read;
  bool direct = true;
  for (std::size_t i = 0; i < Arity; ++i)
    if ((needed | read) >> i & 1u) direct &= context.has_output_shape(i);
  if constexpr (Arity > 1)
    if (e.has_joint_backward(context.output_dtype())) {
      Pointers<Arity> operands{context.grad_output_data()};
      if (direct) bind_saved<Arity>(operands, read, context);
      return visit_floating(context.output_dtype(), [&]<class T> {
        const Shape shape = context.output_shape();
        if (!direct)
          return broadcast_gradients<T>(e, op, needed, shape, context.grad_output_data(), shape, context);
        for_each_loop(needed, context, [&](unsigned some) {
          joint_direct_gradients<Arity, T>(e, op, some, operands, context);
        });
      });
    }
  if (direct) return backward_direct<Arity>(e, op, needed, read, context);
  visit_floating(context.output_dtype(), [&]<class T> {
    const Shape shape = context.output_shape();
    for (std::size_t i = 0; i < std::min(Arity, kMaxFormulaArity); ++i) {
      if (!(needed >> i & 1u)) continue;
      if (!(e.identity_grad >> i & 1u))
        broadcast_gradient<T>(e, op, i, shape, context.grad_output_data(), shape, context);
      else if (context.has_output_shape(i))
        context.add_grad_output(i);
      else
        context.add(i, sum_to_shape(context.grad_output(), context.input_shape(i)));
    }
  });
}

}  // namespace

template <std::size_t Arity>
void elementwise_backward(const ElementwiseOp& e, const void* op, ElementAccess context) {
  if (context.has_scalar_output())
    backward_scalar<Arity>(e, op, context);
  else
    backward_tensors<Arity>(e, op, context);
}

#define TAPEGRAD_INSTANTIATE(Arity)                                                          \
  template TAPEGRAD_API Tensor elementwise_forward<Arity>(const ElementwiseOp&, const void*, \
                                                          const Tensor* const*);             \
  template TAPEGRAD_API void elementwise_backward<Arity>(const ElementwiseOp&, const void*, ElementAccess)
TAPEGRAD_INSTANTIATE(1);
TAPEGRAD_INSTANTIATE(2);
TAPEGRAD_INSTANTIATE(3);
TAPEGRAD_INSTANTIATE(4);
TAPEGRAD_INSTANTIATE(5);
TAPEGRAD_INSTANTIATE(6);
TAPEGRAD_INSTANTIATE(7);
TAPEGRAD_INSTANTIATE(8);
#undef TAPEGRAD_INSTANTIATE

void add_elements(Dtype dtype, std::byte* sum, const std::byte* term, std::int64_t n) {
  visit_floating(dtype, [&]<class T> {
    T* const to = reinterpret_cast<T*>(sum);
    const T* const from = reinterpret_cast<const T*>(term);
    if (n == 1) return AddTo{}(*to, *from);
    if (n <= kGrain) return add_elements(to, from, n);
    parallel_elements(n, [&](std::int64_t begin, std::int64_t end) {
      add_elements(to + begin, from + begin, end - begin);
    });
  });
}

void add_gradient_into(Tensor& sum, const Tensor& term) {
  add_elements(sum.dtype(), TensorAccess::data(sum), TensorAccess::data(term), sum.size());
}

}  // namespace tapegrad::detail
