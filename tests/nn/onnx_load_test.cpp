#include <cmath>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "onnx_messages.h"
#include "onnx_support.h"

namespace onnx_load_test {

// ONNX models read back, and models that are something else.

using namespace tapegrad;
using namespace tapegrad::test;
using nn::onnx::Message;
namespace field = nn::onnx::field;

namespace {

/// x [2] -> y by these nodes.
Message graph_of(const std::vector<Message>& nodes) {
  Message g;
  for (const Message& n : nodes) g.message(field::graph::node, n);
  g.message(field::graph::input, info_message("x", {2}));
  g.message(field::graph::output, info_message("y", {2}));
  return g;
}

struct Fixture : OnnxFile {
  Generator rng{3};

  void write(const Message& m) const { write_file(path, m.bytes()); }
  void check_refused(const Message& m, std::string_view part) const {
    write(m);
    BOOST_CHECK_EXCEPTION(nn::load_onnx(path), FileError, mentions(part, path));
  }
  /// Saved, read and run in evaluation mode: as the network.
  std::unique_ptr<nn::OnnxModel> check_same(nn::Module& net, const Tensor& example, const Tensor& x) const {
    nn::save_onnx(path, net, example);
    std::unique_ptr<nn::OnnxModel> loaded = nn::load_onnx(path);
    const nn::EvaluationMode mode(net);
    BOOST_TEST(difference((*loaded)(x), net(x)) < 1e-5);
    return loaded;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(onnx_load, Fixture)

BOOST_AUTO_TEST_CASE(a_network_comes_back_with_its_parameters) {
  nn::MultiLayerNet net(6, 3, rng, {.hidden = {5, 4}, .batch_norm = true, .dropout = 0.5});
  net(randn({20, 6}, rng));
  const auto loaded = check_same(net, randn({2, 6}, rng), randn({7, 6}, rng));
  const auto own = net.parameters(), read = loaded->parameters();
  BOOST_REQUIRE(read.size() == own.size());
  for (const auto& [name, p] : own) {
    const auto same = std::ranges::find(read, name, &std::pair<std::string, Parameter>::first);
    BOOST_REQUIRE_MESSAGE(same != read.end(), name << " is missing");
    BOOST_TEST(difference(same->second.data(), p.data()) == 0);
  }
  BOOST_TEST(loaded->input_names() == Strings{"input"}, boost::test_tools::per_element());
  BOOST_TEST(loaded->output_names() == Strings{"output"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(orders_come_back) {
  struct Largest : nn::Module {
    Tensor forward(const Tensor& x) override {
      const auto [values, indices] = topk(x, 2);
      const auto [sorted, order] = sort(x, 1, {.descending = true});
      return concat({values, topk(x, 3, 1, {.largest = false}).values, sort(x).values, sorted,
                     cast(concat({indices, order, argsort(x)}, 1), f32)},
                    1);
    }
  };
  Largest net;
  check_same(net, randn({2, 5}, rng), cast(integers({7, 5}, rng, 0, 3), f32));
  struct AcrossTheBatch : nn::Module {
    Tensor forward(const Tensor& x) override { return sort(x, 0).values; }
  };
  AcrossTheBatch across;
  check_same(across, randn({2, 5}, rng), randn({7, 5}, rng));
}

BOOST_AUTO_TEST_CASE(a_topk_gives_values_and_indices_in_order) {
  const auto with_k = [](const std::vector<Message>& nodes, std::int64_t k) {
    Message g = graph_of(nodes);
    g.message(field::graph::initializer,
              tensor_message("k", {1}, 7, std::string_view(reinterpret_cast<const char*>(&k), sizeof k)));
    return model_of(g);
  };
  const Message top = node_message("TopK", {"x", "k"}, {"values", "places"});
  write(with_k({top, node_message("Identity", {"values"}, {"y"})}, 2));
  BOOST_TEST(difference((*nn::load_onnx(path))(Tensor::from({1, 2})), Tensor::from({2, 1})) == 0);
  write(with_k({top, node_message("GatherElements", {"x", "places"}, {"y"})}, 2));
  BOOST_TEST(difference((*nn::load_onnx(path))(Tensor::from({1, 2})), Tensor::from({2, 1})) == 0);
  // An output that nothing reads may have no name.
  write(with_k({node_message("TopK", {"x", "k"}, {"", "places"}),
                node_message("GatherElements", {"x", "places"}, {"y"})},
               2));
  BOOST_TEST(difference((*nn::load_onnx(path))(Tensor::from({1, 2})), Tensor::from({2, 1})) == 0);
  write(with_k({top, node_message("Identity", {"values"}, {"y"})}, 3));
  BOOST_CHECK_EXCEPTION((*nn::load_onnx(path))(Tensor::from({1, 2})), ArgumentError,
                        mentions("topk", "k is 3"));
  check_refused(with_k({node_message("TopK", {"x", "k"}, {"y", "places", "more"})}, 2), "more outputs");
}

BOOST_AUTO_TEST_CASE(convolutional_networks_come_back) {
  nn::Sequential net = nn::simple_conv_net({1, 12, 12}, 10, rng, {.batch_norm = true});
  check_same(net, randn({1, 1, 12, 12}, rng), randn({3, 1, 12, 12}, rng));
  nn::Sequential decoder{nn::ConvTranspose2d(2, 3, 3, rng, {.stride = 2, .padding = 1, .output_padding = 1}),
                         nn::Upsample({.scale = 2, .mode = UpsampleMode::bilinear}),
                         nn::AvgPool2d({.kernel = 3, .stride = 2, .ceil_mode = true}), nn::Silu()};
  check_same(decoder, randn({1, 2, 4, 5}, rng), randn({3, 2, 4, 5}, rng));
}

BOOST_AUTO_TEST_CASE(it_can_be_trained_further_cloned_and_saved_again) {
  nn::Sequential net{nn::Affine(4, 8, rng), nn::Tanh(), nn::Affine(8, 1, rng)};
  const auto loaded = check_same(net, randn({1, 4}, rng), randn({5, 4}, rng));
  const auto copy = nn::clone(*loaded);
  const Tensor x = randn({32, 4}, rng), t = sum(x, 1, KeepDims::yes);
  const double before = mse_loss((*loaded)(x), t).item();
  optim::Adam adam(loaded->parameters(), 0.02);
  for (int step = 0; step < 200; ++step) {
    Tape tape;
    adam.step(tape.backward(mse_loss((*loaded)(x), t)));
  }
  BOOST_TEST(mse_loss((*loaded)(x), t).item() < 0.1 * before);
  BOOST_TEST(difference((*copy)(x), net(x)) < 1e-5);  // a copy of its own
  // Another network of the same names takes the weights.
  net.load_state(loaded->state());
  BOOST_TEST(difference((*loaded)(x), net(x)) < 1e-5);
  nn::save_onnx(path, *loaded, x);
  BOOST_TEST(difference((*nn::load_onnx(path))(x), net(x)) < 1e-5);
}

BOOST_AUTO_TEST_CASE(models_of_several_inputs_are_run_by_their_order) {
  struct Difference : nn::Layer<std::vector<Tensor>(const Tensor& a, const Tensor& b)> {
    std::vector<Tensor> forward(const Tensor& a, const Tensor& b) override {
      return {a - cast(b, f32), a + 1.0};
    }
  } layer;
  const Tensor a = randn({3, 2}, rng), b = Tensor::from({{1, 2}, {3, 4}, {5, 6}}, i64);
  nn::save_onnx(path, layer, {a, b});
  const auto loaded = nn::load_onnx(path);
  BOOST_TEST(loaded->input_names() == (Strings{"input0", "input1"}), boost::test_tools::per_element());
  const std::vector<Tensor> results = loaded->run({a, b});
  BOOST_TEST(results.size() == 2u);
  BOOST_TEST(difference(results[0], a - cast(b, f32)) == 0);
  BOOST_CHECK_EXCEPTION((*loaded)(a), ArgumentError, mentions("2 inputs", "run()"));
  BOOST_CHECK_EXCEPTION(loaded->run({a}), ArgumentError, mentions("takes 2 inputs, 1"));
  BOOST_CHECK_EXCEPTION(loaded->run({a, a}), DtypeError, mentions("'input1' is of f32"));
  BOOST_CHECK_EXCEPTION(loaded->run({randn({3, 5}, rng), b}), ShapeError,
                        mentions("'input0' is [3, 5]", "[batch, 2]"));
}

BOOST_AUTO_TEST_CASE(weights_of_other_tools_are_found_by_where_they_stand) {
  Message g =
      graph_of({node_message("Add", {"x", "bias"}, {"h"}), node_message("Mul", {"h", "factor"}, {"y"})});
  const float values[] = {1, 2};
  const std::string_view raw(reinterpret_cast<const char*>(values), sizeof values);
  g.message(field::graph::initializer, tensor_message("bias", {2}, 1, raw));
  g.message(field::graph::initializer, tensor_message("factor", {}, 1, raw.substr(4)));
  write(model_of(g));
  const auto loaded = nn::load_onnx(path);
  BOOST_TEST(loaded->parameters().size() == 1u);
  BOOST_TEST(loaded->parameters()[0].first == "bias");
  BOOST_TEST(difference((*loaded)(Tensor::from({1, 1})), Tensor::from({4, 6})) == 0);
}

BOOST_AUTO_TEST_CASE(what_a_file_must_not_be_is_named) {
  const Message relu = node_message("Relu", {"x"}, {"y"});
  check_refused(model_of(graph_of({relu}), 12), "version 12");
  check_refused(model_of(graph_of({relu}), 99), "version 99");
  check_refused(model_of(graph_of({node_message("Lstm_of_mine", {"x"}, {"y"})})), "Lstm_of_mine");
  for (const char* loop : {"Loop", "Scan"})
    check_refused(model_of(graph_of({node_message(loop, {"x"}, {"y"})})), "is a loop, and models have none");
  for (const char* recurrent : {"RNN", "GRU", "LSTM"})
    check_refused(model_of(graph_of({node_message(recurrent, {"x", "w", "r"}, {"", "y"})})),
                  fmt::format("({}) cannot be read: it is a recurrent layer; export it unrolled", recurrent));
  check_refused(model_of(graph_of({node_message("If", {"x"}, {"y"})})),
                "(If) cannot be read: it is a branch");
  Message domain;
  domain.text(field::node::domain, "com.microsoft");
  check_refused(model_of(graph_of({node_message("Gelu", {"x"}, {"y"}, domain)})), "com.microsoft.Gelu");
  check_refused(model_of(graph_of({node_message("Relu", {"x", "x"}, {"y"})})), "has 2 inputs");
  check_refused(model_of(graph_of({node_message("Relu", {""}, {"y"})})), "has no input 0");
  Message attribute, more;
  attribute.text(field::attribute::name, "slope");
  more.message(field::node::attribute, attribute);
  check_refused(model_of(graph_of({node_message("Relu", {"x"}, {"y"}, more)})), "'slope'");
  check_refused(model_of(graph_of({relu, node_message("Relu", {"x"}, {"y"})})),
                "two values have the name 'y'");
  check_refused(model_of(graph_of({node_message("Relu", {"x"}, {"z"})})),
                "the output of the model takes 'y'");
  check_refused(model_of(Message()), "no output");
  write_file(path, "");
  BOOST_CHECK_EXCEPTION(nn::load_onnx(path), FileError, mentions("no ONNX model"));
  write_file(path, "PK\3\4 this is no model at all, but a text");
  BOOST_CHECK_THROW(nn::load_onnx(path), FileError);
  BOOST_CHECK_EXCEPTION(nn::load_onnx(folder / "none.onnx"), FileError, mentions("none.onnx"));
}

BOOST_AUTO_TEST_CASE(cycles_and_nodes_in_another_order_are_refused) {
  check_refused(model_of(graph_of({node_message("Add", {"x", "b"}, {"a"}), node_message("Relu", {"a"}, {"b"}),
                                   node_message("Relu", {"b"}, {"y"})})),
                "no cycles");
  check_refused(model_of(graph_of({node_message("Relu", {"y"}, {"y"})})), "takes 'y'");
  check_refused(model_of(graph_of({node_message("Relu", {"a"}, {"y"}), node_message("Relu", {"x"}, {"a"})})),
                "takes 'a'");
}

BOOST_AUTO_TEST_CASE(impossible_tensors_are_refused) {
  const auto with = [](const Message& tensor) {
    Message g = graph_of({node_message("Add", {"x", "w"}, {"y"})});
    g.message(field::graph::initializer, tensor);
    return model_of(g);
  };
  const std::string raw(8, '\0');
  check_refused(with(tensor_message("w", {3}, 1, raw)), "'w' cannot be read: it has 8 bytes");
  check_refused(with(tensor_message("w", {-2}, 1, raw)), "impossible shape");
  check_refused(with(tensor_message("w", {std::int64_t{1} << 40, std::int64_t{1} << 40}, 1, raw)),
                "impossible shape");
  check_refused(with(tensor_message("w", {std::int64_t{1} << 40}, 1, raw)), "8 bytes");
  check_refused(with(tensor_message("w", {1, 1, 1, 1, 1, 1, 1, 1, 1, 2}, 1, raw)), "10 axes");
  check_refused(with(tensor_message("w", {2}, 8, raw)), "type 8");
  const auto external = [&](const std::string& location, const std::string& offset) {
    Message t, place, at;
    t.integer(field::tensor::dims, 2);
    t.integer(field::tensor::type, 1);
    t.text(field::tensor::name, "w");
    place.text(field::entry::key, "location");
    place.text(field::entry::value, location);
    at.text(field::entry::key, "offset");
    at.text(field::entry::value, offset);
    t.message(field::tensor::external_data, place);
    t.message(field::tensor::external_data, at);
    t.integer(field::tensor::data_location, 1);
    return with(t);
  };
  write_file(folder / "w.data", raw + raw);
  check_refused(external("/etc/passwd", "0"), "below the model's folder");
  check_refused(external("../w.data", "0"), "below the model's folder");
  check_refused(external("a/../../w.data", "0"), "below the model's folder");
  check_refused(external("", "0"), "below the model's folder");
  check_refused(external("w.data", "9"), "lie at byte 9");
  check_refused(external("w.data", "-1"), "no number");
  check_refused(external("w.data", "18446744073709551615"), "lie at byte");
  check_refused(external("none.data", "0"), "none.data");
  write(external("w.data", "8"));
  BOOST_TEST(difference((*nn::load_onnx(path))(Tensor::ones({2})), Tensor::ones({2})) == 0);
}

// A small model that takes the elements of a file again and again.
BOOST_AUTO_TEST_CASE(tensors_that_share_external_elements_many_times_are_refused) {
  write_file(folder / "w.data", std::string(4000, '\1'));
  const auto model_with = [&](int tensors) {
    Message g = graph_of({node_message("Abs", {"x"}, {"y"})});
    for (int i = 0; i < tensors; ++i) {
      Message t, place;
      t.integer(field::tensor::dims, 1000);
      t.integer(field::tensor::type, 1);
      t.text(field::tensor::name, "w" + std::to_string(i));
      place.text(field::entry::key, "location");
      std::string location = "w.data";
      for (int k = 0; k < i; ++k) location = "./" + location;
      place.text(field::entry::value, location);
      t.message(field::tensor::external_data, place);
      t.integer(field::tensor::data_location, 1);
      g.message(field::graph::initializer, t);
    }
    return model_of(g);
  };
  write(model_with(2));
  BOOST_CHECK_NO_THROW(nn::load_onnx(path));
  check_refused(model_with(3), "'w2' cannot be read: it and others take 12000 bytes");
}

BOOST_AUTO_TEST_CASE(nodes_that_cannot_take_what_they_are_given_are_named) {
  Message attribute, more;
  attribute.text(field::attribute::name, "axis");
  attribute.integer(field::attribute::i, 5);
  attribute.integer(field::attribute::type, 2);
  more.message(field::node::attribute, attribute);
  write(model_of(graph_of({node_message("Softmax", {"x"}, {"y"}, more)})));
  BOOST_CHECK_EXCEPTION((*nn::load_onnx(path))(Tensor::ones({2})), Error,
                        mentions("Softmax 'Softmax_of_y': softmax 'Softmax_of_y': "));
  // The operator that the model has, where the operations that compute it are called otherwise.
  Message product = graph_of({node_message("Gemm", {"x", "w"}, {"y"})});
  product.message(field::graph::initializer, tensor_message("w", {3, 1}, 1, std::string(12, '\0')));
  write(model_of(product));
  BOOST_CHECK_EXCEPTION((*nn::load_onnx(path))(Tensor::ones({2})), ShapeError,
                        mentions("Gemm 'Gemm_of_y': matmul"));

  write(model_of(graph_of({node_message("Reshape", {"x", "x"}, {"y"})})));
  BOOST_CHECK_EXCEPTION((*nn::load_onnx(path))(Tensor::ones({2})), FileError,
                        mentions("Reshape_of_y", "integers"));
  // An axis that is no integer, perhaps no number at all.
  write(model_of(graph_of({node_message("CumSum", {"x", "x"}, {"y"})})));
  BOOST_CHECK_EXCEPTION((*nn::load_onnx(path))(Tensor::full({2}, std::nan(""))), FileError,
                        mentions("CumSum_of_y", "integers"));
}

BOOST_AUTO_TEST_CASE(files_that_are_cut_or_changed_are_refused_or_mean_something_else) {
  nn::Sequential net{nn::Affine(3, 2, rng), nn::Relu()};
  nn::save_onnx(path, net, Tensor::zeros({1, 3}));
  const std::string whole = read_file(path);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_file(path, std::string_view(whole).substr(0, size));
    BOOST_CHECK_THROW(nn::load_onnx(path), FileError);
  }
  int loaded = 0;
  for_each_change(whole, [&](const std::string& changed) {
    write_file(path, changed);
    try {
      nn::load_onnx(path);
      ++loaded;
    } catch (const FileError&) {
    }
  });
  BOOST_TEST(loaded > 0);  // weights and names, for instance
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace onnx_load_test
