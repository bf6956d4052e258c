#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/train/trainer.h>

namespace tapegrad::cli {

/// Where a run leaves its history, its parameters and its checkpoints. Whether the folder can be written is found out
/// before training. As long as the object lives no other run takes the folder, where the file system has locks.
class RunFolder {
 public:
  /// Of a run that starts: makes the folder. Its history, with columns of the loss and of this metric, is written by
  /// begin(). Throws FileError where the folder cannot be made, ArgumentError where another run is at work there, or,
  /// unless `replace`, has left checkpoints, its history or parameters.
  static RunFolder start(const std::string& path, bool validated, const char* metric, bool replace);
  /// Of a run that goes on, by go_on(). Throws ArgumentError where another run is at work there.
  static RunFolder resume(const std::string& path, bool validated, const char* metric);

  /// Removes the checkpoints that are replaced: a trainer refuses those of others, and --resume would go on with them.
  void remove_checkpoints() const;
  /// Writes a history without epochs, when the first update is made: what is refused before leaves nothing that the
  /// next run would have to replace.
  void begin() const { write_history(); }
  /// Goes on after these epochs: what the history says of later ones is dropped. One that an older version has written
  /// gets the columns that it lacks. Where nothing is trained and the history has later epochs, nothing is written: false. Throws FileError where it does not have these epochs.
  bool go_on(const std::vector<nn::EpochReport>& epochs, bool trains);
  /// Without a score, the test data are still to be evaluated: its columns are empty.
  void add(const nn::EpochReport& e, const std::optional<nn::Score>& test);
  /// Adds the test score that the last epoch lacks.
  void complete(const nn::EpochReport& last, const nn::Score& test);
  void save(const char* file, const nn::Metadata& metadata, const nn::State& state) const;
  const std::string& name() const { return path_; }
  /// On the test data, after each epoch of the history.
  const std::vector<std::optional<nn::Score>>& test_scores() const { return test_scores_; }

  /// Throws FileError where one of the files that a run writes is a link, which leads out of its folder perhaps: the
  /// folder of a run that goes on may be of somebody else.
  static void require_own_files(const std::string& path);
  /// Whether a file, which need not be there, lies in the folder of a run itself, and is no link.
  static bool holds(const std::string& path, const std::string& file);
  /// Whether a file is one of those that a run has left in its folder.
  static bool is_of_run(const std::string& path, const std::string& file);
  /// The folder of the checkpoints in that of a run.
  static std::string checkpoints(const std::string& path);
  /// "; the last checkpoint is FILE, from which --resume FOLDER goes on", where there is one.
  std::string advice() const;

 private:
  RunFolder(const std::string& path, bool validated, const char* metric);
  std::string file(const char* name) const { return (std::filesystem::path(path_) / name).string(); }
  void take(const char* option);
  void write_history() const;

  std::string path_;
  nn::files::Descriptor lock_{};
  bool validated_;
  std::vector<std::string> replaced_{};  ///< checkpoints of another run
  std::string scores_;                   ///< the columns that every version has
  std::vector<std::string> rows_;
  std::vector<std::optional<nn::Score>> test_scores_;
};

}  // namespace tapegrad::cli
