#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include <tapegrad/graph/format.h>
#include <tapegrad/nn/train/progress.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// "[####......]" for a share in [0, 1].
std::string bar(double share) {
  constexpr std::size_t kWidth = 24;
  const auto full = std::min(kWidth, static_cast<std::size_t>(share * kWidth));
  return fmt::format("[{}{}]", std::string(full, '#'), std::string(kWidth - full, '.'));
}

/// "  training loss 0.1234 metric 0.9876", of what was measured.
std::string text_of(const char* of, const Score& score) {
  if (std::isnan(score.loss) && std::isnan(score.metric)) return "";
  return fmt::format("  {} loss {:.4f}{}", of, tapegrad::detail::shown(score.loss),
                     std::isnan(score.metric) ? "" : fmt::format(" metric {:.4f}", score.metric));
}

}  // namespace

/// The line that is rewritten.
class Progress::Line {
 public:
  explicit Line(std::FILE* out) : out_(out), terminal_(isatty(fileno(out)) == 1) {}
  ~Line() { erase(); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  bool due() {
    if (!terminal_) return false;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(100)) return false;
    last_ = now;
    return true;
  }
  void rewrite(std::string_view text) {
    shown_ = true;
    write(fmt::format("\r{}\x1b[K", text));
  }
  void leave(std::string_view text) {
    erase();
    write(fmt::format("{}\n", text));
  }

 private:
  // Throws nothing: training does not end where what it says cannot be written.
  void write(const std::string& text) {
    std::fputs(text.c_str(), out_);
    std::fflush(out_);
  }
  void erase() {
    if (shown_) std::fputs("\r\x1b[K", out_);  // throws nothing, as a destructor must not
    shown_ = false;
  }

  std::FILE* out_;
  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

Progress::Progress(std::FILE* out) : line_(std::make_shared<Line>(out)) {}

void Progress::operator()(const Trainer&, const BatchReport& b) const {
  if (!line_->due()) return;
  line_->rewrite(fmt::format("epoch {:3}  {} iteration {:6} of {}  batch loss {:.4f}", b.epoch,
                             bar(static_cast<double>(b.iteration) / static_cast<double>(b.last)), b.iteration,
                             b.last, b.loss));
}

void Progress::operator()(const Trainer&, const EpochReport& e) const {
  line(fmt::format("epoch {:3}  iteration {:6}{}{}  {:.1f} s{}", e.epoch, e.iteration,
                   text_of("training", e.training), text_of("validation", e.validation), e.seconds,
                   e.best ? "  best" : ""));
}

void Progress::line(std::string_view text) const { line_->leave(text); }

}  // namespace tapegrad::nn
