#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/csv.h>

#include "fuzz.h"

using namespace tapegrad;

namespace {

void require_sound(const nn::Table& t) {
  const auto rows = static_cast<std::int64_t>(t.lines.size());
  fuzz::require(rows > 0 && t.features.dim(0) == rows, "a row of features for each row");
  fuzz::require(t.features.dim(1) == static_cast<std::int64_t>(t.format.feature_names().size()),
                "a column of features for each name");
  visit_floating(t.features.dtype(), [&]<class T> {
    for (const T x : t.features.values<T>()) fuzz::require(std::isfinite(x), "features are finite");
  });
  if (t.targets.defined()) {
    fuzz::require(t.targets.dim(0) == rows, "a target for each row");
    (void)t.dataset();  // which checks the classes
  }
}

/// What one table holds, read by its own format, which has come back from its text.
void try_table(const std::string& path, const nn::CsvOptions& options) {
  nn::Table learnt;
  try {
    learnt = nn::read_csv(path, options);
  } catch (const FileError&) {
    return;
  } catch (const ArgumentError&) {
    return;  // columns that the file does not have
  }
  require_sound(learnt);
  const std::string text = learnt.format.text();
  const nn::CsvFormat format = nn::CsvFormat::parse(text);
  fuzz::require(format.text() == text, "formats come back");
  const nn::Table again = format.read(path);
  require_sound(again);
  fuzz::require(again.lines == learnt.lines && again.dropped == learnt.dropped, "the same rows");
  fuzz::require_same(again.features, learnt.features);
  fuzz::require(again.targets.defined() == learnt.targets.defined(), "the same targets");
  if (again.targets.defined()) fuzz::require_same(again.targets, learnt.targets);
}

void try_format(std::string_view bytes, const std::string& path) {
  nn::CsvFormat format;
  try {
    format = nn::CsvFormat::parse(bytes);
  } catch (const ArgumentError&) {
    return;
  }
  const std::string text = format.text();
  fuzz::require(nn::CsvFormat::parse(text).text() == text, "formats come back from what they say");
  try {
    require_sound(format.read(path));
  } catch (const FileError&) {
  }
}

}  // namespace

/// Tables in several ways of reading, and formats.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const fuzz::InputBytes file(bytes);
  using nn::Missing;
  try_table(file.path(), {});
  try_table(file.path(), {.targets = {2}, .one_hot = {1, 3}, .index = {2}, .missing = Missing::mean});
  try_table(file.path(), {.targets = {-1}, .missing = Missing::drop_row, .header = false, .dtype = f64});
  try_table(file.path(), {.targets = {1, 2}, .one_hot = {2}, .missing = Missing::mean, .delimiter = '\t'});
  try_format(bytes, file.path());
  return 0;
}
