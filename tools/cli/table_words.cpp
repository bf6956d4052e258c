#include "table_words.h"

#include <cstddef>
#include <string>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::cli {

namespace {

struct Words {
  std::string_view of_library;
  std::string_view of_command;
  bool option = true;
};

constexpr Words kWords[] = {
    {"CsvOptions::one_hot or index", "--one-hot"},
    {"CsvOptions::unused", "--unused"},
    {"CsvOptions::header", "--no-header"},
    {"Missing::drop_row", "--missing drop-row"},
    {"Missing::mean", "--missing mean"},
    {"read_csv: targets names", "--target names", false},
    {"read_csv: unused names", "--unused names", false},
    {"read_csv: one_hot names", "--one-hot names", false},
    {"by targets", "by --target", false},
    {"by unused", "by --unused", false},
    {"by one_hot", "by --one-hot", false},
    {"by index", "by --task classification", false},
    {"CsvFormat::read: ", "", false},
    {"read_csv: ", "", false},
    // What the command does not have.
    {", a text that says that there is no value in CsvOptions::missing_texts", "", false},
    {"; name it in CsvOptions::missing_texts where it says that none is known", "", false},
    {", or read them as f64 by CsvOptions::dtype", "", false},
    {"; f64 has room for it", "", false}};

std::string in_words_of_command(std::string message, std::string_view command) {
  for (const Words& w : kWords)
    if (const std::size_t at = message.find(w.of_library); at != std::string::npos)
      message.replace(at, w.of_library.size(),
                      fmt::format("{}{}", w.option ? command : std::string_view(), w.of_command));
  return message;
}

}  // namespace

nn::Table read_in_words_of_command(const Callback<nn::Table()>& read, std::string_view command) {
  try {
    return read();
  } catch (const FileError& e) {
    throw FileError(in_words_of_command(e.what(), command));
  } catch (const ArgumentError& e) {
    throw ArgumentError(in_words_of_command(e.what(), command));
  }
}

}  // namespace tapegrad::cli
