// What predict and export read of a run: the network is built again as the file says, or the file is refused.
#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/nn/io/serialize.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "cli/saved_model.h"
#include "memory_support.h"
#include "support.h"

namespace saved_model_test {

using namespace tapegrad;
using test::mentions;

namespace {

const char* const kTable =
    R"({"missing":"error","missing_texts":["NA"],"header":true,"delimiter":",","dtype":"f32","columns":[)"
    R"({"name":"a","role":"feature","kind":"number","categories":[],"fill":0},)"
    R"({"name":"b","role":"feature","kind":"one_hot","categories":["x","y"],"fill":0},)"
    R"({"name":"t","role":"target","kind":"index","categories":["p","q"],"fill":0}]})";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  BOOST_REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// The file of a run on a table of three features and two classes, or on images.
struct Fixture {
  test::TemporaryFolder folder;
  const std::string path = folder / "parameters.safetensors";
  const nn::Metadata table{{"--model", "two-layer"},  {"--hidden", "5"},           {"item", "3"},
                           {"outputs", "2"},          {"standardize", "features"}, {"table", kTable},
                           {"task", "classification"}};
  const nn::Metadata images{{"--layers", "conv:2x3,relu,flatten,affine:4"},
                            {"item", "1x6x6"},
                            {"outputs", "4"},
                            {"standardize", "none"},
                            {"task", "classification"}};

  /// Some weights of the network that the metadata describe.
  static nn::State weights_of(const nn::Metadata& metadata) {
    Generator rng(1);
    cli::ModelOptions options;
    if (metadata.contains("--layers")) {
      options.layers = metadata.at("--layers");
      return cli::build_model(options, {1, 6, 6}, 4, rng).net->state();
    }
    options.hidden = {5};
    options.standardize = nn::InputStatistics{Tensor::zeros({3}), Tensor::ones({3})};
    return cli::build_model(options, {3}, 2, rng).net->state();
  }
  void write(const nn::Metadata& of, const nn::Metadata& changes, const nn::State& weights) const {
    nn::Metadata metadata = of;
    for (const auto& [key, value] : changes) metadata[key] = value;
    nn::save_state(path, weights, metadata);
  }
  void check_refused(const nn::Metadata& of, const nn::Metadata& changes, std::string_view part) const {
    write(of, changes, weights_of(of));
    BOOST_CHECK_EXCEPTION(cli::load_model(path), FileError, mentions(path, part));
    BOOST_CHECK_EXCEPTION(cli::load_model(path), FileError, [&](const FileError& e) {
      return std::string_view(e.what()).size() < path.size() + 1200;  // what the file says may be long
    });
#if TAPEGRAD_COUNT_ALLOCATIONS
    constexpr double kMost = 300 << 20;
    BOOST_TEST(test::peak_of([&] { cli::load_model(path); }) < kMost);
#endif
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(saved_model, Fixture)

BOOST_AUTO_TEST_CASE(networks_are_built_again) {
  write(table, {}, weights_of(table));
  const cli::SavedModel of_table = cli::load_model(path);
  BOOST_TEST((*of_table.model.net)(Tensor::ones({7, 3})).dim(1) == 2);
  BOOST_TEST(of_table.format->classes().size() == 2U);
  BOOST_TEST(!of_table.model.net->training());
  write(images, {}, weights_of(images));
  const cli::SavedModel of_images = cli::load_model(path);
  BOOST_TEST((*of_images.model.net)(Tensor::ones({7, 1, 6, 6})).dim(1) == 4);
  BOOST_TEST(!of_images.format.has_value());
}

BOOST_AUTO_TEST_CASE(numbers_that_are_too_large_take_no_memory) {
  check_refused(table, {{"--hidden", "9223372036854775807"}}, "too many elements");
  check_refused(table, {{"--hidden", "99999999999"}}, "takes more than 256 MiB");
  check_refused(table, {{"--hidden", "100000000"}}, "takes more than 256 MiB");
  check_refused(table, {{"--hidden", "-1"}}, "--hidden: -1");
  check_refused(table, {{"--hidden", "wide"}}, "--hidden");
  check_refused(table, {{"--hidden", "5,5"}}, "--hidden 5,5");
  std::string many = "1";
  for (int i = 0; i < 200'000; ++i) many += ",1";
  check_refused(table, {{"--model", "multi-layer"}, {"--hidden", many}}, "200001 layers");
  check_refused(table, {{"--model", "multi-layer"}, {"--hidden", many.substr(0, 2001)}}, "...");
  check_refused(images, {{"item", "1x1000000x1000000"}}, "1.9e+13 multiplications");
  check_refused(images, {{"item", "1x9223372036854775807x2"}}, "too many elements");
  check_refused(images, {{"item", "1x99999999999999999999x2"}}, "'item'");
  check_refused(images, {{"item", "1x1x1x1x1x1x1x1x1"}}, "'item'");
  check_refused(images, {{"outputs", "4611686018427387904"}}, "[4611686018427387904]");
  check_refused(images, {{"--layers", "conv:2x3:pad=100000,flatten,affine:4"}}, "7.2e+11 multiplications");
  check_refused(images, {{"--layers", "upsample:10000,flatten,affine:4"}}, "takes more than 256 MiB");
  check_refused(images, {{"--layers", "conv:99999999999x3,flatten,affine:4"}}, "takes more than 256 MiB");
  std::string words = "relu";
  for (int i = 0; i < 100'000; ++i) words += ",relu";
  check_refused(images, {{"--layers", words}}, "there are 100001 words; there may be 10000");
}

// Each in a moment, without the hours of processor time that they ask for.
BOOST_AUTO_TEST_CASE(networks_that_would_take_hours_are_refused_at_once) {
  const auto start = std::clock();
  for (const char* words :
       {"upsample:1000,conv:100x99:same,flatten,affine:4",
        "upsample:200,pool:500x500:stride=1:pad=250,flatten,affine:4", "upsample:1000000,flatten,affine:4",
        "conv:2000x1,conv:2000x1:pad=200,conv:2000x1,flatten,affine:4",
        "upsample:500,avg-pool:3000x3000:stride=1:pad=1500,global-avg-pool,affine:4"})
    check_refused(images, {{"--layers", words}}, "multiplications; 1e+11 are the most");
  // Many small ones come to as much.
  std::string words = "upsample:100";
  for (int i = 0; i < 300; ++i) words += ",conv:8x9:same";
  check_refused(images, {{"--layers", words + ",flatten,affine:4"}}, "multiplications; 1e+11 are the most");
  BOOST_TEST(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC < 60);
}

BOOST_AUTO_TEST_CASE(what_no_run_has_saved_is_refused) {
  for (const char* key : {"item", "outputs", "standardize", "task"}) {
    check_refused(images, {{key, ""}}, key);
    check_refused(images, {{key, "nan"}}, key);
    nn::Metadata without = images;
    without.erase(key);
    check_refused(without, {}, fmt::format("does not say its '{}'", key));
  }
  for (const char* item : {"0x6x6", "-1x6x6", "1x6x6x", "x", "1 x6x6"})
    check_refused(images, {{"item", item}}, "'item'");
  check_refused(images, {{"item", "1x7x6"}}, "affine1.weight");
  check_refused(images, {{"--layers", "conv:2x3,relu,flatten,affine:5"}}, "it must be [4]");
  check_refused(images, {{"--layers", "tanh,conv:2x3,flatten,affine:5"}}, "it must be [4]");
  check_refused(images, {{"--layers", "nothing"}}, "'nothing'");
  check_refused(images, {{"--init", "std:1e400"}}, "1e400");
  check_refused(table, {{"--model", "other"}}, "other");
  check_refused(table, {{"--activation", "other"}}, "other");
  check_refused(table, {{"--dropout", "nan"}}, "dropout");
  check_refused(table, {{"--batch-norm", "perhaps"}}, "--batch-norm");
  check_refused(table, {{"--batch-norm", "true"}}, "norm1.gamma");
  // The weights of another network.
  write(table, {}, weights_of(images));
  BOOST_CHECK_EXCEPTION(cli::load_model(path), FileError, mentions("missing: ", "conv1.weight"));
}

// A table whose columns are not those of the network would have its classes read beyond their end.
BOOST_AUTO_TEST_CASE(tables_that_are_not_those_of_the_network_are_refused) {
  const auto check = [&](std::string_view from, std::string_view to, std::string_view part) {
    check_refused(table, {{"table", replaced(kTable, from, to)}}, part);
  };
  check(R"(["p","q"])", R"(["p"])", "1 classes, and its 'outputs' is 2");
  check(R"(["p","q"])", R"(["p","q","r"])", "3 classes, and its 'outputs' is 2");
  check(R"(["x","y"])", R"(["x"])", "2 features, and its 'item' is 3");
  check("target", "unused", "no target");
  check(R"("index","categories":["p","q"])", R"("number","categories":[])", "no target of categories");
  check("f32", "f64", "numbers of f64");
  check("f32", "f16", "f16");
  check("target", "feature", "no target");
  check(R"("fill":0)", R"("fill":1e999)", "table");
  check_refused(table, {{"table", "{}"}}, "lacks");
  check_refused(table, {{"table", std::string(100'000, '[')}}, "no format of a table");
  check_refused(table, {{"task", "regression"}}, "a target of categories");
  check_refused(images, {{"task", "regression"}}, "has no 'table'");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace saved_model_test
