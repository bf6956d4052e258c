#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include <tapegrad/gradcheck/check/samples.h>

namespace tapegrad::gradcheck::detail {

/// A sample's problem that remembers where it was evaluated last, for mutations that depend on more than what
/// a rule sees.
class ObservedProblem final : public SampleProblem {
 public:
  /// `records_saved`: last_saved() is asked for, which takes a backward pass for each evaluation.
  ObservedProblem(const Catalog::Op& op, const Samples::Sample& sample, Generator& generator,
                  bool records_saved)
      : SampleProblem(op, sample, generator), op_(op), sample_(sample), records_saved_(records_saved) {}
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override;

  /// Whether the last evaluation was at the sample's own point, in f64 or f32.
  bool at_the_point() const;
  /// The values of the op's input at the last evaluation; an undefined tensor for one that is absent.
  Tensor last_input(std::size_t i) const;
  /// What the last evaluation saved for the op's rule, by the bits of SaveMask; nothing where no rule ran.
  const std::map<unsigned, Tensor>& last_saved() const { return saved_; }
  /// True while it runs a rule of its own to see what is saved.
  bool recording_saved() const { return recording_saved_; }
  /// Whether elements are equal that a choice would be made among: of two operands of an elementwise op, of
  /// one input of any other.
  bool has_ties() const;

 private:
  void record_saved() const;

  const Catalog::Op& op_;
  const Samples::Sample& sample_;
  bool records_saved_;
  mutable std::vector<Tensor> last_;
  mutable std::map<unsigned, Tensor> saved_;
  mutable bool recording_saved_ = false;
};

}  // namespace tapegrad::gradcheck::detail
