#include <numeric>
#include <optional>

#include <tapegrad/ops/kernels/conv/conv.h>
#include <tapegrad/ops/map_sum.h>
#include <tapegrad/ops/scalar/scalar_gradient.h>
#include <tapegrad/ops/threads.h>
#include <tapegrad/tapegrad.h>

#include "contender.h"
#include "scalar_codes.h"
#include "tapegrad_net.h"

/// The tasks as a user of the library writes them.
namespace tapegrad::bench {

namespace {

class Net final : public NetProgram {
 public:
  explicit Net(std::shared_ptr<const NetTask> task)
      : task_(std::move(task)),
        train_(dataset_of(*task_, *task_->train)),
        test_(task_->test ? dataset_of(*task_, *task_->test) : nn::Dataset()),
        net_(network_of(*task_)),
        optimizer_(optimizer_of(*task_, net_)) {}

  Result run(std::int64_t calls) override {
    return task_->loss == Loss::softmax ? run(calls, nn::SoftmaxWithLoss()) : run(calls, nn::MSELoss());
  }

  double accuracy(bool test) override {
    const nn::Dataset& data = test ? test_ : train_;
    std::int64_t correct = 0;
    net_.eval();
    for (const nn::Batch& b : nn::in_order(data, 1000)) correct += nn::count_correct(net_(b.x), b.t);
    net_.train();
    return static_cast<double>(correct) / static_cast<double>(data.size());
  }

 private:
  template <class L>
  Result run(std::int64_t calls, const L& loss) {
    Result result;
    for (std::int64_t i = 0; i < calls; ++i) {
      const nn::Batch batch = train_.gather(task_->batch_items(step_++));
      Tape tape;
      const Tensor y = loss(net_(batch.x), batch.t);
      optimizer_->step(tape.backward(y));
      if (i + 1 == calls) result.value = y.item();
    }
    const Tensor first = net_.parameters().front().second;
    const std::span<const float> w = first.values<float>();
    result.gradient = probe(w.data(), std::ssize(w), task_->weights[0].data());
    return result;
  }

  std::shared_ptr<const NetTask> task_;
  nn::Dataset train_;
  nn::Dataset test_;
  nn::Sequential net_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::int64_t step_ = 0;
};

/// f gives the sum.
template <class F>
std::unique_ptr<Program> formula_program(const FormulaTask& task, F f) {
  return make_program([f, values = Tensor::from(task.x)](std::int64_t calls) {
    Result result;
    for (std::int64_t i = 0; i < calls; ++i) {
      Tape tape;
      const Tensor x = tape.watch(values);
      const Tensor y = f(x);
      const Gradients g = tape.backward(y);
      const std::span<const float> dx = g[x].values<float>();
      result = {y.item(), probe(dx.data(), std::ssize(dx))};
    }
    return result;
  });
}

auto formula_of(const FormulaTask& task) {
  const double a = task.a, b = task.b;
  return [=](auto x) { return sigmoid(a * x + b) * tanh(x) + relu(x); };
}

class Tapegrad final : public Contender {
 public:
  std::string name() const override { return "tapegrad"; }
  void set_threads(int count) override { tapegrad::set_threads(count); }

  std::unique_ptr<NetProgram> net(std::shared_ptr<const NetTask> task) override {
    return std::make_unique<Net>(std::move(task));
  }

  std::unique_ptr<Program> chain(const ChainTask& task) override {
    return make_program([task](std::int64_t calls) {
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        Tape tape;
        const Tensor x = tape.watch(Tensor::scalar(task.x));
        const Tensor a = tape.watch(Tensor::scalar(task.a));
        const Tensor b = tape.watch(Tensor::scalar(task.b));
        Tensor y = x;
        for (std::int64_t n = 0; n < task.nodes; n += 2) y = y * a + b;
        const Gradients g = tape.backward(y);
        result = {y.item(), g[a].item() + g[b].item() + g[x].item()};
      }
      return result;
    });
  }

  std::unique_ptr<Program> scalar_chain(const ChainTask& task) override {
    return make_program([task](std::int64_t calls) {
      const std::vector<double> at{task.x, task.a, task.b};
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        const auto [value, gradient] = value_and_gradient(
            [&](std::span<const Real> p) {
              Real y = p[0];
              for (std::int64_t n = 0; n < task.nodes; n += 2) y = y * p[1] + p[2];
              return y;
            },
            at);
        result = {value, gradient[0] + gradient[1] + gradient[2]};
      }
      return result;
    });
  }

  std::unique_ptr<Program> scalar_code(std::shared_ptr<const ScalarCodeTask> task) override {
    return make_program([task](std::int64_t calls) {
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        const auto [value, gradient] = value_and_gradient(
            [&](std::span<const Real> p) {
              return bench::scalar_code(*task, std::vector<Real>(p.begin(), p.end()));
            },
            task->at);
        result = {value, std::accumulate(gradient.begin(), gradient.end(), 0.0)};
      }
      return result;
    });
  }

  std::unique_ptr<Program> formula(std::shared_ptr<const FormulaTask> task) override {
    const double a = task->a;
    const double b = task->b;
    return formula_program(*task,
                           [=](const Tensor& x) { return sum(sigmoid(a * x + b) * tanh(x) + relu(x)); });
  }

  std::unique_ptr<Program> fused_formula(std::shared_ptr<const FormulaTask> task) override {
    return formula_program(*task, [f = formula_of(*task)](const Tensor& x) { return sum(map(f, x)); });
  }
  std::unique_ptr<Program> summed_formula(std::shared_ptr<const FormulaTask> task) override {
    return formula_program(*task, [f = formula_of(*task)](const Tensor& x) { return map_sum(f, x); });
  }

  std::unique_ptr<Program> product(const ProductTask& task) override {
    const auto operand = [&](std::int64_t rows, std::int64_t columns, bool transposed) {
      return Tensor::ones(transposed ? Shape{columns, rows} : Shape{rows, columns}, task.dtype);
    };
    return make_program([task, a = operand(task.m, task.k, task.transpose_a),
                         b = operand(task.k, task.n, task.transpose_b)](std::int64_t calls) {
      Tensor y;
      for (std::int64_t i = 0; i < calls; ++i)
        y = matmul(a, b, {.transpose_a = task.transpose_a, .transpose_b = task.transpose_b});
      return Result{sum(y).item(), 0};
    });
  }

  std::unique_ptr<Program> convolution(const ConvolutionTask& t) override {
    const detail::Window2d window{.kernel = {t.kernel, t.kernel},
                                  .stride = {t.stride, t.stride},
                                  .padding = detail::both_sides({t.padding(), t.padding()})};
    const detail::WindowAxis axis{window, 0, t.side, t.side_of_y()};
    const detail::ConvShape shape{t.batch, t.groups, t.in / t.groups, t.out / t.groups, axis, axis};
    return make_program([pass = t.pass, shape, x = convolution_values(t.x_size(), 1),
                         w = convolution_values(t.w_size(), 2), y = convolution_values(t.y_size(), 3),
                         total = std::optional<double>()](std::int64_t calls) mutable {
      const bool forward = pass == ConvolutionPass::forward, input = pass == ConvolutionPass::input;
      Tensor result;
      for (std::int64_t i = 0; i < calls; ++i) {
        result = Tensor::empty({forward ? shape.output_size()
                                : input ? shape.input_size()
                                        : shape.weight_size()});
        const detail::Destination<float> to{detail::TensorAccess::data_as<float>(result), false};
        if (forward)
          detail::conv<float>(shape, x.data(), w.data(), nullptr, to);
        else if (input)
          detail::conv_transpose<float>(shape, y.data(), w.data(), nullptr, to);
        else
          detail::conv_weight<float>(shape, x.data(), y.data(), to);
      }
      if (!total) total = sum(abs(cast(result, f64))).item();  // once, as in the limit
      return Result{*total, 0};
    });
  }

  std::unique_ptr<Program> overhead(Overhead what) override {
    const auto tiny = [](const float* values, const Shape& shape) {
      return Tensor::from(std::span(values, static_cast<std::size_t>(shape.size())), shape);
    };
    const Tensor x = tiny(kTinyX, {4});
    const Tensor b = tiny(kTinyB, {4});
    const Tensor w = tiny(kTinyW, {4, 4});
    if (what == Overhead::gradient)
      return make_program([x, b](std::int64_t calls) {
        Result result;
        for (std::int64_t i = 0; i < calls; ++i) {
          Tape tape;
          const Tensor in = tape.watch(x);
          const Tensor y = sum(relu(in + b));
          result.value = y.item();
          const Gradients gradients = tape.backward(y);
          result.gradient = gradients[in].values<float>()[2];
        }
        return result;
      });
    return make_program([=](std::int64_t calls) {
      Result result;
      for (std::int64_t i = 0; i < calls; ++i) {
        Tape tape;
        const Tensor in = tape.watch(what == Overhead::affine ? w : x);
        Tensor y = in;
        for (std::int64_t n = 0; n < kOverheadOps; ++n)
          y = what == Overhead::add ? y + in : what == Overhead::relu ? relu(y) : affine(y, w, b);
        result.value = y.values<float>()[2];
      }
      return result;
    });
  }
};

}  // namespace

std::unique_ptr<Contender> make_tapegrad() { return std::make_unique<Tapegrad>(); }

}  // namespace tapegrad::bench
