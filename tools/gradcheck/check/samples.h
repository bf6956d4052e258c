#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/ops/samples.h>

namespace tapegrad::gradcheck::detail {

/// The sample of an op, at elements drawn from its domains. Refers to both.
class SampleProblem : public Problem {
 public:
  SampleProblem(const Catalog::Op& op, const Samples::Sample& sample, Generator& generator);
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override;
  std::vector<std::uint8_t> branches(std::span<const Tensor> in) const override;

 private:
  const Catalog::Op& op_;
  const Samples::Sample& sample_;
};

/// How much of a sample's check is made.
enum class Extent : std::uint8_t {
  whole,
  until_failure,  ///< no more than is needed to find one
  size_alone,     ///< what many elements decide, by one random direction; see Mode::fast
};
/// Checks the sample's problem by all that the options ask and by what the sample documents.
void check_sample(const Samples::Sample& sample, const Problem& problem, const Options& options,
                  Report& report, Extent extent = Extent::whole);
/// The elements of all inputs of a sample.
std::int64_t elements_of(const Samples::Sample& sample);

/// One input in f64 (or i64).
Input drawn(const SampleInput& from, std::string name, Generator& generator);
/// A seed that depends on what is checked alone, so that one sample can be repeated by itself (FNV-1a).
std::uint64_t seed_of(std::string_view name, std::size_t sample, std::uint64_t seed);
/// Its label and the shapes of its inputs.
std::string label_of(const Samples::Sample& sample);

}  // namespace tapegrad::gradcheck::detail
