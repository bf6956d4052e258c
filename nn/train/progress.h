#pragma once

#include <cstdio>
#include <memory>
#include <string_view>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/train/trainer.h>

namespace tapegrad::nn {

/// Shows how a training goes on: on a terminal one line with a bar that is rewritten in place, at most ten
/// times a second; behind each epoch a line that stays, with what was reached. Where the output is a file or
/// a pipe, only the latter. What cannot be written, as where nobody reads the pipe any more and the program does not die
/// of SIGPIPE, is left out, and training goes on. A cheap handle: copies share the line.
///
///     const nn::Progress progress;
///     nn::Trainer trainer(net, adam, {.epochs = 20, .on_batch = progress, .on_epoch = progress});
class TAPEGRAD_API Progress {
 public:
  /// Writes to this stream.
  explicit Progress(std::FILE* out = stdout);

  /// Shows a report; to be given as on_batch and on_epoch.
  void operator()(const Trainer& trainer, const BatchReport& report) const;
  void operator()(const Trainer& trainer, const EpochReport& report) const;
  /// Prints a line that stays, of one's own.
  void line(std::string_view text) const;

 private:
  class Line;
  std::shared_ptr<Line> line_;
};

}  // namespace tapegrad::nn
