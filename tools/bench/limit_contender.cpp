#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "contender.h"
#include "limit_convolutions.h"
#include "limit_kernels.h"

/// What a patient programmer writes for exactly these tasks: buffers allocated once, the BLAS called
/// directly, loops fused by hand, derivatives worked out on paper, updates inside the products.
namespace tapegrad::bench {

namespace {

using Floats = std::vector<float>;
using Index = std::int64_t;

std::size_t as_size(Index n) { return static_cast<std::size_t>(n); }

struct Matrix {
  const float* data;
  Index rows, columns;
  bool transpose = false;
};

// c = alpha a b + beta c.
void product(float alpha, const Matrix& a, const Matrix& b, float beta, float* c) {
  const Index m = a.transpose ? a.columns : a.rows;
  const Index k = a.transpose ? a.rows : a.columns;
  const Index n = b.transpose ? b.rows : b.columns;
  cblas_sgemm(CblasRowMajor, a.transpose ? CblasTrans : CblasNoTrans, b.transpose ? CblasTrans : CblasNoTrans,
              static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), alpha, a.data,
              static_cast<int>(a.columns), b.data, static_cast<int>(b.columns), beta, c, static_cast<int>(n));
}

class Net final : public NetProgram {
 public:
  Net(std::shared_ptr<const NetTask> task, int threads)
      : task_(std::move(task)), threads_(threads), rows_(task_->batch) {
    const Index most_rows = std::max<Index>(rows_, kEvaluated);
    x_.resize(as_size(most_rows * task_->train->width));
    if (!task_->convolutions.empty()) {
      convolutions_ = make_convolutions(*task_, threads);
      flat_.resize(as_size(rows_ * task_->widths[0]));
      dflat_.resize(flat_.size());
    }
    for (std::size_t i = 0; i < task_->layers(); ++i) {
      const Index in = task_->widths[i];
      const Index out = task_->widths[i + 1];
      const bool norm = task_->batch_norm && i + 1 < task_->layers();
      // A bias before a batch normalisation is subtracted again with the mean.
      Layer l{.in = in, .out = out, .norm = norm};
      l.w = task_->affine_weights(i);
      l.bias.assign(as_size(out), 0);
      if (norm) l.gamma.assign(as_size(out), 1);
      if (norm)
        l.normal.resize(as_size(most_rows * out)), l.inverse.resize(as_size(out)),
            l.z.resize(l.normal.size());
      l.h.resize(as_size(most_rows * out));
      l.dh.resize(as_size(rows_ * out));
      l.dbias.resize(as_size(out));
      l.dgamma.resize(norm ? as_size(out) : 0);
      if (task_->rule == Rule::adam) {
        l.dw.resize(l.w.size());
        for (auto [moments, of] :
             {std::pair{&l.moments_w, &l.w}, {&l.moments_bias, &l.bias}, {&l.moments_gamma, &l.gamma}})
          moments->assign(2 * of->size(), 0);
      }
      layers_.push_back(std::move(l));
    }
    t_.resize(as_size(rows_ * task_->train->target_width));
    labels_.resize(as_size(rows_));
  }

  Result run(Index calls) override {
    openblas_set_num_threads(threads_);  // one number for the process, and others set it as well
    float loss = 0;
    for (Index i = 0; i < calls; ++i) loss = train(step_++);
    const Floats kernels = convolutions_ ? convolutions_->first_weights() : Floats();
    const Floats& w = convolutions_ ? kernels : layers_.front().w;
    return {loss, probe(w.data(), std::ssize(w), task_->weights[0].data())};
  }

  double accuracy(bool test) override {
    if (convolutions_) throw std::logic_error("convolutions are made for batches of training alone");
    const Items& items = test ? *task_->test : *task_->train;
    Index correct = 0;
    for (Index from = 0; from < items.count; from += kEvaluated) {
      const Index n = std::min(kEvaluated, items.count - from);
      limit::convert(items.pixels.data() + from * items.width, x_.data(), n * items.width);
      forward(n);
      const Layer& last = layers_.back();
      for (Index i = 0; i < n; ++i) {
        const float* scores = last.h.data() + i * last.out;
        correct += std::max_element(scores, scores + last.out) - scores == items.labels[as_size(from + i)];
      }
    }
    return static_cast<double>(correct) / static_cast<double>(items.count);
  }

 private:
  static constexpr Index kEvaluated = 250;  // their inputs stay in the cache

  struct Layer {
    Index in, out;
    bool norm;
    Floats w{}, bias{}, gamma{};  // with a normalisation, bias is its beta
    Floats z{}, normal{}, inverse{}, h{};
    Floats dh{}, dw{}, dbias{}, dgamma{};
    Floats moments_w{}, moments_bias{}, moments_gamma{};
  };

  float train(Index step) {
    gather(task_->batch_items(step));
    forward(rows_);
    Layer& last = layers_.back();
    const float loss = task_->loss == Loss::softmax
                           ? limit::softmax(last.h.data(), labels_.data(), last.dh.data(), rows_, last.out)
                           : limit::squared_error(last.h.data(), t_.data(), last.dh.data(), rows_ * last.out);
    limit::sum_rows(last.dh.data(), last.dbias.data(), rows_, last.out);
    const double t = static_cast<double>(step + 1);
    rate_ = static_cast<float>(task_->rule == Rule::sgd
                                   ? task_->lr
                                   : task_->lr * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t)));
    for (std::size_t i = layers_.size(); i-- > 0;) backward(i);
    return loss;
  }

  void gather(std::span<const Index> indices) {
    const Items& items = *task_->train;
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const Index from = indices[i];
      float* x = x_.data() + static_cast<Index>(i) * items.width;
      if (items.bytes()) {
        if (i + 1 < indices.size())
          for (Index at = 0; at < items.width; at += 64)
            __builtin_prefetch(items.pixels.data() + indices[i + 1] * items.width + at);
        limit::convert(items.pixels.data() + from * items.width, x, items.width);
        labels_[i] = items.labels[as_size(from)];
      } else {
        std::memcpy(x, items.inputs.data() + from * items.width, as_size(items.width) * sizeof(float));
        std::memcpy(t_.data() + static_cast<Index>(i) * items.target_width,
                    items.targets.data() + from * items.target_width,
                    as_size(items.target_width) * sizeof(float));
      }
    }
  }

  void forward(Index n) {
    const float* x = x_.data();
    if (convolutions_) convolutions_->forward(x, flat_.data()), x = flat_.data();
    for (Layer& l : layers_) {
      product(1, {x, n, l.in}, {l.w.data(), l.in, l.out}, 0, l.norm ? l.z.data() : l.h.data());
      if (l.norm)
        limit::batch_norm(l.z.data(), l.gamma.data(), l.bias.data(), l.normal.data(), l.inverse.data(),
                          l.h.data(), n, l.out);
      else if (&l != &layers_.back())
        limit::bias_relu(l.h.data(), l.bias.data(), n, l.out);
      else
        limit::add_bias(l.h.data(), l.bias.data(), n, l.out);
      x = l.h.data();
    }
  }

  // Hands the gradient on to the layer before, then updates this one.
  void backward(std::size_t i) {
    Layer& l = layers_[i];
    const Matrix dz{l.dh.data(), rows_, l.out};
    const float* const first = convolutions_ ? flat_.data() : x_.data();
    const Matrix x{i > 0 ? layers_[i - 1].h.data() : first, rows_, l.in, true};
    if (i == 0 && convolutions_) {
      product(1, dz, {l.w.data(), l.in, l.out, true}, 0, dflat_.data());
      convolutions_->backward(dflat_.data(), rate_);
    }
    if (i > 0) {
      Layer& p = layers_[i - 1];
      product(1, dz, {l.w.data(), l.in, l.out, true}, 0, p.dh.data());
      if (p.norm)
        limit::batch_norm_backward(p.dh.data(), p.h.data(), p.normal.data(), p.inverse.data(), p.gamma.data(),
                                   p.dgamma.data(), p.dbias.data(), rows_, p.out);
      else
        limit::relu_backward(p.dh.data(), p.h.data(), p.dbias.data(), rows_, p.out);
    }
    if (task_->rule == Rule::sgd) {
      product(-rate_, x, dz, 1, l.w.data());
      limit::sgd(l.bias.data(), l.dbias.data(), rate_, l.out);
      return;
    }
    product(1, x, dz, 0, l.dw.data());
    adam(l.w, l.dw, l.moments_w);
    adam(l.bias, l.dbias, l.moments_bias);
    adam(l.gamma, l.dgamma, l.moments_gamma);
  }

  void adam(Floats& w, const Floats& g, Floats& moments) {
    const auto count = static_cast<Index>(w.size());
    limit::adam(w.data(), g.data(), moments.data(), moments.data() + count, rate_, count);
  }

  std::shared_ptr<const NetTask> task_;
  int threads_;
  Index rows_;
  Floats x_, t_;
  std::unique_ptr<Convolutions> convolutions_;  ///< in front of the layers, if any
  Floats flat_, dflat_;                         ///< their results, and the gradients of these
  std::vector<std::uint8_t> labels_;
  std::vector<Layer> layers_;
  float rate_ = 0;
  Index step_ = 0;
};

/// A tape made by hand for numbers: values, partial derivatives and adjoints in arrays that are there
/// already.
class Chain final : public Program {
 public:
  explicit Chain(const ChainTask& task)
      : task_(task), nodes_(as_size(task.nodes)), adjoints_(as_size(task.nodes + kLeaves)) {}

  Result run(Index calls) override {
    Result result;
    for (Index i = 0; i < calls; ++i) result = pass();
    return result;
  }

 private:
  static constexpr Index kLeaves = 3;
  struct Node {
    float d0, d1;            // partial derivatives
    std::uint32_t in0, in1;  // whose
  };

  Result pass() {
    float y = task_.x;
    std::uint32_t at = 0;
    auto next = static_cast<std::uint32_t>(kLeaves);
    for (Node* n = nodes_.data(); n != nodes_.data() + nodes_.size(); n += 2) {
      n[0] = {task_.a, y, at, 1};
      y *= task_.a;
      n[1] = {1, 1, next, 2};
      y += task_.b;
      at = next + 1;
      next += 2;
    }
    std::fill(adjoints_.begin(), adjoints_.end(), 0.0F);
    adjoints_.back() = 1;
    for (std::size_t i = nodes_.size(); i-- > 0;) {
      const Node& n = nodes_[i];
      const float g = adjoints_[i + as_size(kLeaves)];
      adjoints_[n.in0] += g * n.d0;
      adjoints_[n.in1] += g * n.d1;
    }
    return {y, double{adjoints_[0]} + adjoints_[1] + adjoints_[2]};
  }

  ChainTask task_;
  std::vector<Node> nodes_;
  Floats adjoints_;
};

/// The formula and its gradient by hand.
struct FormulaKernels {
  float (*sum)(const float* x, float a, float b, Index count);
  void (*gradient)(const float* x, float a, float b, float* dx, Index count);
};

std::unique_ptr<Program> formula_program(std::shared_ptr<const FormulaTask> task, FormulaKernels kernels,
                                         int threads) {
  return make_program([task, kernels, threads, dx = Floats(task->x.size())](Index calls) mutable {
    const auto count = static_cast<Index>(task->x.size());
    const Index share = (count / threads + 15) / 16 * 16 + 16;
    Result result;
    for (Index i = 0; i < calls; ++i) {
      double sum = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : sum) schedule(static)
      for (Index from = 0; from < count; from += share)
        sum += kernels.sum(task->x.data() + from, task->a, task->b, std::min(share, count - from));
#pragma omp parallel for num_threads(threads) schedule(static)
      for (Index from = 0; from < count; from += share)
        kernels.gradient(task->x.data() + from, task->a, task->b, dx.data() + from,
                         std::min(share, count - from));
      result = {sum, probe(dx.data(), count)};
    }
    return result;
  });
}

class Limit final : public Contender {
 public:
  std::string name() const override { return "limit"; }
  void set_threads(int count) override { threads_ = count; }
  std::unique_ptr<NetProgram> net(std::shared_ptr<const NetTask> task) override {
    if (!task->convolutions.empty() && !has_convolutions()) return nullptr;
    // Small products are faster on one thread.
    const auto seconds = [&](int threads) {
      Net tried(task, threads);
      return seconds_of_call(tried);
    };
    const bool one_is_faster = threads_ > 1 && task->tune && seconds(1) < seconds(threads_);
    return std::make_unique<Net>(std::move(task), one_is_faster ? 1 : threads_);
  }
  std::unique_ptr<Program> chain(const ChainTask& task) override { return std::make_unique<Chain>(task); }
  std::unique_ptr<Program> convolution(const ConvolutionTask& task) override {
    return make_convolution(task, threads_);
  }

  std::unique_ptr<Program> formula(std::shared_ptr<const FormulaTask> task) override {
    return fastest({limit::formula, limit::formula_gradient}, task);
  }
  std::unique_ptr<Program> exact_formula(std::shared_ptr<const FormulaTask> task) override {
    return fastest({limit::formula_exact, limit::formula_exact_gradient}, task);
  }

 private:
  std::unique_ptr<Program> fastest(FormulaKernels kernels, std::shared_ptr<const FormulaTask> task) const {
    auto all = formula_program(task, kernels, threads_);
    auto one = formula_program(task, kernels, 1);
    return threads_ > 1 && seconds_of_call(*one) < seconds_of_call(*all) ? std::move(one) : std::move(all);
  }

  int threads_ = 1;
};

}  // namespace

std::unique_ptr<Contender> make_limit() { return std::make_unique<Limit>(); }

}  // namespace tapegrad::bench
