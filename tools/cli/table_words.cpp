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
    {"CsvFormat::read: ", "", false},
    {"read_csv: ", "", false},
    {"one_hot makes a column of each. Read it by index, leave it unused, or raise most_categories",
     "--one-hot makes a column of each. Leave it out by --unused", false},
    {"by targets", "by --target", false},
    {"by unused", "by --unused", false},
    {"by one_hot", "by --one-hot", false},
    {"by index", "by --task classification", false},
    // What the command does not have.
    {", a text that says that there is no value in CsvOptions::missing_texts", "", false},
    {"; name it in CsvOptions::missing_texts where it says that none is known", "", false},
    {", or read them as f64 by CsvOptions::dtype", "", false},
    {"; f64 has room for it", "", false}};

std::string replaced(std::string part, std::string_view command) {
  for (const Words& w : kWords) {
    const std::string words = fmt::format("{}{}", w.option ? command : std::string_view(), w.of_command);
    for (std::size_t at = 0; (at = part.find(w.of_library, at)) != std::string::npos; at += words.size())
      part.replace(at, w.of_library.size(), words);
  }
  return part;
}

/// Within quotes stand names and texts of the user's, which are left alone.
std::string in_words_of_command(std::string_view message, std::string_view command) {
  std::string result;
  for (bool quoted = false;; quoted = !quoted) {
    const std::size_t end = message.find('\'');
    const std::string_view part = message.substr(0, end);
    result += quoted ? std::string(part) : replaced(std::string(part), command);
    if (end == std::string_view::npos) return result;
    result += '\'';
    message.remove_prefix(end + 1);
  }
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
