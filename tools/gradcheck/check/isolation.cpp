#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/rule_coverage.h>
#include <tapegrad/gradcheck/check/snapshot.h>
#include <tapegrad/ops/loops/parallel.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

using tapegrad::detail::shared_jobs_here;
using tapegrad::detail::TensorAccess;

/// The value that fills the memory around the elements of a tensor.
template <class T>
constexpr T filler(int run) {
  if constexpr (std::is_integral_v<T>)
    return run;  // it may be taken for an index
  else
    return run == 0 ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(1e30);
}

/// A tensor's elements in the middle of a larger block, whose ends nobody may read or write.
class Guarded {
 public:
  Guarded(const Tensor& t, int run) : run_(run), size_(t.size()) {
    visit_dtype(t.dtype(), [&]<class T> {
      block_ = Tensor::full({size_ + 2 * kGuard}, 0, t.dtype());
      const std::span<T> cells = block_.mutable_values<T>();
      std::ranges::fill(cells, filler<T>(run));
      std::ranges::copy(t.values<T>(), cells.begin() + kGuard);
    });
    inner_ = TensorAccess::view(block_, kGuard, t.shape());
  }
  const Tensor& inner() const { return inner_; }
  bool intact() const {
    return visit_dtype(block_.dtype(), [&]<class T> {
      const std::span<const T> cells = block_.values<T>();
      const T expected = filler<T>(run_);
      const auto same = [&](T x) { return std::memcmp(&x, &expected, sizeof x) == 0; };
      return std::ranges::all_of(cells.first(kGuard), same) && std::ranges::all_of(cells.last(kGuard), same);
    });
  }

 private:
  // An odd number, so that the elements are aligned to nothing but their own size.
  static constexpr std::int64_t kGuard = 67;
  int run_;
  std::int64_t size_;
  Tensor block_, inner_;
};

class Isolation {
 public:
  Isolation(Session& s, const Problem& problem)
      : session_(s), problem_(problem), grad_inputs_(problem.grad_inputs()) {
    const Pause pause;
    for (const Tensor& r : problem.evaluate(problem.values()))
      weights_.push_back(random_weights(r.shape(), r.dtype(), s.generator));
  }

  void run() {
    check_guards();
    if (!session_.decided()) check_threads();
  }
  void run_threads() { check_threads(); }

 private:
  /// Results and the gradients by each of the rules, and which of these passes were shared between threads.
  struct Outcome {
    Tensors results{};
    std::vector<Tensors> gradients{};
    bool shared_forward = false;
    std::vector<bool> shared_backward{};
  };

  Outcome outcome(const Tensors& at, const Tensors& weights) const {
    Outcome all;
    std::int64_t jobs = shared_jobs_here();
    const auto shared = [&] {
      const std::int64_t before = std::exchange(jobs, shared_jobs_here());
      return jobs > before;
    };
    Recording recording(problem_, at, grad_inputs_);
    all.results = recording.results();
    all.shared_forward = shared();
    for (const Rule rule : rules_of(session_.options)) try {
        all.gradients.push_back(recording.vjp(weights, rule));
        all.shared_backward.push_back(shared());
      } catch (
          const MutatedSaved&) {  // a rule before has written to it, which the checks of properties report
        break;
      }
    return all;
  }

  void compare(const char* what, const Outcome& a, const Outcome& b, const char* message) {
    const auto differs = [&](const Tensors& x, const Tensors& y, Rule rule, double tolerance, auto&& name) {
      for (std::size_t i = 0; i < x.size() && i < y.size(); ++i)
        if (!repeats(x[i], y[i], tolerance)) {
          session_.fail(1, fmt::format("{}, {}", what, describe(rule)), name(i), message);
          return true;
        }
      return false;
    };
    if (differs(a.results, b.results, Rule::fused, 0, [](std::size_t) { return std::string("result"); }))
      return;
    const std::size_t both = std::min(a.gradients.size(), b.gradients.size());
    if (both < std::max(a.gradients.size(), b.gradients.size()))
      session_.fail(1, fmt::format("{}, {}", what, describe(rules_of(session_.options)[both])), "",
                    "a rule writes to a value that is not its own in one of two runs alone");
    for (std::size_t r = 0; r < both; ++r)
      differs(a.gradients[r], b.gradients[r], rules_of(session_.options)[r], session_.options.nondet_tol,
              [&](std::size_t i) { return problem_.inputs()[grad_inputs_[i]].name; });
  }

  void check_guards() {
    Outcome runs[2];
    for (const int run : {0, 1}) {
      std::vector<Guarded> all;
      for (const Tensor& t : problem_.values()) all.emplace_back(t, run);
      const std::size_t inputs = all.size();
      for (const Tensor& w : weights_) all.emplace_back(w, run);
      Tensors at, weights;
      for (std::size_t i = 0; i < all.size(); ++i) (i < inputs ? at : weights).push_back(all[i].inner());
      runs[run] = outcome(at, weights);
      for (std::size_t i = 0; i < all.size(); ++i)
        if (!all[i].intact())
          return session_.fail(1, "written beside the elements",
                               i < inputs ? problem_.inputs()[i].name : "incoming gradient",
                               "what lies in memory before or after its elements was changed");
    }
    compare(
        "read beside the elements", runs[0], runs[1],
        "its bits depend on what lies in memory before or after the elements of an input or of the incoming "
        "gradient");
  }

  void check_threads() {
    Outcome one;
    for (const int threads : {1, 2, 3, 7}) {
      const tapegrad::detail::ThreadLimit limit(threads);
      Outcome all = outcome(problem_.values(), weights_);
      if (RuleCoverage* coverage = RuleCoverage::current(); coverage && largest_dtype() == f64)
        for (std::size_t r = 0; r < all.shared_backward.size(); ++r)
          coverage->add_shared(rules_of(session_.options)[r], all.shared_forward, all.shared_backward[r]);
      if (threads == 1)
        one = std::move(all);
      else
        compare("threads", one, all,
                threads == 2   ? "two threads give other bits than one"
                : threads == 3 ? "three threads give other bits than one"
                               : "seven threads give other bits than one");
    }
  }
  Dtype largest_dtype() const {
    return std::ranges::any_of(grad_inputs_,
                               [&](std::size_t i) { return problem_.inputs()[i].value.dtype() == f64; })
               ? f64
               : f32;
  }

  Session& session_;
  const Problem& problem_;
  std::vector<std::size_t> grad_inputs_;
  Tensors weights_;
};

}  // namespace

void check_isolation(Session& s, const Problem& problem) { Isolation(s, problem).run(); }
void check_threads(Session& s, const Problem& problem) { Isolation(s, problem).run_threads(); }

}  // namespace tapegrad::gradcheck::detail
