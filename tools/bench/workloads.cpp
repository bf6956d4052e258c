#include <algorithm>

#include <fmt/format.h>

#include "workloads.h"

namespace tapegrad::bench {

namespace {

const Metric kSpeed{"speed", "steps/s", true};
const Metric kStepTime{"time", "us/step", false, 1e6};

/// Makes the task when it is first needed, for all contenders the same one.
template <class Make>
auto once(Make make) {
  return [make, task = decltype(make()){}]() mutable {
    if (!task) task = make();
    return task;
  };
}

Workload training(const std::string& name, const std::string& task_name, std::int64_t check_calls,
                  const std::string& description, const Metric& metric = kSpeed) {
  auto task = once([task_name] { return make_net_task(task_name); });
  Workload w{.name = name, .description = description, .metric = metric};
  w.make = [task](Contender& c) mutable { return c.net(task()); };
  w.work = [task]() mutable { return work_of_step(*task()); };
  w.check_calls = check_calls;
  w.trains = true;
  return w;
}

using MakeChain = std::unique_ptr<Program> (Contender::*)(const ChainTask&);
Workload chain(const char* what, std::int64_t nodes, MakeChain make = &Contender::chain) {
  Workload w{.name = fmt::format("{}-{}", what, nodes),
             .description = fmt::format("{} scalar nodes x a + b, forward and backward", nodes),
             .metric = {"time", "ns/node", false, 1e9}};
  w.per_call = static_cast<double>(nodes);
  w.make = [nodes, make](Contender& c) { return (c.*make)({.nodes = nodes}); };
  w.check_calls = std::max<std::int64_t>(1, 100000 / nodes);
  return w;
}

Workload scalar_code(const char* name, const char* description, ScalarCode code) {
  Workload w{.name = fmt::format("W5s-{}", name),
             .description = fmt::format("{}, and its gradient", description),
             .metric = {"time", "ms", false, 1e3}};
  w.make = [task = once([code] { return make_scalar_code_task(code); })](Contender& c) mutable {
    return c.scalar_code(task());
  };
  return w;
}

using MakeFormula = std::unique_ptr<Program> (Contender::*)(std::shared_ptr<const FormulaTask>);
Workload formula(const char* name, const char* manner, MakeFormula make) {
  Workload w{.name = name,
             .description = fmt::format(
                 "sum of sigmoid(a x + b) tanh(x) + relu(x) over 10^6 numbers, and its gradient{}", manner),
             .metric = {"time", "ms", false, 1e3}};
  w.make = [task = once([] { return make_formula_task(1000000); }), make](Contender& c) mutable {
    return (c.*make)(task());
  };
  return w;
}

Workload overhead(const char* name, Overhead what, const char* description) {
  Workload w{.name = fmt::format("overhead-{}", name),
             .description = description,
             .metric = {"time", "us/op", false, 1e6}};
  w.per_call = what == Overhead::gradient ? 1 : static_cast<double>(kOverheadOps);
  w.make = [what](Contender& c) { return c.overhead(what); };
  w.check_calls = what == Overhead::gradient ? 1000 : 1;
  return w;
}

/// The training run of "Deep Learning from Scratch", chapters 4 and 5: 10,000 batches, and the accuracy after
/// each epoch.
class BookRun final : public Program {
 public:
  explicit BookRun(std::unique_ptr<NetProgram> net) : net_(std::move(net)) {}
  static Work work(const NetTask& task) {
    constexpr double kEpochs = (kIterations + kEpoch - 1) / kEpoch;
    return work_of_step(task) * kIterations +
           work_of_predictions(task, task.train->count + task.test->count) * kEpochs;
  }
  Result run(std::int64_t) override {
    Result result;
    for (std::int64_t done = 0; done < kIterations; done += kEpoch) {
      result.gradient = net_->run(std::min(kEpoch, kIterations - done)).gradient;
      result.value += net_->accuracy(false) + net_->accuracy(true);
    }
    return result;
  }

 private:
  static constexpr std::int64_t kIterations = 10000;
  static constexpr std::int64_t kEpoch = 600;
  std::unique_ptr<NetProgram> net_;
};

Workload book_run() {
  auto task = once([] {
    auto t = std::make_shared<NetTask>(*make_net_task("W1"));
    t->test = make_images(10000, 6);
    return std::shared_ptr<const NetTask>(std::move(t));
  });
  Workload w{.name = "W8",
             .description = "the whole run of the book: W1 10,000 times, accuracies every 600",
             .metric = {"time", "s", false, 1}};
  w.make = [task](Contender& c) mutable -> std::unique_ptr<Program> {
    auto net = c.net(task());
    return net ? std::make_unique<BookRun>(std::move(net)) : nullptr;
  };
  w.work = [task]() mutable { return BookRun::work(*task()); };
  w.tolerance = 0.01;  // accuracies behind thousands of steps
  w.whole_runs = 1;
  return w;
}

}  // namespace

std::vector<Workload> workloads() {
  std::vector<Workload> all;
  all.push_back(
      training("W1", "W1", 50, "784-50-10, ReLU, softmax loss, batch 100 gathered from 60,000, SGD"));
  all.push_back(
      training("W2", "W2", 20, "784-[100]x6-10 with BatchNorm, ReLU, softmax loss, batch 100, Adam"));
  all.push_back(training("W3", "W3", 2, "1024-4096-4096-1024, ReLU, mean squared error, batch 256, SGD"));
  all.push_back(
      training("W4", "W4", 5,
               "convolution 30@5x5, ReLU, pooling, 4320-100-10, softmax loss, batch 100 of 28 x 28, Adam"));
  all.push_back(training(
      "W4b", "W4b", 2,
      "six convolutions 3x3 of 16 to 64 channels, three poolings, 1024-50-10, no dropout, otherwise as W4"));
  for (const std::int64_t nodes : {1000, 10000, 100000, 1000000}) all.push_back(chain("W5", nodes));
  for (const std::int64_t nodes : {1000, 10000, 100000, 1000000, 10000000})
    all.push_back(chain("W5s", nodes, &Contender::scalar_chain));
  all.push_back(scalar_code("rosenbrock", "Rosenbrock's function of 10,000 numbers", ScalarCode::rosenbrock));
  all.push_back(scalar_code("ode", "10,000 steps of Runge and Kutta, four rates", ScalarCode::ode));
  all.push_back(scalar_code("likelihood", "mixture of two normal distributions, 10,000 observations",
                            ScalarCode::mixture));
  all.push_back(scalar_code("cameras",
                            "distances of 200 points from where 10 cameras saw them, 690 parameters",
                            ScalarCode::cameras));

  all.push_back(formula("W6", "", &Contender::formula));
  all.push_back(formula("W6-map", ", as one operation", &Contender::fused_formula));
  all.push_back(formula("W6-sum", ", as one operation with its sum", &Contender::summed_formula));
  all.push_back(formula("W6-exact", ", the same, the limit with functions as exact as the library's",
                        &Contender::exact_formula));
  all.push_back(book_run());
  all.push_back(overhead("add", Overhead::add, "recorded sum of two vectors of 4"));
  all.push_back(overhead("relu", Overhead::relu, "recorded ReLU of a vector of 4"));
  all.push_back(overhead("affine", Overhead::affine, "recorded affine map, 4 x 4"));
  all.push_back(
      overhead("gradient", Overhead::gradient, "recorded sum(relu(x + b)) of 4 numbers and its gradient"));
  return all;
}

std::vector<Workload> growing_workloads() {
  std::vector<Workload> all;
  for (const std::int64_t nodes : {1000, 10000, 100000, 1000000, 10000000})
    all.push_back(chain("nodes", nodes));
  for (const std::int64_t batch : {1, 4, 16, 64, 256, 1024})
    all.push_back(training(fmt::format("batch-{}", batch), fmt::format("batch:{}", batch), 20,
                           fmt::format("step of 784-100-10, batch {}", batch), kStepTime));
  for (const std::int64_t width : {16, 64, 256, 1024, 4096})
    all.push_back(training(fmt::format("width-{}", width), fmt::format("width:{}", width), 10,
                           fmt::format("step of 784-{}-10, batch 100", width), kStepTime));
  const auto convolutions = [&](const char* what, std::initializer_list<std::int64_t> sizes) {
    for (const std::int64_t size : sizes)
      all.push_back(training(
          fmt::format("conv_{}-{}", what, size), fmt::format("conv-{}:{}", what, size), 2,
          "step of two convolutions 3x3, 32 channels, 8 images of 32 x 32, but for the " + std::string(what),
          kStepTime));
  };
  convolutions("side", {16, 32, 64, 128});
  convolutions("channels", {8, 16, 32, 64, 128, 256});
  convolutions("batch", {1, 4, 16, 64, 256});
  return all;
}

}  // namespace tapegrad::bench
