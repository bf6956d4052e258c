#pragma once

#include <array>
#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

/// Philox4x32 with ten rounds: 128 random bits as a pure function of a counter and a key.
/// Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011.
TAPEGRAD_API std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                     std::array<std::uint32_t, 2> key) noexcept;

/// A position in one of 2^64 independent streams of random numbers for each seed. Word w of a stream is word
/// w % 4 of philox4x32({low(w / 4), high(w / 4), low(stream), high(stream)}, {low(seed), high(seed)}).
///
/// Every draw takes a fixed number of words (one for bernoulli; two, at an even position, for all others), so
/// an element of a fill depends on the seed, the stream, the position and its own index alone: two fills of
/// 50 give what one fill of 100 gives, whatever computes them. A copy continues independently with the same
/// numbers.
class TAPEGRAD_API Generator {
 public:
  /// All there is to save for a later continuation.
  struct State {
    std::uint64_t seed = 0;      ///< what all streams depend on
    std::uint64_t stream = 0;    ///< which of the seed's streams it is
    std::uint64_t position = 0;  ///< words used so far
    friend bool operator==(const State&, const State&) = default;
  };

  /// At the start of a stream, or at a saved position.
  explicit Generator(std::uint64_t seed = 0, std::uint64_t stream = 0) noexcept : state_{seed, stream, 0} {}
  explicit Generator(const State& state) noexcept : state_(state) {}
  /// Where it stands.
  const State& state() const noexcept { return state_; }

  /// 64 random bits; with the two bounds this is a standard uniform random bit generator.
  using result_type = std::uint64_t;
  result_type operator()() noexcept;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~result_type{0}; }

  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform() noexcept;
  /// Standard normal.
  double normal() noexcept;
  /// Uniform among 0 ... count - 1, without bias. Throws ArgumentError for a count of 0.
  std::uint64_t below(std::uint64_t count);

 private:
  State state_;
};

/// Normal values: mean + stddev * z, with z the normal quantile of a uniform number (Wichura: Algorithm AS
/// 241, Applied Statistics 37, 1988). f32 holds the rounded f64 values of the same state. Throws DtypeError
/// for i64 and ArgumentError for a negative or non-finite stddev or a non-finite mean.
TAPEGRAD_API Tensor randn(const Shape& shape, Generator& generator, Dtype dtype = f32, double mean = 0,
                          double stddev = 1);

/// Uniform in [lo, hi). f32 holds the rounded f64 values of the same state. Throws DtypeError for i64 (see
/// integers) and ArgumentError where [lo, hi) is empty or not finite.
TAPEGRAD_API Tensor uniform(const Shape& shape, Generator& generator, double lo = 0, double hi = 1,
                            Dtype dtype = f32);

/// i64, uniform among lo ... hi - 1 without bias. Throws ArgumentError where that is empty.
TAPEGRAD_API Tensor integers(const Shape& shape, Generator& generator, std::int64_t lo, std::int64_t hi);

/// 1 with probability p (to within 2^-30), else 0. Throws ArgumentError for a p outside [0, 1].
TAPEGRAD_API Tensor bernoulli(const Shape& shape, Generator& generator, double p, Dtype dtype = f32);

/// The numbers 0 ... n - 1 in random order, i64 [n]: the shuffle of Fisher and Yates. Throws ArgumentError
/// for n < 0.
TAPEGRAD_API Tensor permutation(std::int64_t n, Generator& generator);

namespace detail {
/// The standard normal value that 64 random bits stand for.
TAPEGRAD_API double normal_of(std::uint64_t bits) noexcept;
}  // namespace detail

}  // namespace tapegrad
