#include <algorithm>
#include <cstring>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/kernels/broadcast.h>
#include <tapegrad/ops/kernels/elementwise.h>
#include <tapegrad/ops/kernels/reduce.h>

#include <fmt/format.h>

namespace tapegrad::detail {

namespace {

// Elements a pass works on at a time where operands are stretched or gradients reduced: all that a block
// touches, four operands of doubles at most, stays in the first-level cache.
constexpr std::int64_t kBlock = 512;

struct alignas(64) Scratch {
  std::byte bytes[kBlock * sizeof(double)];
};

const std::byte* at(const void* base, std::int64_t i, std::size_t size) {
  return static_cast<const std::byte*>(base) + static_cast<std::size_t>(i) * size;
}
std::byte* at(void* base, std::int64_t i, std::size_t size) {
  return static_cast<std::byte*>(base) + static_cast<std::size_t>(i) * size;
}

/// Hands out contiguous elements of an operand, block by block, stretching it into scratch where it
/// broadcasts.
class Operand {
 public:
  void bind(const Tensor& t, const Shape& out) {
    data_ = TensorAccess::data(t);
    size_ = size_of(t.dtype());
    direct_ = t.size() == out.size();
    if (!direct_) layout_ = BroadcastLayout(t.shape(), out);
  }

  const void* block(std::int64_t start, std::int64_t count) {
    if (!data_) return nullptr;
    if (direct_) return at(data_, start, size_);
    std::byte* to = scratch_.bytes;
    layout_.walk(start, count, [&](std::int64_t offset, std::int64_t run, std::int64_t step) {
      const std::byte* from = at(data_, offset, size_);
      const std::size_t bytes = static_cast<std::size_t>(run) * size_;
      if (step) {
        std::memcpy(to, from, bytes);
      } else if (size_ == sizeof(float)) {
        float v;
        std::memcpy(&v, from, sizeof v);
        std::fill_n(reinterpret_cast<float*>(to), run, v);
      } else {
        double v;
        std::memcpy(&v, from, sizeof v);
        std::fill_n(reinterpret_cast<double*>(to), run, v);
      }
      to += bytes;
    });
    return scratch_.bytes;
  }
  bool direct() const { return direct_; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  BroadcastLayout layout_;
  bool direct_ = true;
  Scratch scratch_;
};

// Adds a block of the full gradient to the gradient of an operand that was stretched.
template <class T>
void reduce_block(const BroadcastLayout& layout, std::int64_t start, std::int64_t count, const T* block,
                  T* sum) {
  layout.walk(start, count, [&](std::int64_t offset, std::int64_t run, std::int64_t step) {
    if (step) {
      for (std::int64_t j = 0; j < run; ++j) sum[offset + j] += block[j];
    } else {
      sum[offset] += fold_block<SumFold<T>>(block, run, T{});
    }
    block += run;
  });
}

struct GradientSum {
  static Tensor combine(Tensor a, const Tensor& b) {
    add_gradient_into(a, b);
    return a;
  }
};

}  // namespace

Tensor elementwise_forward(const ElementwiseOp& e, const void* op, const Tensor* const* in) {
  const Dtype dtype = in[0]->dtype();
  Shape shape = in[0]->shape();
  bool same_shape = true;
  for (std::size_t i = 1; i < e.arity; ++i) {
    if (in[i]->dtype() != dtype)
      throw DtypeError(
          fmt::format("{}: inputs of {} and {}; cast one of them (tensors are not converted silently)",
                      op_label(e.name), name_of(dtype), name_of(in[i]->dtype())));
    if (in[i]->shape() == shape) continue;
    same_shape = false;
    shape = broadcast(shape, in[i]->shape(), e.name);
  }
  const ForwardLoop loop = e.forward[static_cast<std::size_t>(dtype)];
  if (!loop)
    throw DtypeError(fmt::format("{}: an input of {}; this operation takes f32 and f64, cast the input first",
                                 op_label(e.name), name_of(dtype)));
  Tensor out = Tensor::empty(shape, dtype);
  const std::int64_t n = shape.size();
  void* to = TensorAccess::data(out);
  const void* pointers[kMaxArity] = {};
  if (same_shape) {
    for (std::size_t i = 0; i < e.arity; ++i) pointers[i] = TensorAccess::data(*in[i]);
    loop(op, static_cast<std::size_t>(n), pointers, to);
    return out;
  }
  std::array<Operand, kMaxArity> operands;
  for (std::size_t i = 0; i < e.arity; ++i) operands[i].bind(*in[i], shape);
  for (std::int64_t start = 0; start < n; start += kBlock) {
    const std::int64_t count = std::min(kBlock, n - start);
    for (std::size_t i = 0; i < e.arity; ++i) pointers[i] = operands[i].block(start, count);
    loop(op, static_cast<std::size_t>(count), pointers, at(to, start, size_of(dtype)));
  }
  return out;
}

namespace {

template <class T>
class BackwardPass {
 public:
  BackwardPass(const ElementwiseOp& e, const void* op, VjpContext& context)
      : e_(e), op_(op), context_(context), shape_(context.output_shape()), n_(shape_.size()) {
    KeepMask needed = 0;
    for (std::size_t i = 0; i < e.arity; ++i)
      if (context.wants(i)) needed |= e.keep[i];
    for (std::size_t i = 0; i < e.arity; ++i) {
      if (!(needed >> i & 1u)) continue;
      inputs_[i] = context.input(i);
      operands_[i].bind(inputs_[i], shape_);
      all_direct_ &= operands_[i].direct();
    }
    if (needed & kOut) output_ = context.output();
  }

  void gradient(std::size_t i) {
    const Shape to = context_.input_shape(i);
    const bool passes = e_.passes >> i & 1u;
    if (to == shape_) {
      if (passes) return context_.add(i, context_.gy());
      context_.accumulate(
          i, [&](Tensor& destination, bool add) { whole(i, TensorAccess::data_as<T>(destination), add); });
      return;
    }
    if (passes) return context_.add(i, sum_to_shape(context_.gy(), to));
    const BroadcastLayout layout(to, shape_);
    context_.accumulate(i, [&](Tensor& destination, bool add) {
      if (!add) std::fill_n(TensorAccess::data_as<T>(destination), to.size(), T{0});
      // Long sums are built of partial ones, added in pairs of equally many terms, so that they keep their
      // digits. A partial sum takes long enough for the additions of whole tensors not to matter.
      const std::int64_t period = std::max(4 * kBlock, (16 * to.size() + kBlock - 1) / kBlock * kBlock);
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
  const T* gy() const { return TensorAccess::data_as<T>(context_.gy()); }

  void whole(std::size_t i, T* to, bool add) {
    if (!add && all_direct_) return run(i, 0, n_, to);
    for (std::int64_t start = 0; start < n_; start += kBlock) {
      const std::int64_t count = std::min(kBlock, n_ - start);
      if (!add) {
        run(i, start, count, to + start);
      } else {
        const T* block = into_scratch(i, start, count);
        for (std::int64_t j = 0; j < count; ++j) to[start + j] += block[j];
      }
    }
  }
  const T* into_scratch(std::size_t i, std::int64_t start, std::int64_t count) {
    T* block = reinterpret_cast<T*>(scratch_.bytes);
    run(i, start, count, block);
    return block;
  }
  void reduce_blocks(const BroadcastLayout& layout, std::size_t i, std::int64_t begin, std::int64_t end,
                     Tensor& sum) {
    for (std::int64_t start = begin; start < end; start += kBlock) {
      const std::int64_t count = std::min(kBlock, end - start);
      reduce_block(layout, start, count, into_scratch(i, start, count), TensorAccess::data_as<T>(sum));
    }
  }
  void run(std::size_t i, std::int64_t start, std::int64_t count, T* to) {
    const void* pointers[kMaxArity] = {};
    for (std::size_t k = 0; k < e_.arity; ++k) pointers[k] = operands_[k].block(start, count);
    const T* out = output_.defined() ? TensorAccess::data_as<T>(output_) + start : nullptr;
    e_.backward[i][sizeof(T) == sizeof(double)](op_, static_cast<std::size_t>(count), gy() + start, pointers,
                                                out, to);
  }

  const ElementwiseOp& e_;
  const void* op_;
  VjpContext& context_;
  Shape shape_;
  std::int64_t n_;
  std::array<Tensor, kMaxArity> inputs_;
  std::array<Operand, kMaxArity> operands_;
  Tensor output_;
  bool all_direct_ = true;
  Scratch scratch_;
};

}  // namespace

void elementwise_backward(const ElementwiseOp& e, const void* op, VjpContext& context) {
  visit_floating(context.gy().dtype(), [&]<class T> {
    BackwardPass<T> pass(e, op, context);
    for (std::size_t i = 0; i < e.arity; ++i)
      if (context.wants(i)) pass.gradient(i);
  });
}

void add_gradient_into(Tensor& sum, const Tensor& term) {
  visit_floating(sum.dtype(), [&]<class T> {
    T* to = TensorAccess::data_as<T>(sum);
    const T* from = TensorAccess::data_as<T>(term);
    for (std::int64_t i = 0; i < sum.size(); ++i) to[i] += from[i];
  });
}

bool& general_rules_only() noexcept {
  static thread_local bool general = false;
  return general;
}

}  // namespace tapegrad::detail
