// What read_csv makes of files that are sound: every spelling, targets, categories, values that are missing.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/data.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/train/evaluate.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/optim/rules.h>

#include <boost/test/unit_test.hpp>

#include "csv_support.h"
#include "folders.h"

namespace csv_test {

using namespace tapegrad;
using nn::Missing;
using test::mentions;
using Texts = std::vector<std::string>;
using Floats = std::vector<float>;
using Indices = std::vector<std::int64_t>;

namespace {

Floats features_of(const nn::Table& t) { return t.features.to_vector<float>(); }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(csv, test::CsvFixture)

BOOST_AUTO_TEST_CASE(numbers_that_f32_would_round_to_a_few_are_refused) {
  const std::string times = "time,x\n1700000000.5,1\n1700000010.25,2\n1700000100,3\n";
  BOOST_CHECK_EXCEPTION(
      read(times), FileError,
      mentions("'time'", "1700000000.5 to 1700000100", "f32 rounds by up to", "CsvOptions::dtype"));
  BOOST_TEST(read(times, {.dtype = f64}).features.to_vector<double>()[2] == 1700000010.25);
  BOOST_TEST(read(times, {.unused = {"time"}}).features.dim(1) == 1);
  // Whole numbers that f32 holds, a column of one number, and small errors beside large differences.
  for (const char* exact : {"a\n16777000\n16777001\n", "a\n0.1\n0.1\n", "a\n0.1\n1700000000.5\n"})
    BOOST_CHECK_NO_THROW(read(exact));
}

BOOST_AUTO_TEST_CASE(numbers_become_a_tensor_of_features) {
  const nn::Table t = read("a,b,c\n1,-2.5,3e2\n+4,.5,-0\n");
  BOOST_TEST((t.features.shape() == Shape{2, 3}));
  BOOST_TEST((t.features.dtype() == f32));
  BOOST_TEST(features_of(t) == (Floats{1, -2.5, 300, 4, .5, 0}));
  BOOST_TEST(t.format.feature_names() == (Texts{"a", "b", "c"}));
  BOOST_TEST(t.format.target_names().empty());
  BOOST_TEST(!t.targets.defined());
  BOOST_TEST(t.lines == (Indices{2, 3}));
  BOOST_TEST(t.dropped == 0);
  BOOST_CHECK_EXCEPTION(t.dataset(), ArgumentError, mentions("no targets", "CsvOptions::targets"));
}

BOOST_AUTO_TEST_CASE(every_spelling_of_rows_and_fields_is_read) {
  const nn::CsvOptions options{.index = {"b"}};
  const nn::Table expected = read("a,b\n1,2\n3,4\n", options);
  BOOST_TEST(features_of(expected) == (Floats{1, 0, 3, 1}));
  for (const char* text :
       {"a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n", "a,b\r1,2\r3,4\r",
        "\xef\xbb\xbf"
        "a,b\n1,2\n3,4\n",
        "\n\na,b\n\n1,2\n  \n3,4\n\n\n", " a , b \n 1\t, 2\n3 ,4 \n",
        "\"a\",\"b\"\n\"1\",\"2\"\n\"3\",\"4\"\n", " \"a\" ,\"b\"\r\n 1, \"2\" \r\n\"3\" ,4"}) {
    BOOST_TEST_CONTEXT(text) {
      const nn::Table t = read(text, options);
      BOOST_TEST(features_of(t) == features_of(expected));
      BOOST_TEST(t.format.text() == expected.format.text());
    }
  }
}

BOOST_AUTO_TEST_CASE(quotes_hold_delimiters_line_breaks_and_quotes) {
  const nn::Table t =
      read("a,\"the \"\"b\"\"\"\n1,\"x,y\"\n2,\"x\r\ny\"\n3,\"\"\"\"\n4,\"\"\n5,\" \"\n6,\"x,y\"\n",
           {.index = {2}});
  BOOST_TEST(t.format.feature_names() == (Texts{"a", "the \"b\""}));
  BOOST_TEST(t.format.columns[1].categories == (Texts{"", " ", "\"", "x\r\ny", "x,y"}));
  BOOST_TEST(features_of(t) == (Floats{1, 4, 2, 3, 3, 2, 4, 0, 5, 1, 6, 4}));
  BOOST_TEST(t.lines == (Indices{2, 3, 5, 6, 7, 8}));
}

BOOST_AUTO_TEST_CASE(other_delimiters) {
  BOOST_TEST(features_of(read("a;b\n1;2\n", {.delimiter = ';'})) == (Floats{1, 2}));
  BOOST_TEST(features_of(read("a\tb\n1\t 2\n", {.delimiter = '\t'})) == (Floats{1, 2}));
  BOOST_TEST(features_of(read("a b\n1 2\n", {.delimiter = ' '})) == (Floats{1, 2}));
  // Blanks that delimit are no blank line.
  const nn::Table t = read("\t\n1\t2\n", {.missing = Missing::mean, .header = false, .delimiter = '\t'});
  BOOST_TEST(features_of(t) == (Floats{1, 2, 1, 2}));
}

BOOST_AUTO_TEST_CASE(columns_of_files_without_a_header_go_by_numbers) {
  const nn::Table t = read("1,2,x\n3,4,y\n", {.targets = {-1}, .index = {3}, .unused = {1}, .header = false});
  BOOST_TEST(features_of(t) == (Floats{2, 4}));
  BOOST_TEST(t.targets.to_vector<std::int64_t>() == (Indices{0, 1}));
  BOOST_TEST(t.format.feature_names() == (Texts{"column 2"}));
  BOOST_TEST(t.format.target_names() == (Texts{"column 3"}));
  BOOST_TEST(t.lines == (Indices{1, 2}));
}

BOOST_AUTO_TEST_CASE(a_name_that_is_a_number_is_a_name) {
  nn::ColumnRef two("2");
  two.number = 2;
  const nn::Table named = read("0,1,2\n5,6,7\n", {.targets = {two}});
  BOOST_TEST(named.format.target_names() == (Texts{"2"}));
  BOOST_TEST(named.targets.to_vector<float>() == (Floats{7}));
  BOOST_TEST(read("a,b,c\n5,6,7\n", {.targets = {two}}).format.target_names() == (Texts{"b"}));
  BOOST_TEST(read("5,6,7\n", {.targets = {two}, .header = false}).format.target_names() ==
             (Texts{"column 2"}));
  BOOST_TEST(read("0,1,2\n5,6,7\n", {.targets = {2}}).format.target_names() == (Texts{"1"}));
}

BOOST_AUTO_TEST_CASE(targets_are_class_indices_numbers_or_one_hot) {
  const std::string text = "n,kind,size\n1,b,10\n2,a,20\n3,b,30\n";
  const nn::Table classes = read(text, {.targets = {"kind"}, .index = {"kind"}});
  BOOST_TEST((classes.targets.shape() == Shape{3}));
  BOOST_TEST(classes.targets.to_vector<std::int64_t>() == (Indices{1, 0, 1}));
  BOOST_TEST(classes.format.classes() == (Texts{"a", "b"}));
  BOOST_TEST(classes.dataset().classes() == 2);
  BOOST_TEST((classes.dataset().target_shape() == Shape{}));

  const nn::Table number = read(text, {.targets = {"size"}, .unused = {"kind"}});
  BOOST_TEST((number.targets.shape() == Shape{3, 1}));
  BOOST_TEST(number.targets.to_vector<float>() == (Floats{10, 20, 30}));
  BOOST_TEST(number.format.classes().empty());
  BOOST_TEST(number.dataset().classes() == 0);

  const nn::Table both = read(text, {.targets = {"size", "kind"}, .one_hot = {"kind"}, .dtype = f64});
  BOOST_TEST((both.targets.dtype() == f64));
  BOOST_TEST((both.targets.shape() == Shape{3, 3}));  // in the file's order
  BOOST_TEST(both.targets.to_vector<double>() == (std::vector<double>{0, 1, 10, 1, 0, 20, 0, 1, 30}));
  BOOST_TEST(both.format.target_names() == (Texts{"kind=a", "kind=b", "size"}));
  BOOST_TEST(both.features.to_vector<double>() == (std::vector<double>{1, 2, 3}));

  const nn::Table hot = read(text, {.targets = {2}, .one_hot = {2}});
  BOOST_TEST(hot.dataset().classes() == 2);
  BOOST_TEST(hot.dataset().batch(0, 1).t.to_vector<float>() == (Floats{0, 1}));
}

BOOST_AUTO_TEST_CASE(categories_are_sorted_by_value_or_by_their_bytes) {
  const nn::CsvOptions options{.index = {"c"}, .header = true};
  BOOST_TEST(read("c\n10\n9\n-1\n9.0\n9\n", options).format.columns[0].categories ==
             (Texts{"-1", "9", "9.0", "10"}));
  BOOST_TEST(read("c\n10\n9\nx\n", options).format.columns[0].categories == (Texts{"10", "9", "x"}));
  BOOST_TEST(read("c\n\xc3\xa4\nz\nA\na\n", options).format.columns[0].categories ==
             (Texts{"A", "a", "z", "\xc3\xa4"}));
}

BOOST_AUTO_TEST_CASE(features_of_categories_are_one_hot_or_indices) {
  const nn::Table t = read("c,x,d\nb,1,u\na,2,v\nb,3,w\n", {.one_hot = {"c"}, .index = {"d"}});
  BOOST_TEST(features_of(t) == (Floats{0, 1, 1, 0, 1, 0, 2, 1, 0, 1, 3, 2}));
  BOOST_TEST(t.format.feature_names() == (Texts{"c=a", "c=b", "x", "d"}));
  // Too many for one_hot, as numbers of rows would be.
  std::string many = "id\n";
  for (int i = 0; i < 101; ++i) many += std::to_string(i) + "\n";
  check_refused(many, "line 102, column 1 ('id') holds '100', the category number 101 of the column",
                nn::CsvOptions{.one_hot = {"id"}});
  BOOST_TEST(read(many, {.one_hot = {"id"}, .most_categories = 101}).features.dim(1) == 101);
  BOOST_TEST(features_of(read(many, {.index = {"id"}}))[100] == 100);
}

BOOST_AUTO_TEST_CASE(rows_that_lack_a_value_are_refused_left_out_or_filled) {
  const std::string text = "x,c,t\n1,a,1\n,b,2\n5,NA,3\n6,b,NaN\n9,b,5\n";
  nn::CsvOptions options{.targets = {"t"}, .one_hot = {"c"}};
  check_refused(text,
                "line 3, column 1 ('x') has no value; Missing::drop_row leaves such rows out, "
                "Missing::mean takes the mean of the column",
                options);
  check_refused("c,t\na,1\nNA,2\n",
                "('c') has no value; Missing::drop_row leaves such rows out, "
                "Missing::mean takes the most frequent category of the column",
                options);
  check_refused("c,t\na,1\na,\n", "('t') has no value; Missing::drop_row leaves such rows out", options);
  options.missing = Missing::drop_row;
  const nn::Table left = read(text, options);
  BOOST_TEST(features_of(left) == (Floats{1, 1, 0, 9, 0, 1}));
  BOOST_TEST(left.lines == (Indices{2, 6}));
  BOOST_TEST(left.dropped == 3);
  options.missing = Missing::mean;
  const nn::Table filled = read(text, options);
  BOOST_TEST(features_of(filled) == (Floats{1, 1, 0, 5, 0, 1, 5, 0, 1, 9, 0, 1}));
  BOOST_TEST(filled.targets.to_vector<float>() == (Floats{1, 2, 3, 5}));  // none is made up
  BOOST_TEST(filled.lines == (Indices{2, 3, 4, 6}));
  BOOST_TEST(filled.dropped == 1);
  BOOST_TEST(filled.format.columns[0].fill == 5);  // of the rows that stay
  BOOST_TEST(filled.format.columns[1].fill == 1);

  // Of categories that are equally frequent the first.
  const nn::Table equal =
      read("c\nb\na\n?\n", {.index = {"c"}, .missing = Missing::mean, .missing_texts = {"?"}});
  BOOST_TEST(features_of(equal) == (Floats{1, 0, 0}));
}

BOOST_AUTO_TEST_CASE(what_says_that_no_value_is_there) {
  nn::CsvOptions options{.index = {"c"}, .missing = Missing::drop_row};
  BOOST_TEST(read("c\nNA\nNaN\nnan\nnull\nNULL\n\"\"\n\"NA\"\nna\n", options).format.columns[0].categories ==
             (Texts{"", "NA", "na"}));
  options.missing_texts = {"?", "-999"};
  BOOST_TEST(read("x,c\n1,NA\n-999,a\n2,?\n", options).format.columns[1].categories == (Texts{"NA"}));
  check_refused("x,y\n1,\n2,NA\n", "has no value in any row of the column 'y'; name it in CsvOptions::unused",
                nn::CsvOptions{.missing = Missing::mean});
  check_refused("x,y\n1,\n,2\n", "holds no row in which no value is missing, of 2 in all",
                nn::CsvOptions{.missing = Missing::drop_row});
}

BOOST_AUTO_TEST_CASE(numbers_of_every_size) {
  const nn::Table t = read("x\n1e-400\n-1e-99999999999999999999\n0.000" + std::string(400, '0') +
                               "1\n1e308\n123456789.123456789\n0e999\n",
                           {.dtype = f64});
  BOOST_TEST(t.features.to_vector<double>() == (std::vector<double>{0, 0, 0, 1e308, 123456789.123456789, 0}));
  BOOST_TEST(features_of(read("x\n1e-50\n3.4e38\n")) == (Floats{0, 3.4e38F}));
  // A sum of these would not be finite; their mean is.
  const nn::Table means = read("x,y\n1e308,1\n1.5e308,1\n,1\n", {.missing = Missing::mean, .dtype = f64});
  BOOST_TEST(means.features.to_vector<double>()[4] == 1.25e308, boost::test_tools::tolerance(1e-15));
}

BOOST_AUTO_TEST_CASE(the_embedded_tables_hold_what_was_published) {
  const nn::Table iris = nn::read_csv(test::in_source("tools/data/tables/iris.csv"),
                                      {.targets = {"species"}, .index = {"species"}, .dtype = f64});
  BOOST_TEST((iris.features.shape() == Shape{150, 4}));
  BOOST_TEST(iris.format.classes() == (Texts{"setosa", "versicolor", "virginica"}));
  Indices counts(3);
  for (const std::int64_t c : iris.targets.to_vector<std::int64_t>()) ++counts[static_cast<std::size_t>(c)];
  BOOST_TEST(counts == (Indices{50, 50, 50}));
  const nn::InputStatistics s = nn::input_statistics(iris.dataset());
  const double means[] = {5.843333, 3.057333, 3.758, 1.199333};
  for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(std::abs(s.mean.to_vector<double>()[i] - means[i]) < 1e-6);

  const nn::Table penguins = nn::read_csv(
      test::in_source("tools/data/tables/penguins.csv"),
      {.targets = {"body_mass_g"}, .one_hot = {"species", "island", "sex"}, .missing = Missing::drop_row});
  BOOST_TEST((penguins.features.shape() == Shape{333, 11}));
  BOOST_TEST((penguins.targets.shape() == Shape{333, 1}));
  BOOST_TEST(penguins.dropped == 11);
}

BOOST_AUTO_TEST_CASE(a_network_learns_a_table_and_classifies_another) {
  const std::string file = test::in_source("tools/data/tables/iris.csv");
  const nn::Table iris = nn::read_csv(file, {.targets = {-1}, .index = {-1}});
  const auto [training, validation] = iris.dataset().split(50, 0);
  Generator rng(0);
  nn::Sequential net{nn::Standardize(nn::input_statistics(training)), nn::Affine(4, 16, rng), nn::Relu(),
                     nn::Affine(16, 3, rng)};
  optim::Adam adam(net.parameters(), 0.01);
  nn::Trainer trainer(net, adam, {.epochs = 40, .batch = 10});
  trainer.fit(training);
  BOOST_TEST(nn::evaluate(net, validation).metric >= 0.9);
  // The columns in another order, and without the species.
  const nn::Table flower =
      apply(iris.format, "petal_width,petal_length,sepal_width,sepal_length\n0.2,1.4,3.5,5.1\n");
  BOOST_TEST(features_of(flower) == (Floats{5.1F, 3.5F, 1.4F, 0.2F}));
  net.eval();
  BOOST_TEST(iris.format.classes()[static_cast<std::size_t>(argmax(net(flower.features)).item())] ==
             "setosa");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace csv_test
