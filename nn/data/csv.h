#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/dataset.h>

namespace tapegrad::nn {

/// A column of a table, by its name or by its number: the first is 1, and the last also -1. Of both the name counts,
/// where there is a column of that name.
struct ColumnRef {
  /// By its name, or by its number.
  ColumnRef(std::string_view the_name) : name(the_name) {}
  ColumnRef(const char* the_name) : name(the_name) {}
  ColumnRef(const std::string& the_name) : name(the_name) {}
  ColumnRef(std::integral auto the_number) : number(the_number) {}

  std::string name;         ///< empty: the number counts
  std::int64_t number = 0;  ///< 0: the name counts
};

/// What becomes of rows that lack a value, be it because of an empty field or of one of CsvOptions::missing_texts.
enum class Missing : std::uint8_t {
  error,     ///< FileError, which names the line and the column
  drop_row,  ///< the row is left out
  /// A number becomes the mean of its column, a category the most frequent one of its column (of equally frequent ones
  /// the first), both over the rows that stay in the table that the format was learnt from. A target is never made up:
  /// a row that lacks one is left out.
  mean,
};

/// How the fields of a column become numbers.
enum class ColumnKind : std::uint8_t {
  number,   ///< as it is written: one element
  one_hot,  ///< a category as a 1 among 0s: as many elements as there are categories
  index,    ///< a category as its number 0, 1, ...: one element
};

/// What a column is for.
enum class ColumnRole : std::uint8_t { feature, target, unused };

/// A column as read_csv found it. Members may be changed before the format is applied to another file.
struct TAPEGRAD_API CsvColumn {
  std::string name;  ///< "column 3" in a file without a header; one that is not read may have none
  ColumnRole role = ColumnRole::feature;  ///< what the column is for
  ColumnKind kind = ColumnKind::number;   ///< how its fields become numbers
  /// Its texts, each once; by value where all of them are numbers, otherwise by their bytes.
  std::vector<std::string> categories{};
  /// What a missing field becomes under Missing::mean: a number, or the number of a category.
  double fill = 0;

  /// Elements of one field: the number of categories for one_hot, otherwise 1.
  std::int64_t width() const;
};

struct Table;

/// How a file's text becomes tensors, as it was learnt from one file, so that others become tensors that mean the same.
struct TAPEGRAD_API CsvFormat {
  std::vector<CsvColumn> columns;            ///< all of the file, in its order
  Missing missing = Missing::error;          ///< what becomes of rows that lack a value
  std::vector<std::string> missing_texts{};  ///< what says that there is no value
  bool header = true;                        ///< whether the first row holds names
  char delimiter = ',';                      ///< between fields
  Dtype dtype = f32;                         ///< of features, and of targets that are no class indices

  /// Reads another file: the same numbers for the same categories, and what was learnt for values that are missing.
  /// With a header, columns are found by their names, in any order, and others are not read. Where a file lacks all
  /// targets, as data do of which they are to be predicted, its table has none; without a header, it then has as many
  /// columns fewer.
  ///
  /// Throws as read_csv, FileError for a column that is missing and for a category that the format does not have, and
  /// ArgumentError for a format that cannot be: columns that are read and have no name, or one name, categories that
  /// are missing or given twice, a fill that is none of them, more than a thousand missing_texts, and a long name of
  /// many categories.
  Table read(const std::string& path) const;

  /// One name for each column of the tensor: that of the file's column, or "NAME=CATEGORY" for each category of
  /// one_hot.
  std::vector<std::string> feature_names() const;
  std::vector<std::string> target_names() const;
  /// The categories of the target, where there is one, as `index` or `one_hot`; otherwise nothing.
  const std::vector<std::string>& classes() const;

  /// The format as a text in JSON, to be saved with the weights of a network that was trained on the table
  /// (`nn::save_state(path, net.state(), {{"table", format.text()}})`), and the format of such a text. `parse` throws
  /// ArgumentError for any other text.
  std::string text() const;
  static CsvFormat parse(std::string_view text);
};

/// How a table is to be read.
struct CsvOptions {
  std::vector<ColumnRef> targets{};  ///< what is to be learnt; the other columns are features
  std::vector<ColumnRef> one_hot{};  ///< columns of categories, targets or features, see ColumnKind
  std::vector<ColumnRef> index{};    ///< likewise
  /// Columns that are not read, such as the number of a row. A name stands for all columns that have it.
  std::vector<ColumnRef> unused{};
  Missing missing = Missing::error;  ///< what becomes of rows that lack a value
  /// What says that there is no value, beside nothing at all. What is written within quotes is never missing.
  std::vector<std::string> missing_texts{"NA", "NaN", "nan", "null", "NULL"};
  bool header = true;    ///< the first row holds the names of the columns
  char delimiter = ',';  ///< between fields
  Dtype dtype = f32;     ///< of the features, and of targets that are no class indices: f32 or f64
  /// A column of more categories is not read as one_hot: that many columns of a tensor are seldom meant.
  std::int64_t most_categories = 100;
};

/// A file of rows and columns as tensors.
struct TAPEGRAD_API Table {
  Tensor features;  ///< [rows, elements of all feature columns]
  /// i64 [rows] where the only target is of the kind `index`; otherwise [rows, elements of all target columns].
  /// Undefined where there are no targets.
  Tensor targets;
  CsvFormat format;                 ///< how the file was read
  std::vector<std::int64_t> lines;  ///< where each row starts in the file; the first line is 1
  std::int64_t dropped = 0;         ///< rows that were left out, since they lack a value

  /// The rows as items, with the number of classes where the target has categories. Throws ArgumentError for a table
  /// without targets.
  Dataset dataset() const;
};

/// Reads a file of comma-separated values (RFC 4180) and learns its format: which columns there are, and the
/// categories of those that are named as such.
///
///     const nn::Table table = nn::read_csv("iris.csv", {.targets = {"species"}, .index = {"species"}});
///     nn::DataLoader loader(table.dataset(), {.batch = 10});
///     const nn::Table more = table.format.read("more.csv");   // in the same format
///
/// Fields may stand within quotes ("), and then hold delimiters, line breaks, and quotes that are written as two. Rows
/// end with LF, CR LF or CR; a mark for UTF-8 in front is skipped, and so are lines without text. Other than in RFC
/// 4180, blanks around a field are not part of it. There may be 100,000 columns. Numbers are written with a decimal
/// point, whatever the locale, as 12, -0.5, +3 or 1.5e-3; each becomes the nearest f64, and that the nearest f32.
/// Names and categories are UTF-8.
///
/// Throws FileError that names the file, the line and the column (the first is 1) for a row of another number of
/// fields than the first, a field that is no number, not finite or beyond the dtype, a name that is given twice, or
/// empty of a column that is read, numbers as the names of all columns of numbers (that row will be data, see
/// CsvOptions::header; 0, 1, ... are names, and so are three that rise, as years), a missing value, quotes that do not
/// fit and a byte 0; FileError for a column of which f32 would round numbers by over a thousandth of what lies between the
/// least and the largest; FileError for a file that is missing, is no regular file, or holds no rows; ArgumentError for
/// options that do not fit each other or the columns; OutOfMemory where there is no memory. Takes the memory of the
/// file beside that of the result.
TAPEGRAD_API Table read_csv(const std::string& path, const CsvOptions& options = {});

}  // namespace tapegrad::nn
