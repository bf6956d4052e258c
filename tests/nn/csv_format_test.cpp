// Formats: applied to other files, changed, saved as texts; and options that do not fit.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/csv.h>

#include <boost/test/unit_test.hpp>

#include "csv_support.h"

namespace csv_format_test {

using namespace tapegrad;
using nn::ColumnRole;
using nn::CsvFormat;
using nn::Missing;
using test::mentions;
using Texts = std::vector<std::string>;
using Floats = std::vector<float>;
using Indices = std::vector<std::int64_t>;

namespace {

struct Fixture : test::CsvFixture {
  const std::string text = "id,x,c,t\n1,1,b,no\n2,3,a,yes\n3,,b,no\n";
  const CsvFormat format =
      read(text,
           {.targets = {"t"}, .one_hot = {"c"}, .index = {"t"}, .unused = {"id"}, .missing = Missing::mean})
          .format;

  /// That nothing can be done with the changed format.
  template <class Change>
  void check_impossible_format(Change&& change, const std::string& part) const {
    CsvFormat changed = format;
    change(changed);
    BOOST_TEST_CONTEXT(part) {
      BOOST_CHECK_EXCEPTION(apply(changed, text), ArgumentError, mentions("CsvFormat::read: ", part));
      BOOST_CHECK_EXCEPTION(changed.text(), ArgumentError, mentions("CsvFormat::text: ", part));
    }
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(csv_format, Fixture)

BOOST_AUTO_TEST_CASE(another_file_is_read_alike_whatever_the_order_of_its_columns) {
  const nn::Table t = apply(format, "t,more,c,x\nyes,?,a,7\nno,?,a,\n");
  BOOST_TEST(t.features.to_vector<float>() == (Floats{7, 1, 0, 2, 1, 0}));  // 2 is the mean in the first file
  BOOST_TEST(t.targets.to_vector<std::int64_t>() == (Indices{1, 0}));
  BOOST_TEST(t.format.text() == format.text());
  BOOST_TEST(t.dataset().classes() == 2);
}

BOOST_AUTO_TEST_CASE(targets_may_be_missing_where_they_are_to_be_predicted) {
  const nn::Table t = apply(format, "x,c\n7,a\n");
  BOOST_TEST(!t.targets.defined());
  BOOST_TEST(t.features.to_vector<float>() == (Floats{7, 1, 0}));
  BOOST_CHECK_EXCEPTION(t.dataset(), ArgumentError, mentions("no targets"));
  // Where the column is there, and empty, rows are read by a format without it.
  BOOST_TEST(apply(format, "x,c,t\n7,a,\n7,a,no\n").dropped == 1);
  CsvFormat features = format;
  features.columns[3].role = ColumnRole::unused;
  BOOST_TEST(apply(features, "x,c,t\n7,a,\n7,a,no\n").features.to_vector<float>() ==
             (Floats{7, 1, 0, 7, 1, 0}));
  // Some of several do not do.
  const CsvFormat two = read("x,s,t\n1,2,3\n", {.targets = {"s", "t"}}).format;
  BOOST_TEST(!apply(two, "x\n1\n").targets.defined());
  check_refused_by(two, "x,t\n1,2\n",
                   "line 1 lacks the column 's', which the format has; the columns here are 'x', 't'");
}

BOOST_AUTO_TEST_CASE(files_without_a_header_have_all_columns_or_all_but_the_targets) {
  const CsvFormat bare =
      read("9,1,b,5\n9,2,a,6\n", {.targets = {2}, .index = {3}, .unused = {1}, .header = false}).format;
  const nn::Table whole = apply(bare, "0,4,a,7\n");
  BOOST_TEST(whole.features.to_vector<float>() == (Floats{0, 7}));
  BOOST_TEST(whole.targets.to_vector<float>() == (Floats{4}));
  const nn::Table features = apply(bare, "0,a,7\n");
  BOOST_TEST(features.features.to_vector<float>() == (Floats{0, 7}));
  BOOST_TEST(!features.targets.defined());
  check_refused_by(bare, "0,a\n",
                   "line 1 has 2 fields, expected the 4 columns of the format, or 3 without its targets");
  const CsvFormat plain = read("1,2\n", {.header = false}).format;
  check_refused_by(plain, "1\n", "line 1 has 1 fields, expected the 2 columns of the format");
}

BOOST_AUTO_TEST_CASE(columns_that_are_not_read_need_no_name) {
  // Of one name there may be several that are not read.
  for (const nn::CsvOptions& options : {nn::CsvOptions{.targets = {"t"}, .unused = {"note"}},
                                        nn::CsvOptions{.targets = {"t"}, .unused = {2, 4}}}) {
    const CsvFormat notes = read("x,note,t,note\n1,?,2,\n3,!,4,-\n", options).format;
    BOOST_TEST(notes.feature_names() == Texts{"x"});
    BOOST_TEST(apply(CsvFormat::parse(notes.text()), "note,t,note,x\n,2,,1\n").features.to_vector<float>() ==
               Floats{1});
  }
  const CsvFormat unnamed = read(",x,,t\n0,1,a,2\n1,3,b,4\n", {.targets = {"t"}, .unused = {1, 3}}).format;
  BOOST_TEST(unnamed.feature_names() == (Texts{"x"}));
  const CsvFormat back = CsvFormat::parse(unnamed.text());
  for (const char* other : {"t,x\n6,5\n", ",x,,t\n7,5,z,6\n", "x,,t,,\n5,,6,,\n"})
    BOOST_TEST(apply(back, other).features.to_vector<float>() == (Floats{5}));
}

BOOST_AUTO_TEST_CASE(names_that_rise_or_fall_are_names) {
  BOOST_TEST(read("0,1,2\n7,8,9\n", {.targets = {"2"}}).features.to_vector<float>() == (Floats{7, 8}));
  BOOST_TEST(read("1,2\n7,8\n", {}).format.feature_names() == (Texts{"1", "2"}));
  BOOST_TEST(read("2019,2020,2021\n7,8,9\n", {}).format.feature_names() == (Texts{"2019", "2020", "2021"}));
  for (const char* names : {"2020,2019,2018", "-2,-1,0", "400.5,401,401.25"})
    BOOST_TEST(read(std::string(names) + "\n7,8,9\n", {}).features.size() == 3);
  BOOST_TEST(read("label,1.5,0.5\n7,8,9\n", {}).format.feature_names() == (Texts{"label", "1.5", "0.5"}));
  BOOST_TEST(read("a,x,0.5\n7,8,9\n", {.index = {"a"}, .unused = {3}}).format.feature_names() ==
             (Texts{"a", "x"}));
}

BOOST_AUTO_TEST_CASE(what_a_file_has_otherwise_is_named) {
  check_refused_by(format, "x,c,t\n1,c,no\n",
                   "line 2, column 2 ('c') holds 'c', which is no category of the format; it has 'a', 'b'");
  check_refused_by(
      format, "x,c,t\n1,a,no\n1,a,\"ma\"\"y\nbe\"\n",
      "line 3, column 3 ('t') holds 'ma\"y\\x0abe', which is no category of the format; it has 'no', 'yes'");
  check_refused_by(
      format, "x,c,t\none,a,no\n",
      "line 2, column 1 ('x') holds 'one', which is no number; the column holds numbers in this format");
  check_refused_by(format, "y,t\n1,no\n",
                   "line 1 lacks the columns 'x', 'c', which the format has; the columns here are 'y', 't'");
  check_refused_by(format, "x,c,x\n1,a,1\n", "line 1, column 3 ('x') has the name of another column");
  check_refused_by(format, "", "holds no rows");
  check_refused_by(format, "x,c,t\n", "holds no rows");
}

BOOST_AUTO_TEST_CASE(a_format_comes_back_from_its_text) {
  const CsvFormat back = CsvFormat::parse(format.text());
  BOOST_TEST(back.text() == format.text());
  BOOST_TEST(back.feature_names() == (Texts{"x", "c=a", "c=b"}));
  BOOST_TEST(back.classes() == (Texts{"no", "yes"}));
  BOOST_TEST(apply(back, text).features.to_vector<float>() ==
             apply(format, text).features.to_vector<float>());

  const CsvFormat other = read("\"\xc3\xa4,\"\"\"\t0.1\n1\t3e-5\n", {.missing = Missing::drop_row,
                                                                     .missing_texts = {"", "\n"},
                                                                     .header = true,
                                                                     .delimiter = '\t',
                                                                     .dtype = f64})
                              .format;
  const CsvFormat again = CsvFormat::parse(other.text());
  BOOST_TEST(again.text() == other.text());
  BOOST_TEST(again.columns[0].name == "\xc3\xa4,\"");
  BOOST_TEST(again.columns[1].fill == 3e-5);
  BOOST_TEST((again.missing == Missing::drop_row && again.delimiter == '\t' && again.dtype == f64));
  BOOST_TEST(again.missing_texts == other.missing_texts);
}

BOOST_AUTO_TEST_CASE(texts_that_are_no_format_are_refused) {
  const std::string whole = format.text();
  for (std::size_t size = 0; size < whole.size(); ++size)
    BOOST_CHECK_EXCEPTION(CsvFormat::parse(whole.substr(0, size)), ArgumentError,
                          mentions("CsvFormat::parse: the text is no format of a table: "));
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int bit : {1, 4, 128}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      try {
        BOOST_TEST(CsvFormat::parse(changed).text() != whole);
      } catch (const ArgumentError& e) {
        BOOST_TEST(std::string_view(e.what()).starts_with("CsvFormat::parse: "), e.what());
      }
    }
  const auto refuse = [&](const std::string& from, const std::string& to, const std::string& part) {
    std::string changed = whole;
    changed.replace(changed.find(from), from.size(), to);
    BOOST_CHECK_EXCEPTION(CsvFormat::parse(changed), ArgumentError, mentions("CsvFormat::parse: ", part));
  };
  refuse("one_hot", "two_hot", "the value 'two_hot', expected one of number, one_hot, index");
  refuse("\"delimiter\":\",\"", "\"delimiter\":\",,\"", "the delimiter ',,' is no single byte");
  refuse("\"fill\":2}", "\"fill\":null}", "null is the value of 'fill'");
  refuse("\"fill\":2}", "\"fill\":1e999}", "number overflow");
  refuse("[\"no\",\"yes\"]", "[]", "column 't': it has no categories");
  refuse("\"columns\"", "\"rows\"", "it has the name 'rows', unknown or given twice");
  refuse("\"fill\":2}", "\"fill\":2,\"kind\":\"number\"}", "it has the name 'kind', unknown or given twice");
  refuse("\"header\":true,", "", "it lacks 'header'");
  refuse(",\"fill\":2}", "}", "it lacks 'fill'");
  refuse("[\"a\",\"b\"]", "\"a\"", "a text is the value of 'categories'");
  refuse("[\"a\",\"b\"]", "[[]]", "a list is the value of 'categories'");
  refuse("true", "1", "a number is the value of 'header'");
  BOOST_CHECK_EXCEPTION(CsvFormat::parse("[]"), ArgumentError, mentions("a list is the value of nothing"));
  BOOST_CHECK_EXCEPTION(CsvFormat::parse("1"), ArgumentError, mentions("a number is the value of nothing"));
  BOOST_CHECK_EXCEPTION(CsvFormat::parse(std::string(1 << 20, '[')), ArgumentError, mentions("a list is"));
}

BOOST_AUTO_TEST_CASE(formats_that_cannot_be_are_refused) {
  check_impossible_format([](CsvFormat& f) { f.columns[1].name.clear(); },
                          "a column of the format has no name");
  check_impossible_format([](CsvFormat& f) { f.columns[1].name = "c"; },
                          "the format has the column 'c' twice");
  check_impossible_format([](CsvFormat& f) { f.columns[1].categories = {"a"}; },
                          "column 'x': it has categories, and is of the kind number");
  check_impossible_format([](CsvFormat& f) { f.columns[2].categories.clear(); },
                          "column 'c': it has no categories");
  check_impossible_format(
      [](CsvFormat& f) {
        f.columns[2].categories = {"a", "b", "a"};
      },
      "column 'c': it has the category 'a' twice");
  for (const double fill : {-1.0, 2.0, 0.5})
    check_impossible_format([&](CsvFormat& f) { f.columns[2].fill = fill; }, "is the number of no category");
  for (const double fill :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    check_impossible_format([&](CsvFormat& f) { f.columns[1].fill = fill; }, "is not finite");
  check_impossible_format([](CsvFormat& f) { f.dtype = i64; }, "dtype i64");
  check_impossible_format([](CsvFormat& f) { f.delimiter = '"'; }, "'\"' cannot be a delimiter");
  check_impossible_format([](CsvFormat& f) { f.columns.clear(); }, "no column is left for the features");
  check_impossible_format([](CsvFormat& f) { f.columns[1].role = ColumnRole::target; },
                          "the target 't' is a class index and must be the only target; there are 2");
  // What would take much time or memory for a small text.
  check_impossible_format([](CsvFormat& f) { f.missing_texts.assign(1001, "NA"); },
                          "1001 texts say that there is no value; at most 1000");
  check_impossible_format(
      [](CsvFormat& f) {
        f.columns[2].name.assign(100'000, 'c');
        f.columns[2].categories.clear();
        for (int i = 0; i < 1000; ++i) f.columns[2].categories.push_back(std::to_string(i));
      },
      "...': its name has 100000 bytes, which are too many for 1000 categories");
  CsvFormat latin = format;
  latin.missing_texts = {"\xe4"};
  BOOST_CHECK_EXCEPTION(latin.text(), ArgumentError, mentions("CsvFormat::text: the text", "is not UTF-8"));
}

BOOST_AUTO_TEST_CASE(options_that_do_not_fit_are_refused) {
  const std::string three = "a,b,c\n1,2,3\n";
  check_impossible(three, {.targets = {"d"}},
                   "targets names the column 'd', which '" + path + "' does not have; it has 'a', 'b', 'c'");
  for (const int number : {4, -4, 0})
    check_impossible(three, {.index = {number}},
                     "index names the column " + std::to_string(number) + "; the 3 columns of '" + path +
                         "' are 1 ... 3, or -1 from the end");
  check_impossible(three, {.targets = {"a"}, .unused = {1}},
                   "the column 'a' is named by targets and by unused");
  check_impossible(three, {.one_hot = {"a"}, .index = {-3}},
                   "the column 'a' is named by one_hot and by index");
  check_impossible(three, {.targets = {1, 1}}, "the column 'a' is named by targets and by targets");
  check_impossible(three, {.targets = {1, 2}, .unused = {3}}, "no column is left for the features");
  check_impossible(three, {.targets = {1, 2}, .index = {2}},
                   "the target 'b' is a class index and must be the only");
  check_impossible(three, {.dtype = i64}, "dtype i64; numbers of a table are f32 or f64");
  check_impossible(three, {.most_categories = 0}, "most_categories 0; there must be at least one");
  for (const char delimiter : {'"', '\n', '\r', '\0'})
    check_impossible(three, {.delimiter = delimiter}, "cannot be a delimiter");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace csv_format_test
