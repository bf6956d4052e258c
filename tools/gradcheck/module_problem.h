#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/problem.h>
#include <tapegrad/nn/module.h>

namespace tapegrad::gradcheck::detail {

/// What a module holds, each with its path, exchanged for copies in f64 as long as this lives.
class ModuleState {
 public:
  ModuleState(nn::Module& module, bool in_double);
  ~ModuleState();
  ModuleState(const ModuleState&) = delete;
  ModuleState& operator=(const ModuleState&) = delete;

  /// Parameters, a shared one once.
  const std::vector<std::pair<std::string, Parameter>>& parameters() const { return parameters_; }
  /// Puts buffers and generators back to where they were.
  void rewind() const;

 private:
  template <class T>
  struct Held {
    T* member;
    T original;
    T replaced;
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
  ModuleProblem(nn::Module& module, Function f, std::vector<Input> inputs, bool in_double);
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override;
  Tensor leaf(Tape& tape, std::size_t i, const Tensor& value) const override;
  Tensor constant(std::size_t i, const Tensor& value) const override;

 private:
  std::size_t parameters() const { return state_.parameters().size(); }

  ModuleState state_;
  Function f_;
};

}  // namespace tapegrad::gradcheck::detail
