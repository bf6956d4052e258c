// Files that are no tables: each is refused with its line and column, in a small multiple of its size.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/csv.h>

#include <boost/test/unit_test.hpp>

#include "csv_support.h"
#include "folders.h"
#include "memory_support.h"

namespace csv_hostile_test {

using namespace tapegrad;
using nn::Missing;
using test::mentions;

namespace {

std::string repeated(const std::string& part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(csv_hostile, test::CsvFixture)

BOOST_AUTO_TEST_CASE(rows_of_another_length_are_named) {
  check_refused("a,b\n1,2\n3\n", "line 3 has 1 field, expected 2 as in the first row; is ',' the delimiter?");
  check_refused("a,b\n1,2\n\n3,4,5\n", "line 4 has 3 fields, expected 2");
  check_refused("a,b\n1,2,\n", "line 2 has 3 fields");
  check_refused("a,b\n\"1\n\",2\n1\n", "line 2, column 1 ('a') holds '1\\x0a', which is no number");
  check_refused("a,\"b\nc\"\n1,2\n1\n", "line 4 has 1 field");
}

BOOST_AUTO_TEST_CASE(fields_that_are_no_numbers_are_named) {
  const std::string advice = "name a column of categories in CsvOptions::one_hot or index";
  for (const char* field :
       {"x", "1x", "1 2", "0x1p3", "1e", "--1", "+-1", "1_000", "12.5.6", "1'5", "e5", "."})
    check_refused(std::string("a,b\n1,2\n3,") + field + "\n",
                  std::string("line 3, column 2 ('b') holds '") + field + "', which is no number; " + advice);
  check_refused("a\n1\n" + std::string(1000, 'x') + "\n",
                "line 3, column 1 ('a') holds '" + std::string(40, 'x') + "...', which is no number");
  check_refused("a;b\n1,5;2\n", "line 2, column 1 ('a') holds '1,5', which is no number",
                nn::CsvOptions{.delimiter = ';'});
  check_refused("1\nx\n", "line 2, column 1 ('column 1') holds 'x'", nn::CsvOptions{.header = false});
  const nn::CsvOptions no_texts{.missing_texts = {}};
  check_refused(
      "a\nnan\n",
      "line 2, column 1 ('a') holds 'nan', which is no finite number; name it in CsvOptions::missing_texts",
      no_texts);
  for (const char* field : {"inf", "-infinity", "1e400", "1e39"})
    check_refused(std::string("a\n") + field + "\n", "which is no finite number of f32");
  check_refused("a\n1e39\n",
                "line 2, column 1 ('a') holds '1e39', which is no finite number of f32; f64 has room for it");
  check_refused("a\n-1e400\n",
                "holds '-1e400', which is no finite number of f64"
                "",
                nn::CsvOptions{.dtype = f64});
  check_refused("a\n1" + std::string(400, '0') + "e-2\n", "", nn::CsvOptions{.dtype = f64});
}

BOOST_AUTO_TEST_CASE(quotes_that_do_not_fit_are_named) {
  check_refused("a,b\n1,2\n3,\"4\n5,6\n", "line 3, column 2 starts with a quote that is never closed");
  check_refused("a,b\n\"1\",\"2\n\n3\"\"\n", "line 2, column 2 starts with a quote that is never closed");
  check_refused("a,b\n1,2\"\n", "line 2, column 2 has a quote within a field that does not start with one");
  check_refused("a,b\n\"1\"x,2\n",
                "line 2, column 1 goes on behind its closing quote with 'x', expected the delimiter ','");
  check_refused("a,b\n\"1\n2\" \"3\",\"\n", "line 2, column 1 goes on behind its closing quote with '\"'");
  check_refused("a,\"b\n\"c\n", "line 1, column 2 goes on behind its closing quote");
  check_refused("\"", "line 1, column 1 starts with a quote");
}

BOOST_AUTO_TEST_CASE(bytes_that_no_text_has_are_named) {
  using namespace std::string_literals;
  check_refused("a,b\n1,\0\n"s, "line 2, column 2 holds a byte 0");
  check_refused("a,b\n1,\"x\0\"\n"s, "line 2, column 2 holds a byte 0");
  check_refused("a\0,b\n"s, "line 1, column 1 holds a byte 0");
  check_refused(std::string(1000, '\0'), "line 1, column 1 holds a byte 0");
  for (const std::string& mark : {"\xff\xfe"s, "\xfe\xff"s, "\xff\xfe\0\0"s, "\0\0\xfe\xff"s})
    check_refused(mark + "a\0\n\0"s, "is encoded as UTF-16 or UTF-32; save it as UTF-8");
  check_refused("a,caf\xe9\n1,2\n", "line 1, column 2 has a name that is not UTF-8");
  check_refused("a,b\n1,caf\xe9\n", "line 2, column 2 ('b') holds a text that is not UTF-8",
                nn::CsvOptions{.index = {"b"}});
}

BOOST_AUTO_TEST_CASE(headers_that_do_not_name_columns_are_named) {
  check_refused("", "holds no rows");
  check_refused("\n \n\r\n", "holds no rows");
  check_refused("\xef\xbb\xbf", "holds no rows");
  check_refused("a,b\n", "holds no rows");
  check_refused("a,,c\n1,2,3\n", "line 1, column 2 has no name; name it, leave it out by its number in");
  check_refused("a,,\n1,2,3\n", "line 1, column 3 has no name", {.unused = {2}});
  check_refused("a,b, a\n1,2,3\n", "line 1, column 3 ('a') has the name of another column");
  check_refused("a,b,a\n1,2,3\n", "line 1, column 3 ('a') has the name of another column", {.unused = {1}});
  check_refused("a,b,a\n1,2,3\n", "names of columns that are read must differ", {.targets = {"a"}});
  // Rows of data in its place.
  check_refused("5.1,3.5\n4.9,3\n", "line 1 has numbers as the names of all columns of numbers");
  check_refused("5.1,3.5,a\n4.9,3,b\n", "say that the file has no header", {.targets = {-1}, .index = {-1}});
  check_refused("2,1,3\n4,3,5\n", "or give it one");
  check_refused("23,85\n25,90\n", "and will be data", {.targets = {2}});
  check_refused("7,a\n8,b\n", "and will be data", {.one_hot = {2}});
  check_refused("0,0,1,5\n0,1,1,6\n", "line 1 has numbers as the names of all columns of numbers");
  check_refused("0,0,x\n0,1,y\n", "name them in CsvOptions::unused; of a row of data, say that",
                {.index = {1, 2, 3}});
}

BOOST_AUTO_TEST_CASE(a_truncated_file_is_refused_or_has_the_rows_before) {
  std::string whole = test::read_file(test::in_source("tools/data/tables/penguins.csv")).substr(0, 600);
  whole += "\r\nGentoo,\"Bis\"\"coe\n,\",46.1,13.2,211,4500,female";
  const nn::CsvOptions options{
      .targets = {"body_mass_g"}, .one_hot = {"species", "island", "sex"}, .missing = Missing::mean};
  const nn::Table all = read(whole, options);
  BOOST_TEST(all.lines.size() > 10U);
  std::size_t refused = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    try {
      const nn::Table t = read(whole.substr(0, size), options);
      BOOST_TEST(t.lines.size() <= all.lines.size());
      // What stands in rows that are whole is the same; the last one may have lost digits.
      for (std::size_t i = 0; i + 1 < t.lines.size(); ++i) {
        BOOST_TEST(t.lines[i] == all.lines[i]);
        BOOST_TEST(t.targets.values<float>()[i] == all.targets.values<float>()[i]);
      }
    } catch (const FileError& e) {
      ++refused;
      BOOST_TEST(std::string_view(e.what()).find("'" + path + "' ") == 0U, e.what());
    } catch (const ArgumentError&) {
      BOOST_TEST(size < whole.find('\n'));  // the header lacks columns that the options name
    }
  }
  BOOST_TEST(refused > 100U);
}

BOOST_AUTO_TEST_CASE(flipped_bits_give_another_table_or_an_error) {
  const std::string whole = "a,b,\"c\"\"\"\n1,x,-2.5e1\n2,\"y,\nz\",NA\n3.25,x,7\n";
  const nn::CsvOptions options{.targets = {3}, .index = {2}, .missing = Missing::mean};
  std::size_t read_alike = 0;
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      try {
        const nn::Table t = read(changed, options);
        BOOST_TEST(static_cast<std::size_t>(t.features.dim(0)) == t.lines.size());
        BOOST_TEST(t.features.dim(1) == static_cast<std::int64_t>(t.format.feature_names().size()));
        ++read_alike;
      } catch (const FileError&) {
      } catch (const ArgumentError&) {  // fewer columns, so that the third is none
      }
    }
  BOOST_TEST(read_alike > 20U);
}

BOOST_AUTO_TEST_CASE(rows_without_end) {
  check_refused("a\n" + std::string(1 << 20, '1') + "\n", "is no finite number of f32");
  check_refused("a\n\"" + std::string(1 << 20, '\n') + "\n",
                "line 2, column 1 starts with a quote that is never");
  check_refused(std::string(1 << 20, ','), "line 1 has more than 100000 fields; is ',' the delimiter?",
                nn::CsvOptions{.header = false});
  check_refused("a,b\n1" + std::string(1 << 20, ','), "line 2 has more than 100000 fields");
  check_refused("a,b\n1" + std::string(1 << 10, ','), "line 2 has 1025 fields, expected 2");
  // As many as there may be are read.
  std::string widest = "0" + repeated(",1", 99'999) + "\n";
  const nn::Table t = read(widest, {.header = false});
  BOOST_TEST(t.features.dim(1) == 100'000);
  BOOST_TEST(t.features.values<float>()[0] == 0);
  BOOST_TEST(t.features.values<float>()[99'999] == 1);
}

#if TAPEGRAD_COUNT_ALLOCATIONS
BOOST_AUTO_TEST_CASE(memory_is_a_small_multiple_of_the_size_of_the_file) {
  constexpr std::size_t kSize = 4'000'000;
  const auto check = [&](const char* what, const std::string& text, const nn::CsvOptions& options,
                         double most) {
    test::write_file(path, text);
    const double times =
        test::peak_of([&] { nn::read_csv(path, options); }) / static_cast<double>(text.size());
    BOOST_TEST_MESSAGE(what << ": " << times << " times the size");
    BOOST_TEST(times < most, what << " takes " << times << " times the size, expected less than " << most);
  };
  check("rows of numbers", "a,b,c,d\n" + repeated("1,2.25,3,4\n", kSize / 11), {}, 4);
  check("rows of one digit", "a\n" + repeated("1\n", kSize / 2), {}, 12);
  check("a field", "a\n\"" + std::string(kSize, 'x') + "\"\n", {.index = {"a"}}, 6);
  check("a quote that is not closed", "a\n\"" + std::string(kSize, 'x'), {}, 4);
  check("columns beyond number", std::string(kSize, ','), {.header = false}, 4);
  check("line ends", std::string(kSize, '\n'), {}, 4);
  std::string categories = "a\n";
  while (categories.size() < kSize) categories += std::to_string(categories.size()) + "\n";
  check("a category in each row", categories, {.index = {"a"}}, 40);
}
#endif

BOOST_AUTO_TEST_SUITE_END()

}  // namespace csv_hostile_test
