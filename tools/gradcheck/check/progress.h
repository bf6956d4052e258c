#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>

namespace tapegrad::gradcheck::detail {

/// Seconds that this thread has been at work, whatever else the machine did.
double processor_seconds() noexcept;

/// What a thread is checking at the moment, and what it has done, for another thread to see.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// What runs.
  struct Activity {
    Subject::Sample sample{.label = "samples"};  ///< without its report; before the first one they are made
    std::string mutation{};                      ///< in a self-test
    int order = 1;
    std::string part{}, input{}, index{};  ///< empty where that is not known
    Clock::time_point since = Clock::now();

    /// "order 2, gradient, input 0[3]".
    std::string place() const;
    double seconds() const { return std::chrono::duration<double>(Clock::now() - since).count(); }
  };
  Activity activity() const;
  /// The samples that have ended.
  std::vector<Subject::Sample> finished() const;
  /// The mutations that have been tested.
  std::vector<MutationResult> finished_mutations() const;

  /// While it lives, this thread's checks tell `progress` what they do.
  class Watched {
   public:
    explicit Watched(Progress& progress);
    ~Watched();
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;

   private:
    Progress* before_;
  };

  // For those who check; nothing happens on a thread that is not watched.
  /// A sample begins: its number, seed and label; in a self-test under a mutation.
  static void begin(Subject::Sample sample, std::string mutation = {});
  static void end(const Subject::Sample& sample);
  static void end(const MutationResult& mutation);
  static void at(int order, std::string_view part, std::string_view input = {}, std::string_view index = {});
  static bool is_watched() noexcept;

 private:
  mutable std::mutex mutex_;
  Activity activity_;
  std::vector<Subject::Sample> finished_;
  std::vector<MutationResult> finished_mutations_;
};

}  // namespace tapegrad::gradcheck::detail
