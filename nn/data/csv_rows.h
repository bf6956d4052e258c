#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/io/file.h>

/// The rows and fields of CSV files, whatever they mean. Not part of the library's interface.
namespace tapegrad::nn::csv {

/// What is written between two delimiters: without the quotes around it, and without blanks outside of quotes.
struct Field {
  std::string_view raw;  ///< of the file's text
  bool quoted = false;
  bool doubled = false;  ///< it holds quotes, each of which is written as two

  /// What the field says.
  std::string text() const;
};

/// A text for a message: between quotes, of a length that can be read, with \x.. for what cannot be printed.
std::string shown(std::string_view text);

/// The content of the file, without a byte order mark. Throws FileError where it is encoded as UTF-16 or UTF-32.
std::string content_of(InputFile& file);

/// Goes over the rows of a text once, from the first to the last. Rows end with LF, CR LF or CR, the last one also
/// with the text. A line that holds nothing but blanks is no row.
class Rows {
 public:
  /// A row of more fields is refused: what is known of each column takes a hundred times the memory of a delimiter,
  /// and a file may hold nothing else.
  static constexpr std::size_t kMostFields = 100'000;

  /// Both must outlive the rows.
  Rows(const InputFile& file, std::string_view text, char delimiter)
      : file_(file), text_(text), delimiter_(delimiter) {}

  /// Goes to the next row; false where there is none. Throws FileError for a quote that is not closed, or stands
  /// within a field, and for bytes 0.
  bool next();

  /// Of the row at hand; valid until the next call of next().
  std::span<const Field> fields() const { return fields_; }
  /// The line in which it starts; the first is 1.
  std::int64_t line() const { return row_line_; }

  /// Throws FileError for a field of the row at hand (the first is 0): "'PATH' line L, column C WHAT", where `name`
  /// that of the column, if it has one.
  [[noreturn]] void fail(std::size_t field, std::string_view name, std::string_view what) const;
  /// The same for the row.
  [[noreturn]] void fail(std::string_view what) const;

 private:
  bool at_line_end() const { return at_ == text_.size() || text_[at_] == '\n' || text_[at_] == '\r'; }
  bool is_blank(char c) const { return (c == ' ' || c == '\t') && c != delimiter_; }
  void skip_blanks();
  void skip_line_end();
  Field quoted_field();
  Field plain_field();
  [[noreturn]] void fail_at(std::size_t position, std::string_view what) const;

  const InputFile& file_;
  std::string_view text_;
  char delimiter_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;  ///< at at_
  std::size_t row_begin_ = 0;
  std::int64_t row_line_ = 0;
  std::vector<Field> fields_;
};

}  // namespace tapegrad::nn::csv
