#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/gradcheck/module.h>

namespace tapegrad::gradcheck::detail {

/// While it lives, a module holds copies of its parameters, and its buffers and generators can be put back.
class ModuleState {
 public:
  explicit ModuleState(nn::ModuleBase& module);
  ~ModuleState();
  ModuleState(const ModuleState&) = delete;
  ModuleState& operator=(const ModuleState&) = delete;

  /// The parameters with their paths. A shared one is listed once.
  const std::vector<std::pair<std::string, Parameter>>& parameters() const { return parameters_; }
  /// Gives a parameter these values, in their dtype.
  void set(std::size_t parameter, const Tensor& value);
  /// Puts buffers and generators back to their first state; buffers get this dtype.
  void rewind(Dtype dtype);

 private:
  template <class T>
  struct Held {
    T* member;
    T original;
    std::size_t parameter = 0;  ///< position in parameters()
  };
  struct Collector;

  std::vector<std::pair<std::string, Parameter>> parameters_;
  std::vector<Held<Parameter>> held_parameters_;
  std::vector<Held<nn::Buffer>> buffers_;
  std::vector<std::pair<Generator*, Generator>> generators_;
};

/// A function that runs a module: its inputs are the module's parameters, then the function's.
class ModuleProblem final : public Problem {
 public:
  ModuleProblem(nn::ModuleBase& module, RunModule f, std::vector<Input> inputs, bool in_double);
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override;
  Tensor leaf(Tape& tape, std::size_t i, const Tensor& value) const override;
  Tensor constant(std::size_t i, const Tensor& value) const override;
  const char* hidden_state() const override {
    return "it keeps state, or draws from a generator, that visit() does not list; give it to the visitor as "
           "a buffer, or as a generator with a seed";
  }

  /// False where the forward pass uses a parameter that visit() does not list; the report then says in which
  /// layer.
  bool check_visited(Report& report) const;

 private:
  std::size_t parameters() const { return state_.parameters().size(); }

  mutable ModuleState state_;  // an evaluation leaves it changed, and the next one starts over
  RunModule f_;
};

}  // namespace tapegrad::gradcheck::detail
