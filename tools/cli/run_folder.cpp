#include "run_folder.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <sstream>
#include <string_view>
#include <system_error>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/train/checkpoint.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace tapegrad::cli {

namespace {

constexpr const char* kWritten[] = {"history.csv", "parameters.safetensors", "best.safetensors"};

constexpr const char* kMeasures = ",learning_rate,gradient_norm,seconds,items_per_second";

/// The score in the columns behind the epoch, the iteration and the training's; none where these are empty. Nothing is
/// changed, and false returned, where the row is another epoch's.
bool read_test_score(const std::string& row, const nn::EpochReport& e, std::optional<nn::Score>& score) {
  const std::vector<std::string> cells = CLI::detail::split(row, ',');
  if (cells.size() < 6 || cells[0] != fmt::format("{}", e.epoch) ||
      cells[1] != fmt::format("{}", e.iteration))
    return false;
  if (cells[4].empty() && cells[5].empty()) return true;
  nn::Score found;
  if (!CLI::detail::lexical_cast(cells[4], found.loss) || !CLI::detail::lexical_cast(cells[5], found.metric))
    return false;
  score = found;
  return true;
}

/// An empty cell where a number is not known.
std::string cell(double value, const char* format) {
  return std::isnan(value) ? "" : fmt::format(fmt::runtime(format), value);
}

std::string row_of(const nn::EpochReport& e, const std::optional<nn::Score>& test, bool validated) {
  std::string row =
      fmt::format("{},{},{:.6f},{:.6f},", e.epoch, e.iteration, e.training.loss, e.training.metric);
  row += test ? fmt::format("{:.6f},{:.6f}", test->loss, test->metric) : ",";
  if (validated) row += fmt::format(",{:.6f},{:.6f}", e.validation.loss, e.validation.metric);
  return row + fmt::format(",{},{},{},{}", cell(e.lr, "{:.8g}"), cell(e.gradient_norm, "{:.6g}"),
                           cell(e.seconds, "{:.3f}"), cell(e.items_per_second, "{:.1f}"));
}

/// What a file holds, up to what a history may; nothing where it cannot be read. A pipe is not waited for.
std::string text_of(const std::string& path) {
  try {
    nn::InputFile file(path);
    constexpr std::uint64_t kLongest = 100'000'000;
    std::string text(std::min<std::uint64_t>(file.size(), kLongest), '\0');
    file.read(text.data(), text.size());
    return text;
  } catch (const FileError&) {
    return {};
  }
}

}  // namespace

RunFolder::RunFolder(const std::string& path, bool validated, const char* metric)
    : path_(path),
      validated_(validated),
      scores_(fmt::format("epoch,iteration,train_loss,train_{0},test_loss,test_{0}{1}", metric,
                          validated ? fmt::format(",validation_loss,validation_{}", metric) : "")) {}

/// Throws ArgumentError where another run is at work in the folder. The lock ends with the process, whatever ends that.
void RunFolder::take(const char* option) {
  lock_ = nn::files::Descriptor(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock_ || ::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  throw ArgumentError(fmt::format(
      "{} {}: another run is at work there; give another folder, or wait for its end", option, path_));
}

RunFolder RunFolder::start(const std::string& path, bool validated, const char* metric, bool replace) {
  RunFolder folder(path, validated, metric);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw FileError(fmt::format("--out {}: cannot make the folder: {}", path, error.message()));
  folder.take("--out");
  folder.replaced_ = nn::checkpoints_in(checkpoints(path));
  if (!replace && !folder.replaced_.empty())
    throw ArgumentError(fmt::format(
        "--out {}: it has checkpoints of another run, the newest {}; go on with that by --resume {}, "
        "give another folder, or --force to replace what it has left",
        path, folder.replaced_.front(), path));
  for (const char* written : kWritten)
    if (!replace && std::filesystem::exists(folder.file(written), error))
      throw ArgumentError(
          fmt::format("--out {}: another run has left its {} there; give another folder, or --force to "
                      "replace what it has left",
                      path, written));
  const nn::AtomicFile can_be_written(folder.file(kWritten[0]));
  return folder;
}

RunFolder RunFolder::resume(const std::string& path, bool validated, const char* metric) {
  RunFolder folder(path, validated, metric);
  folder.take("--resume");
  return folder;
}

void RunFolder::remove_checkpoints() const {
  for (const std::string& checkpoint : replaced_)
    if (std::error_code error; !std::filesystem::remove(checkpoint, error) && error)
      throw FileError(fmt::format("'{}' cannot be removed: {}", checkpoint, error.message()));
}

bool RunFolder::go_on(const std::vector<nn::EpochReport>& epochs, bool trains) {
  const std::string name = file("history.csv");
  std::istringstream history(text_of(name));
  std::string row;
  bool good = std::getline(history, row) && (row == scores_ + kMeasures || row == scores_);
  for (const nn::EpochReport& e : epochs) {
    std::optional<nn::Score> test;
    good = good && std::getline(history, row) && read_test_score(row, e, test);
    if (!good) break;
    rows_.push_back(row_of(e, test, validated_));
    test_scores_.push_back(test);
  }
  if (!good)
    throw FileError(
        fmt::format("'{}' does not have the {} epochs of the checkpoint; the run that is resumed has "
                    "written it: put it back",
                    name, epochs.size()));
  if (!trains && std::getline(history, row)) return false;
  write_history();
  return true;
}

void RunFolder::add(const nn::EpochReport& e, const std::optional<nn::Score>& test) {
  rows_.push_back(row_of(e, test, validated_));
  test_scores_.push_back(test);
  write_history();
}

void RunFolder::complete(const nn::EpochReport& last, const nn::Score& test) {
  rows_.pop_back();
  test_scores_.pop_back();
  add(last, test);
}

void RunFolder::save(const char* name, const nn::Metadata& metadata, const nn::State& state) const {
  nn::save_state(file(name), state, metadata);
}

void RunFolder::write_history() const {
  nn::AtomicFile out(file("history.csv"));
  out.write(scores_ + kMeasures + '\n');
  for (const std::string& row : rows_) out.write(row + '\n');
  out.commit();
}

void RunFolder::require_own_files(const std::string& path) {
  const auto require_no_link = [&](const std::filesystem::path& file) {
    std::error_code error;
    if (std::filesystem::is_symlink(file, error))
      throw FileError(
          fmt::format("--resume {}: {} is a link, and a run that goes on writes in its own folder alone; put "
                      "there what it leads to",
                      path, file.string()));
  };
  for (const char* written : kWritten) require_no_link(std::filesystem::path(path) / written);
  require_no_link(checkpoints(path));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoints(path), error))
    require_no_link(entry.path());
}

bool RunFolder::is_of_run(const std::string& path, const std::string& file) {
  std::error_code error;
  const auto is = [&](const std::filesystem::path& own) {
    return std::filesystem::equivalent(own, file, error);
  };
  return std::ranges::any_of(
             kWritten, [&](const char* written) { return is(std::filesystem::path(path) / written); }) ||
         std::ranges::any_of(nn::checkpoints_in(checkpoints(path)), is);
}

bool RunFolder::holds(const std::string& path, const std::string& file) {
  std::error_code error;
  const auto folder = std::filesystem::canonical(path, error);
  if (error || std::filesystem::is_symlink(file, error)) return false;
  const auto whole = std::filesystem::weakly_canonical(std::filesystem::absolute(file, error), error);
  return !error && whole.parent_path() == folder;
}

std::string RunFolder::checkpoints(const std::string& path) {
  return (std::filesystem::path(path) / "checkpoints").string();
}

std::string RunFolder::advice() const {
  const std::vector<std::string> saved = nn::checkpoints_in(checkpoints(path_));
  return saved.empty() ? ""
                       : fmt::format("; the last checkpoint is {}, from which --resume {} goes on",
                                     saved.front(), path_);
}

}  // namespace tapegrad::cli
