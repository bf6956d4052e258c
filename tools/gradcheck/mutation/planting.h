#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <tapegrad/gradcheck/mutation/faults.h>

namespace tapegrad::gradcheck::detail {

/// A problem whose nodes of one op have a faulty rule.
class PlantedProblem final : public Problem {
 public:
  PlantedProblem(const Problem& of, const Catalog::Op& op, const Fault& fault);
  ~PlantedProblem() override;
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override;
  Tensor leaf(Tape& tape, std::size_t i, const Tensor& value) const override {
    return of_.leaf(tape, i, value);
  }
  Tensor constant(std::size_t i, const Tensor& value) const override { return of_.constant(i, value); }

  std::vector<std::uint8_t> branches(std::span<const Tensor> in) const override { return of_.branches(in); }

  /// True once the fault has made a gradient differ.
  bool made_a_difference() const;

 private:
  const Problem& of_;
};

}  // namespace tapegrad::gradcheck::detail
