#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <tapegrad/nn/data/csv.h>
#include <tapegrad/nn/data/csv_rows.h>

/// Reads a file in a given format. Not part of the library's interface: read_csv and CsvFormat::read come here.
namespace tapegrad::nn::csv {

/// Throws ArgumentError for a delimiter that would not be told from other bytes of a file.
void require_delimiter(char delimiter, const char* function);

/// Throws ArgumentError for a format that cannot be, as of a function of this name; see CsvFormat::read. Without
/// categories, for one that they are still to be learnt for.
void require_possible(const CsvFormat& format, const char* function, bool categories = true);

/// The names in the header, the row at hand; empty ones too, for columns that are not read may lack a name. Throws
/// FileError for one that is not UTF-8.
std::vector<std::string> names_in(const Rows& rows);
/// Throws FileError where a column that the format reads has the name of another one.
void require_different_names(const Rows& rows, const CsvFormat& format);

/// The number that the whole text is; false where it is none. Not finite where f64 cannot hold it.
bool parse_number(std::string_view text, double& number);

/// A column of the format, and where it stands in a file.
struct Place {
  std::size_t field;
  const CsvColumn* column;
};

/// A file, and the columns of a format in it. All that is given must outlive it.
class Reader {
 public:
  Reader(const InputFile& file, std::string_view text, const CsvFormat& format)
      : file_(file), text_(text), format_(format) {}

  /// Says where the columns are that are read, of as many as there are.
  void set_places(std::vector<Place> places, std::size_t fields) {
    places_ = std::move(places);
    fields_ = fields;
  }
  const std::vector<Place>& places() const { return places_; }

  /// Finds the columns in a file that the format was not learnt from.
  void find_places();

  /// of_row(rows) for each row below the header that lacks no value, or is read all the same. Returns their number.
  template <class F>
  std::int64_t each_row(F&& of_row);
  /// Rows that the last each_row left out.
  std::int64_t dropped() const { return dropped_; }

  bool is_missing(const Field& field) const;
  /// Throws FileError where it is none that the dtype can hold; `advice` goes on from there.
  double number_of(const Rows& rows, const Place& place, std::string_view advice) const;

  /// The table of the file, still without its format. Reads the text twice.
  Table table();

 private:
  using Categories = std::unordered_map<std::string_view, std::int64_t>;

  bool is_complete(const Rows& rows) const;
  double category_of(const Rows& rows, const Place& place, const Categories& categories) const;

  const InputFile& file_;
  std::string_view text_;
  const CsvFormat& format_;
  std::vector<Place> places_;
  std::size_t fields_ = 0;
  std::int64_t dropped_ = 0;
};

template <class F>
std::int64_t Reader::each_row(F&& of_row) {
  Rows rows(file_, text_, format_.delimiter);
  if (format_.header) rows.next();
  std::int64_t count = 0;
  dropped_ = 0;
  while (rows.next()) {
    if (!is_complete(rows)) {
      ++dropped_;
      continue;
    }
    of_row(rows);
    ++count;
  }
  return count;
}

}  // namespace tapegrad::nn::csv
