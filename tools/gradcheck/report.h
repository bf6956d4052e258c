#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/shape.h>

namespace tapegrad::gradcheck {

/// What comparing an analytic derivative with a numerical one has shown.
enum class Verdict : std::uint8_t {
  zero,  ///< both are zero within the uncertainty, or too small beside the result's other derivatives to tell
         ///< more: not wrong, and proves nothing
  kink,  ///< the one-sided derivatives differ, and the analytic value lies between them
  pass,  ///< they agree, the value is not zero, and the uncertainty is below the tolerance
  unproven,      ///< of a report alone: for some input no derivative other than zero agreed at order 1
  inconclusive,  ///< the numerical derivative is not certain enough to decide
  fail,          ///< they differ by more than tolerance and uncertainty, at two step sizes
};

/// "PASS", "FAIL", "INCONCLUSIVE", "UNPROVEN", "KINK", "ZERO".
TAPEGRAD_API std::string_view name_of(Verdict v) noexcept;

/// What a Finding calls the gradient by each of an operation's rules: the one that a user gets, which may be
/// fused; the general one; the one that Record::yes records.
inline constexpr std::string_view kGradient = "gradient";
inline constexpr std::string_view kGeneralGradient = "gradient by the general rule";
inline constexpr std::string_view kRecordedGradient = "gradient as recorded";
/// The same for all of them together.
inline constexpr std::string_view kGradientByEveryRule = "gradient by every rule";
/// How the texts about single precision begin.
inline constexpr std::string_view kSinglePrecision = "f32 against f64";

/// Where a derivative stands in a Jacobian.
struct JacobianEntry {
  std::int64_t element = 0;  ///< of the input, counted in row-major order
  Shape input{};             ///< the input's shape
  std::size_t row = 0;       ///< the number of the result that was differentiated
  std::int64_t result = -1;  ///< its position among the elements; -1: a weighted sum of all
  Shape output{};            ///< the result's shape
};

/// One comparison: of a derivative with its numerical value, or of two ways to the same gradient.
struct Finding {
  Verdict verdict = Verdict::zero;  ///< what it has shown
  int order = 1;                    ///< of the derivative
  /// What was compared: kGradient and its like, "result used twice", ...
  std::string what{};
  /// Which input, by name, and where in it: "[1, 2]", or "random direction".
  std::string input{};
  std::string index{};
  double analytic = 0;                   ///< by the rule
  double numeric = 0;                    ///< by differences, or in another way
  double uncertainty = 0;                ///< of `numeric`
  double step = 0;                       ///< half the distance of the two points differenced
  std::optional<JacobianEntry> entry{};  ///< for a derivative for one element
  /// Says what no pair of numbers can, such as an exception or an input that was changed.
  std::string message{};

  /// The difference of analytic and numeric, divided by the larger one.
  double relative_error() const noexcept;
  /// Whether it compares the gradient by one of the rules with its numerical value.
  bool is_derivative() const noexcept;
};

/// How the elements of one input fared at one order.
struct InputTally {
  std::string name;  ///< of the input
  int order = 1;     ///< of the derivatives
  /// How many comparisons had each verdict.
  std::size_t zero = 0;
  std::size_t kink = 0;
  std::size_t pass = 0;
  std::size_t inconclusive = 0;
  std::size_t fail = 0;
  /// An input, for which at order 1 a derivative other than zero must have been seen.
  bool needs_proof = false;
};

/// All that one check has found.
class TAPEGRAD_API Report {
 public:
  /// FAIL if anything failed, else INCONCLUSIVE if anything was, else PASS where for each input at least one
  /// derivative that is not zero agreed, UNPROVEN where for some, else KINK or ZERO, which prove nothing.
  Verdict verdict() const noexcept;
  /// True for PASS alone.
  bool ok() const noexcept { return verdict() == Verdict::pass; }
  explicit operator bool() const noexcept { return ok(); }

  /// The comparison with the largest relative error among those that failed, else among those that did not.
  const Finding& worst() const noexcept { return worst_; }
  /// The first failures, and the first inconclusive comparisons where there are fewer than kMaxListed
  /// failures. Rules that give the same are listed together. The tallies count all.
  static constexpr std::size_t kMaxListed = 12;
  std::vector<Finding> listed() const;
  /// The first failures, in which hints() looks for a pattern.
  static constexpr std::size_t kMaxFailures = 256;
  const std::vector<Finding>& failures() const noexcept { return failures_; }
  /// One for each input and order.
  const std::vector<InputTally>& tallies() const noexcept { return tallies_; }
  /// How many comparisons had this verdict.
  std::size_t count(Verdict v) const noexcept;
  /// The inputs for which no derivative other than zero agreed.
  std::vector<std::string> unproven() const;

  /// One line, one more for each failed or inconclusive comparison, and one for each hint.
  std::string text() const;

  // For those who check:
  /// The tally of an input at an order, made where it is new.
  InputTally& tally(std::string_view input, int order);
  /// Adds a finding to its tally, and stores it where it is listed or the worst so far.
  void add(Finding finding);
  /// False where add() would do no more than count: the details need not be worked out.
  bool would_store(Verdict verdict, double relative_error) const noexcept;
  /// Counts a comparison in a tally.
  static void count_in(InputTally& tally, Verdict verdict) noexcept;
  /// Adds what another report has found.
  void merge(const Report& other);

 private:
  Finding worst_;
  std::vector<Finding> failures_, inconclusive_;
  std::vector<InputTally> tallies_;
};

/// The same line that text() has for a finding.
TAPEGRAD_API std::string to_string(const Finding& finding);

/// Writes text(), so that GoogleTest's EXPECT_TRUE(report.ok()) << report says what is wrong.
TAPEGRAD_API std::ostream& operator<<(std::ostream& out, const Report& report);

}  // namespace tapegrad::gradcheck
