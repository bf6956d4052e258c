#include "thread_workloads.h"

#include <algorithm>
#include <functional>

#include <tapegrad/graph/random.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/map_sum.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

#include "workloads.h"

namespace tapegrad::bench {

namespace {

using Compute = std::function<Tensor()>;

Tensor numbers(const Shape& shape) {
  Generator g(1);
  return uniform(shape, g, -1, 1);
}

template <Tensor (*f)(const Tensor&)>
Compute elementwise(std::int64_t count) {
  return [x = numbers({count})] { return f(x); };
}

Compute sum_of(std::int64_t count) {
  return [x = numbers({count})] { return sum(x); };
}

Compute difference(std::int64_t count) {
  return [x = numbers({count}), y = numbers({count})] { return x - y; };
}

Compute loss_gradient(std::int64_t count) {
  return [x = numbers({count}), y = numbers({count})] {
    Tape tape;
    const Tensor watched = tape.watch(x);
    return tape.grad(map_mean([](auto a, auto b) { return square(a - b); }, watched, y), watched);
  };
}

constexpr std::int64_t kColumns = 100;
Compute softmax_of_rows(std::int64_t count) {
  return [x = numbers({count / kColumns, kColumns})] { return softmax(x, 1); };
}
Compute transposed(std::int64_t count) {
  return [x = numbers({count / kColumns, kColumns})] { return transpose(x); };
}

Compute product(std::int64_t side) {
  return [x = numbers({side, side})] { return matmul(x, x); };
}

template <std::int64_t kIn, std::int64_t kOut, std::int64_t kSide>
Compute convolution(std::int64_t images) {
  return [x = numbers({images, kIn, kSide, kSide}), w = numbers({kOut, kIn, 3, 3})] {
    return conv2d(x, w, {}, {.padding = 1});
  };
}

template <std::int64_t kIn, std::int64_t kOut, std::int64_t kSide>
Compute convolution_gradients(std::int64_t images) {
  return [x = numbers({images, kIn, kSide, kSide}), w = numbers({kOut, kIn, 3, 3}),
          g = numbers({images, kOut, kSide, kSide})] {
    Tape tape;
    const Tensor watched_x = tape.watch(x), watched_w = tape.watch(w);
    const Gradients grads = tape.backward(conv2d(watched_x, watched_w, {}, {.padding = 1}), g);
    return grads[watched_w];
  };
}

struct Kind {
  const char* name;
  const char* of;
  Compute (*make)(std::int64_t size);
  std::vector<std::int64_t> sizes;
};

std::vector<Kind> kinds() {
  const std::vector<std::int64_t> counts = {1000,   10'000, 20'000,  33'000,  45'000,
                                            60'000, 70'000, 100'000, 300'000, 1'000'000};
  const std::vector<std::int64_t> sides = {16, 32, 48, 64, 96, 128, 192, 256};
  const std::vector<std::int64_t> images = {1, 2, 4, 8, 16};
  return {
      {"sub", "numbers", difference, counts},
      {"exp", "numbers", elementwise<exp>, counts},
      {"tanh", "numbers", elementwise<tanh>, counts},
      {"sum", "numbers", sum_of, counts},
      {"loss", "numbers, a mean of squares and its gradient,", loss_gradient, counts},
      {"softmax", "numbers", softmax_of_rows, counts},
      {"transpose", "numbers", transposed, counts},
      {"matmul", "rows and columns", product, sides},
      {"conv_small", "images, 8 to 16 channels of 14 x 14,", convolution<8, 16, 14>, images},
      {"conv_large", "images, 32 to 32 channels of 28 x 28,", convolution<32, 32, 28>, images},
      {"conv_grad_small", "images, 8 to 16 channels of 14 x 14,", convolution_gradients<8, 16, 14>, images},
      {"conv_grad_large", "images, 32 to 32 channels of 28 x 28,", convolution_gradients<32, 32, 28>,
       images}};
}

std::unique_ptr<Program> program_of(const Compute& compute) {
  return make_program([compute](std::int64_t calls) {
    Tensor y = compute();
    for (std::int64_t i = 1; i < calls; ++i) y = compute();
    return Result{.value = mean(square(y)).item()};
  });
}

Workload workload_of(const Kind& kind, std::int64_t size) {
  Workload w{.name = fmt::format("threads-{}-{}", kind.name, size),
             .description = fmt::format("{} of {} {} by one thread and by several", kind.name, size, kind.of),
             .metric = {.name = "time", .unit = "us", .higher_is_better = false, .scale = 1e6}};
  w.make = [make = kind.make, size](Contender&) { return program_of(make(size)); };
  return w;
}

/// The library with so many threads.
class ThreadsContender final : public Contender {
 public:
  explicit ThreadsContender(int threads) : threads_(threads) {}

  std::string name() const override {
    return threads_ == 1 ? kOneThread : fmt::format("{} threads", threads_);
  }

  std::unique_ptr<Program> limited(const Workload& w) {
    return make_program(
        [threads = threads_, program = std::shared_ptr(w.make(*library_))](std::int64_t calls) {
          const detail::ThreadLimit limit(threads);
          return program->run(calls);
        });
  }

 private:
  int threads_;
  std::unique_ptr<Contender> library_ = make_tapegrad();
};

}  // namespace

std::vector<Workload> thread_workloads() {
  std::vector<Workload> all;
  for (const Kind& kind : kinds())
    for (const std::int64_t size : kind.sizes) all.push_back(workload_of(kind, size));
  for (Workload& w : workloads())
    if (w.name.starts_with("W6") || w.trains) {
      w.name = "threads-" + w.name;
      w.work = nullptr;
      all.push_back(std::move(w));
    }
  return all;
}

std::vector<Measurement> measure_threads(const Workload& shared, const RunnerOptions& options) {
  Workload w = shared;
  w.make = [&](Contender& c) { return static_cast<ThreadsContender&>(c).limited(shared); };
  const int several = std::max(2, options.threads);
  Contenders both;
  both.push_back(std::make_unique<ThreadsContender>(1));
  both.push_back(std::make_unique<ThreadsContender>(several));
  std::vector<Measurement> measured = measure(w, both, in_short_turns(options, 10));
  measured.front().threads = 1;
  measured.back().threads = several;
  return measured;
}

}  // namespace tapegrad::bench
