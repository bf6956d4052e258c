#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <tapegrad/gradcheck/mutation/mutations.h>

namespace tapegrad::gradcheck::detail {

/// A problem in which a mutation is applied to the rules of one op.
class MutatedProblem final : public Problem {
 public:
  MutatedProblem(const Problem& of, const Catalog::Op& op, const Mutation& mutation);
  ~MutatedProblem() override;
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override;
  Tensor leaf(Tape& tape, std::size_t i, const Tensor& value) const override {
    return of_.leaf(tape, i, value);
  }
  Tensor constant(std::size_t i, const Tensor& value) const override { return of_.constant(i, value); }

  std::vector<std::uint8_t> branches(std::span<const Tensor> in) const override { return of_.branches(in); }

  /// True once the mutation has made a gradient differ.
  bool made_a_difference() const;

 private:
  const Problem& of_;
};

}  // namespace tapegrad::gradcheck::detail
