#include <torch/torch.h>

#include <cmath>
#include <utility>

#include "contender.h"

#ifdef TAPEGRAD_BENCH_OPENBLAS
#include <cblas.h>
#endif

/// The tasks for libtorch's C++ interface: tensors and autograd, no modules, updates in place. Where there
/// are several ways to write a step, each is tried for a moment and the fastest is used.
namespace tapegrad::bench {

namespace {

using torch::Tensor;

Tensor tensor_of(const std::vector<float>& values, at::IntArrayRef shape) {
  return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat).clone();
}

struct Style {
  bool linear = false;  ///< weights [out, in] and torch::linear, otherwise [in, out] and addmm
  bool flat = false;    ///< parameters and gradients as views of two vectors, updated in one go
  bool float_items =
      false;  ///< the data set converted beforehand: four times the memory, no conversion later
  bool channels_last = false;  ///< images and kernels with the channels of an element side by side
  // Those of libtorch's own loops and those of the BLAS, which wait for work beside each other: all that are
  // allowed may be slower than one.
  int loop_threads = 1;
  int blas_threads = 1;
};

void set_threads(int loops, int blas) {
  at::set_num_threads(loops);
#ifdef TAPEGRAD_BENCH_OPENBLAS
  openblas_set_num_threads(blas);
#endif
}

/// Inputs and targets as tensors.
struct Data {
  Data(const Items& items, bool as_floats) {
    if (!items.bytes()) {
      x = tensor_of(items.inputs, {items.count, items.width});
      t = tensor_of(items.targets, {items.count, items.target_width});
      return;
    }
    x = torch::from_blob(const_cast<std::uint8_t*>(items.pixels.data()), {items.count, items.width},
                         torch::kByte);
    x = as_floats ? x.to(torch::kFloat).mul_(1.0F / 255) : x.clone();
    t = torch::from_blob(const_cast<std::uint8_t*>(items.labels.data()), {items.count}, torch::kByte)
            .to(torch::kLong);
  }
  Tensor inputs(const Tensor& part) const {
    return part.scalar_type() == torch::kByte ? part.to(torch::kFloat).mul_(1.0F / 255) : part;
  }
  Tensor x, t;
};

class Net final : public NetProgram {
 public:
  Net(std::shared_ptr<const NetTask> task, const Style& style)
      : task_(std::move(task)), style_(style), train_(*task_->train, style.float_items) {
    if (task_->test) test_ = std::make_unique<Data>(*task_->test, style.float_items);
    for (std::size_t i = 0; i < task_->convolutions.size(); ++i) {
      const ConvLayer& c = task_->convolutions[i];
      const Tensor w =
          tensor_of(task_->weights[i], {c.channels, task_->image_at(i).channels, c.kernel, c.kernel});
      parameters_.insert(parameters_.end(), {in_format(w), torch::zeros({c.channels})});
    }
    for (std::size_t i = 0; i < task_->layers(); ++i) {
      const std::int64_t in = task_->widths[i];
      const std::int64_t out = task_->widths[i + 1];
      Layer l;
      l.w = tensor_of(task_->affine_weights(i), {in, out});
      if (style_.linear) l.w = l.w.t().contiguous();
      l.b = torch::zeros({out});
      parameters_.insert(parameters_.end(), {l.w, l.b});
      if (task_->batch_norm && i + 1 < task_->layers()) {
        l.gamma = torch::ones({out});
        l.beta = torch::zeros({out});
        l.mean = torch::zeros({out});
        l.var = torch::ones({out});
        parameters_.insert(parameters_.end(), {l.gamma, l.beta});
      }
      layers_.push_back(l);
    }
    if (style_.flat) flatten();
    for (const Tensor& p : parameters_) p.requires_grad_();
    if (style_.flat) assign_gradients();
    updated_ = style_.flat ? std::vector<Tensor>{flat_} : parameters_;
    for (const Tensor& p : updated_) {
      if (task_->rule != Rule::adam) break;
      m_.push_back(torch::zeros_like(p));
      v_.push_back(torch::zeros_like(p));
    }
  }

  Result run(std::int64_t calls) override {
    set_threads(style_.loop_threads, style_.blas_threads);
    Tensor loss;
    for (std::int64_t i = 0; i < calls; ++i) loss = train(step_++);
    const bool transposed = style_.linear && task_->convolutions.empty();
    const Tensor w = transposed ? parameters_[0].t() : parameters_[0];
    const std::int64_t row = w.numel() / w.size(0);
    const Tensor first = w.detach().narrow(0, 0, std::min(w.size(0), kProbe / row + 1)).contiguous();
    return {loss.item<double>(), probe(first.data_ptr<float>(), first.numel(), task_->weights[0].data())};
  }

  double accuracy(bool test) override {
    const torch::NoGradGuard guard;
    const Data& data = test ? *test_ : train_;
    std::int64_t correct = 0;
    for (std::int64_t from = 0; from < data.t.size(0); from += 1000) {
      const std::int64_t n = std::min<std::int64_t>(1000, data.t.size(0) - from);
      const Tensor y = forward(data.inputs(data.x.narrow(0, from, n)));
      correct += (y.argmax(1) == data.t.narrow(0, from, n)).sum().item<std::int64_t>();
    }
    return static_cast<double>(correct) / static_cast<double>(data.t.size(0));
  }

 private:
  struct Layer {
    Tensor w, b, gamma, beta, mean, var;
  };

  // Moves all parameters into one vector; they and their gradients become views.
  void flatten() {
    std::vector<Tensor> parts;
    for (const Tensor& p : parameters_) parts.push_back(p.reshape(-1));
    flat_ = torch::cat(parts);
    flat_gradient_ = torch::zeros_like(flat_);
    std::int64_t at = 0;
    for (Tensor& p : parameters_) {
      const std::int64_t size = p.numel();
      p.set_data(flat_.narrow(0, at, size).view(p.sizes()));
      at += size;
    }
  }
  void assign_gradients() {
    std::int64_t at = 0;
    for (Tensor& p : parameters_) {
      p.mutable_grad() = flat_gradient_.narrow(0, at, p.numel()).view(p.sizes());
      at += p.numel();
    }
  }

  Tensor in_format(const Tensor& t) const {
    return style_.channels_last ? t.contiguous(at::MemoryFormat::ChannelsLast) : t;
  }

  Tensor forward(Tensor x) {
    if (!task_->convolutions.empty()) {
      const ImageSize& image = task_->image;
      x = in_format(x.view({x.size(0), image.channels, image.side, image.side}));
      for (std::size_t i = 0; i < task_->convolutions.size(); ++i) {
        const ConvLayer& c = task_->convolutions[i];
        x = torch::conv2d(x, parameters_[2 * i], parameters_[2 * i + 1], 1, c.padding).relu_();
        if (c.pool) x = torch::max_pool2d(x, 2);
      }
      x = x.flatten(1);
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Layer& l = layers_[i];
      x = style_.linear ? torch::linear(x, l.w, l.b) : torch::addmm(l.b, x, l.w);
      if (l.gamma.defined())
        x = torch::batch_norm(x, l.gamma, l.beta, l.mean, l.var, /*training=*/true, /*momentum=*/0.1,
                              /*eps=*/1e-5, /*cudnn_enabled=*/false);
      if (i + 1 < layers_.size()) x = torch::relu_(x);
    }
    return x;
  }

  Tensor train(std::int64_t step) {
    const std::span<const std::int64_t> items = task_->batch_items(step);
    const Tensor index = torch::from_blob(const_cast<std::int64_t*>(items.data()),
                                          {static_cast<std::int64_t>(items.size())}, torch::kLong);
    const Tensor x = train_.inputs(train_.x.index_select(0, index));
    const Tensor t = train_.t.index_select(0, index);
    const Tensor y = forward(x);
    const Tensor loss =
        task_->loss == Loss::softmax ? torch::cross_entropy_loss(y, t) : torch::mse_loss(y, t);
    if (style_.flat) {
      flat_gradient_.zero_();
      loss.backward();
      update({flat_gradient_});
    } else {
      update(torch::autograd::grad({loss}, parameters_));
    }
    return loss.detach();
  }

  void update(const std::vector<Tensor>& gradients) {
    const torch::NoGradGuard guard;
    const double t = static_cast<double>(++updates_);
    const double rate = task_->lr * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
    for (std::size_t i = 0; i < updated_.size(); ++i) {
      const Tensor& g = gradients[i];
      if (task_->rule == Rule::sgd) {
        updated_[i].add_(g, -task_->lr);
        continue;
      }
      m_[i].lerp_(g, 0.1);
      v_[i].mul_(0.999).addcmul_(g, g, 0.001);
      updated_[i].addcdiv_(m_[i], v_[i].sqrt().add_(1e-7), -rate);
    }
  }

  std::shared_ptr<const NetTask> task_;
  Style style_;
  Data train_;
  std::unique_ptr<Data> test_;
  std::vector<Layer> layers_;
  std::vector<Tensor> parameters_, updated_, m_, v_;
  Tensor flat_, flat_gradient_;
  std::int64_t step_ = 0;
  std::int64_t updates_ = 0;
};

double seconds_of_step(const std::shared_ptr<const NetTask>& task, const Style& style) {
  Net net(task, style);
  return seconds_of_call(net);
}

class Libtorch final : public Contender {
 public:
  std::string name() const override { return "libtorch"; }
  void set_threads(int count) override {
    threads_ = count;
    bench::set_threads(count, count);
  }

  std::unique_ptr<NetProgram> net(std::shared_ptr<const NetTask> task) override {
    Style best{.loop_threads = threads_, .blas_threads = threads_};
    if (!task->tune) return std::make_unique<Net>(std::move(task), best);
    double least = seconds_of_step(task, best);
    const auto try_style = [&](const Style& style) {
      const double seconds = seconds_of_step(task, style);
      if (seconds < least) least = seconds, best = style;
    };
    if (threads_ > 1)
      for (const auto& [loops, blas] : {std::pair{1, 1}, {1, threads_}, {threads_, 1}})
        try_style({.loop_threads = loops, .blas_threads = blas});
    Style style = best;
    for (int bits = 1; bits < 16; ++bits) {
      style.linear = (bits & 1) != 0;
      style.flat = (bits & 2) != 0;
      style.float_items = (bits & 4) != 0;
      style.channels_last = (bits & 8) != 0;
      // One vector has no order of channels.
      const bool fits =
          task->convolutions.empty() ? !style.channels_last : !style.flat || !style.channels_last;
      if (fits && (!style.float_items || task->train->bytes())) try_style(style);
    }
    return std::make_unique<Net>(std::move(task), best);
  }

  std::unique_ptr<Program> chain(const ChainTask& task) override {
    if (task.nodes > 1000000) return nullptr;  // minutes and many gigabytes
    return make_program([task](std::int64_t calls) {
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        const auto leaf = [](float value) { return torch::scalar_tensor(value).requires_grad_(); };
        const Tensor x = leaf(task.x);
        const Tensor a = leaf(task.a);
        const Tensor b = leaf(task.b);
        Tensor y = x;
        for (std::int64_t n = 0; n < task.nodes; n += 2) y = y * a + b;
        const auto g = torch::autograd::grad({y}, {x, a, b});
        result = {y.item<double>(), g[0].item<double>() + g[1].item<double>() + g[2].item<double>()};
      }
      return result;
    });
  }

  std::unique_ptr<Program> formula(std::shared_ptr<const FormulaTask> task) override {
    const auto with = [&](int threads) {
      const Tensor x = tensor_of(task->x, {static_cast<std::int64_t>(task->x.size())}).requires_grad_();
      return make_program([x, a = task->a, b = torch::scalar_tensor(task->b), threads](std::int64_t calls) {
        bench::set_threads(threads, threads);
        Result result;
        for (std::int64_t i = 0; i < calls; ++i) {
          const Tensor s = torch::add(b, x, a).sigmoid_();
          const Tensor y = torch::sum(torch::addcmul(torch::relu(x), s, torch::tanh(x)));
          const Tensor dx = torch::autograd::grad({y}, {x})[0];
          result = {y.item<double>(), probe(dx.data_ptr<float>(), dx.numel())};
        }
        return result;
      });
    };
    auto all = with(threads_);
    auto one = with(1);
    return threads_ > 1 && seconds_of_call(*one) < seconds_of_call(*all) ? std::move(one) : std::move(all);
  }

  std::unique_ptr<Program> overhead(Overhead what) override {
    const auto tiny = [](const float* values, at::IntArrayRef shape) {
      return torch::from_blob(const_cast<float*>(values), shape, torch::kFloat).clone();
    };
    const Tensor b = tiny(kTinyB, {4});
    const Tensor w = tiny(kTinyW, {4, 4});
    const Tensor in = (what == Overhead::affine ? w.clone() : tiny(kTinyX, {4})).requires_grad_();
    if (what == Overhead::gradient)
      return make_program([in, b](std::int64_t calls) {
        Result result;
        for (std::int64_t i = 0; i < calls; ++i) {
          const Tensor y = torch::sum(torch::relu(in + b));
          result = {y.item<double>(), torch::autograd::grad({y}, {in})[0].data_ptr<float>()[2]};
        }
        return result;
      });
    return make_program([in, b, w, what](std::int64_t calls) {
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        Tensor y = in;
        for (std::int64_t n = 0; n < kOverheadOps; ++n)
          y = what == Overhead::add    ? y + in
              : what == Overhead::relu ? torch::relu(y)
                                       : torch::addmm(b, y, w);
        result.value = y.data_ptr<float>()[2];
      }
      return result;
    });
  }

 private:
  int threads_ = 1;
};

}  // namespace

std::unique_ptr<Contender> make_libtorch() { return std::make_unique<Libtorch>(); }

}  // namespace tapegrad::bench
