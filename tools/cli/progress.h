#pragma once

#include <chrono>
#include <string_view>

namespace tapegrad::cli {

/// One line on a terminal that is rewritten in place, at most ten times a second. Where the output is a file
/// or a pipe nothing is rewritten and only whole lines appear.
class Progress {
 public:
  Progress();
  /// Shows a passing state, which text() gives; it is not asked where nothing would be shown.
  template <class Text>
  void show(Text&& text) {
    if (due()) rewrite(text());
  }
  /// Prints a line that stays.
  void line(std::string_view text);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  bool due();
  void rewrite(std::string_view text);
  void erase();

  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace tapegrad::cli
