#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tasks.h"

/// Those who compute the tasks. This interface knows no library's types, so that each contender is compiled
/// on its own.
namespace tapegrad::bench {

/// What all contenders have to agree on.
struct Result {
  double value = 0;     ///< the last loss, or the function's value
  double gradient = 0;  ///< probe() of how far the weights have moved, or of the gradient
};
/// The length of the first values of a vector, up to kProbe of them, less those of another one, if any.
inline constexpr std::int64_t kProbe = 4096;
double probe(const float* values, std::int64_t count, const float* less = nullptr);

/// A task that is ready to run for one contender, with everything it needs allocated.
class Program {
 public:
  virtual ~Program() = default;
  /// Goes on for so many calls (training steps, passes).
  virtual Result run(std::int64_t calls) = 0;
};

/// What a call takes, about, for a contender to choose between programs of its own. It makes many calls.
double seconds_of_call(Program& program);

class NetProgram : public Program {
 public:
  /// Share of the items, training or test ones, that are classified as labelled.
  virtual double accuracy(bool test) = 0;
};

/// A null program: the contender does not take part in this.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual std::string name() const = 0;
  virtual void set_threads(int) {}
  virtual std::unique_ptr<NetProgram> net(std::shared_ptr<const NetTask>) { return nullptr; }
  virtual std::unique_ptr<Program> chain(const ChainTask&) { return nullptr; }
  /// The same with numbers in place of tensors where the contender has both.
  virtual std::unique_ptr<Program> scalar_chain(const ChainTask& task) { return chain(task); }
  virtual std::unique_ptr<Program> scalar_code(std::shared_ptr<const ScalarCodeTask>) { return nullptr; }
  virtual std::unique_ptr<Program> formula(std::shared_ptr<const FormulaTask>) { return nullptr; }
  /// The same as a single operation where the contender has a way to say it.
  virtual std::unique_ptr<Program> fused_formula(std::shared_ptr<const FormulaTask> task) {
    return formula(std::move(task));
  }
  /// And together with its sum.
  virtual std::unique_ptr<Program> summed_formula(std::shared_ptr<const FormulaTask> task) {
    return fused_formula(std::move(task));
  }
  /// The same; of the limit with functions as exact as the library's.
  virtual std::unique_ptr<Program> exact_formula(std::shared_ptr<const FormulaTask> task) {
    return summed_formula(std::move(task));
  }
  virtual std::unique_ptr<Program> overhead(Overhead) { return nullptr; }
  virtual std::unique_ptr<Program> product(const ProductTask&) { return nullptr; }
  virtual std::unique_ptr<Program> convolution(const ConvolutionTask&) { return nullptr; }
  virtual std::unique_ptr<Program> loss(const LossTask&) { return nullptr; }
  virtual std::unique_ptr<Program> function(const FunctionTask&) { return nullptr; }
};

std::unique_ptr<Contender> make_tapegrad();
std::unique_ptr<Contender> make_limit();
std::unique_ptr<Contender> make_libtorch();
std::unique_ptr<Contender> make_adolc();
std::unique_ptr<Contender> make_sacado();
std::unique_ptr<Contender> make_ceres();

/// Those that this program was built with, tapegrad first.
std::vector<std::unique_ptr<Contender>> make_contenders();
/// One line for each that is missing, with the reason.
std::vector<std::string> missing_contenders();

/// A program made of a function of the number of calls.
template <class F>
std::unique_ptr<Program> make_program(F f) {
  struct Made final : Program {
    explicit Made(F function) : f(std::move(function)) {}
    Result run(std::int64_t calls) override { return f(calls); }
    F f;
  };
  return std::make_unique<Made>(std::move(f));
}

}  // namespace tapegrad::bench
