#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include <tapegrad/nn/io/onnx/op_rows.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/op_info.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "onnx_support.h"

namespace onnx_test {

// Networks saved as ONNX models. tests/interchange/onnx runs such models in onnxruntime.

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

using Strings = std::vector<std::string>;

/// An operation that a user has defined under the name of one of the library's.
struct OwnRelu {
  static constexpr auto name = "relu";
  static constexpr auto saves = saves_for(kNone);
  Tensor forward(const Tensor& x) const { return x * 2.0; }
  static void vjp(VjpContext<OwnRelu>& ctx) { ctx.add(0, ctx.grad_output() * 2.0); }
  static void samples(Samples& s) { s.add(OwnRelu{}, {Shape{3}}); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(onnx, OnnxFunctions)

BOOST_AUTO_TEST_CASE(each_operation_of_the_library_has_a_counterpart_or_a_reason) {
  std::set<std::string> rows;
  for (const nn::onnx::OpRow& row : nn::onnx::op_rows()) {
    BOOST_TEST(rows.insert(std::string(row.name)).second, row.name << " has two rows");
    BOOST_TEST((row.emit != nullptr) == row.reason.empty(), row.name << " has neither or both");
  }
  for (const OpInfo* op : library_ops())
    BOOST_TEST(rows.erase(op->name()) == 1u, op->name() << " has no row in nn/io/onnx/op_rows.cpp");
  BOOST_TEST(rows.empty(), *rows.begin() << " has a row and is no operation");
}

BOOST_AUTO_TEST_CASE(names_types_and_shapes_are_those_of_the_network) {
  nn::Sequential net{nn::named("fc1", nn::Affine(4, 3, rng)), nn::Relu(),
                     nn::named("fc2", nn::Affine(3, 2, rng))};
  nn::save_onnx(path, net, Tensor::zeros({2, 4}),
                {.graph_name = "two layers", .metadata = {{"author", "\xc3\xa4"}}});
  const nn::onnx::Model m = model();
  BOOST_TEST(m.opset == 17);
  BOOST_TEST(m.name == "two layers");
  BOOST_TEST(m.metadata.at("author") == "\xc3\xa4");
  BOOST_TEST(types_of(m) == (Strings{"Gemm", "Relu", "Gemm"}), boost::test_tools::per_element());
  BOOST_TEST(m.nodes[0].name == "fc1/Gemm");
  BOOST_TEST(m.nodes[2].outputs == Strings{"output"}, boost::test_tools::per_element());
  BOOST_TEST(m.nodes[0].inputs == (Strings{"input", "fc1.weight", "fc1.bias"}),
             boost::test_tools::per_element());
  BOOST_TEST(text_of(m.inputs.at(0)) == "input [batch, 4]");
  BOOST_TEST(text_of(m.outputs.at(0)) == "output [batch, 2]");
  Strings names;
  for (const auto& [name, t] : m.initializers) {
    names.push_back(name);
    const nn::State state = net.state();
    const auto saved = std::ranges::find(state, name, &std::pair<std::string, Tensor>::first);
    BOOST_REQUIRE((saved != state.end()));
    BOOST_TEST(difference(t, saved->second) == 0);
  }
  BOOST_TEST(names == (Strings{"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_network_is_saved_as_it_is_in_evaluation_and_stays_in_training) {
  nn::Sequential net{nn::Affine(4, 4, rng), nn::BatchNorm(4), nn::Dropout(0.5, rng), nn::Relu()};
  const nn::State before = net.state();
  nn::save_onnx(path, net, randn({2, 4}, rng));
  BOOST_TEST(net.training());
  for (std::size_t i = 0; i < before.size(); ++i)
    BOOST_TEST(difference(net.state()[i].second, before[i].second) == 0, before[i].first << " has changed");
  // Running statistics become a constant each, of the network's type.
  const nn::onnx::Model m = model();
  Strings types = types_of(m);
  std::ranges::sort(types);  // the operands of a difference may be computed in either order
  BOOST_TEST(types == (Strings{"Add", "Gemm", "Mul", "Mul", "Relu", "Sub"}),
             boost::test_tools::per_element());
  for (const auto& [name, t] : m.initializers) BOOST_TEST((t.dtype() == f32), name);
}

BOOST_AUTO_TEST_CASE(shapes_follow_the_batch) {
  save([](const Tensor& x) { return reshape(flip(concat({x, x}, 0), 0), {-1, 2, 2}); });
  BOOST_TEST(text_of(model().outputs[0]) == "output [2*batch, 2, 2]");
  save([](const Tensor& x) { return slice(concat({x, Tensor::zeros({3, 4})}, 0), 0, 1, kToEnd); });
  BOOST_TEST(text_of(model().outputs[0]) == "output [1*batch+2, 4]");
  save([](const Tensor& x) { return x + Tensor::full(x.shape(), 2); });
  BOOST_TEST(types_of(model()) == (Strings{"Shape", "Concat", "Expand", "Add"}),
             boost::test_tools::per_element());
  save([](const Tensor& x) { return reshape(x, {-1, 2, 2}); });
  BOOST_TEST(types_of(model()) == Strings{"Reshape"}, boost::test_tools::per_element());
  save([](const Tensor& x) { return x + Tensor::full(x.shape(), 2); }, {.free_batch = false});
  BOOST_TEST(text_of(model().outputs[0]) == "output [2, 4]");
}

BOOST_AUTO_TEST_CASE(what_does_not_follow_the_batch_is_refused) {
  check_refused([](const Tensor& x) { return sum(x, 0) * (1.0 / static_cast<double>(x.dim(0))); },
                "the attribute 'c' of mul.scalar depends on the batch");
  check_refused(
      [](const Tensor& x) { return x * unsqueeze(Tensor::arange(0, static_cast<double>(x.dim(0))), 1); },
      "which reshape takes");
  check_refused([](const Tensor& x) { return reshape(matmul(x, x, {.transpose_b = true}), {-1}); },
                "does not grow linearly");
  check_refused([](const Tensor& x) { return x.dim(0) > 2 ? relu(x) : x * 2.0; }, "takes another way");
  Generator noise(1);
  check_refused([&](const Tensor& x) { return x + randn({4}, noise); }, "drawn at random");
  // What is computed of the values, not of the tensor.
  BOOST_CHECK_EXCEPTION(save([](const Tensor& x) { return x * Tensor::full({4}, x.values<float>()[0]); },
                             {.allow_reads = true}),
                        ArgumentError, mentions("outside of operations"));
  BOOST_CHECK_EXCEPTION(save([&](const Tensor& x) { return x + randn({4}, noise); }, {.free_batch = false}),
                        ArgumentError, mentions("drawn at random"));
}

BOOST_AUTO_TEST_CASE(an_input_that_nothing_reads_follows_the_batch) {
  nn::Sequential none;
  nn::save_onnx(path, none, [](const Tensor& a, const Tensor&) { return a * 2.0; },
                {Tensor::ones({1, 4}), Tensor::ones({1, 3})});
  const Tensor a = Tensor::ones({2, 4});
  BOOST_TEST(difference(nn::load_onnx(path)->run({a, Tensor::ones({2, 3})})[0], a * 2.0) == 0);
}

BOOST_AUTO_TEST_CASE(the_module_is_left_as_it_was) {
  struct Counts final : nn::Module {
    nn::Buffer calls{Tensor::zeros({1})};
    Tensor forward(const Tensor& x) override {
      calls = calls + 1.0;
      return x * 2.0;
    }
    void visit(nn::Visitor& v) override { v("calls", calls); }
  } net;
  nn::save_onnx(path, net, randn({2, 4}, rng));
  BOOST_TEST(net.calls.item() == 0);
}

// tests/interchange/onnx runs a network of sequences in onnxruntime.
BOOST_AUTO_TEST_CASE(other_sizes_than_the_batch_may_be_free) {
  nn::Sequential none;
  const auto check = [&](TensorFunction f, const std::string& output, const nn::OnnxOptions& options) {
    nn::save_onnx(path, none, f, {randn({2, 5, 4}, rng)}, options);
    BOOST_TEST(text_of(model().outputs[0]) == output);
    const auto loaded = nn::load_onnx(path);
    for (const std::int64_t n : {options.free_batch ? 1 : 2, 2, options.free_batch ? 6 : 2})
      for (const std::int64_t t : {1, 3, 5, 17}) {
        const Tensor x = randn({n, t, 4}, rng);
        BOOST_TEST(difference((*loaded)(x), f(std::vector<Tensor>{x})) < 1e-5);
      }
  };
  const nn::OnnxOptions sequences{.free_axes = {{.name = "sequence"}}};
  check([](const Tensor& x) { return relu(x); }, "output [batch, sequence, 4]", sequences);
  BOOST_TEST(text_of(model().inputs[0]) == "input [batch, sequence, 4]");
  BOOST_TEST(types_of(model()) == Strings{"Relu"}, boost::test_tools::per_element());
  check(
      [](const Tensor& x) {
        return reshape(x, {x.dim(0) * x.dim(1), 4});
      },
      "output [batch*sequence, 4]", sequences);
  check(
      [](const Tensor& x) {
        return reshape(concat({x, x}, 1), {-1});
      },
      "output [8*batch*sequence]", sequences);
  check(
      [](const Tensor& x) {
        return reshape(concat({x, Tensor::ones({x.dim(0), 1, 4})}, 1), {-1, 4});
      },
      "output [1*batch+1*batch*sequence, 4]", sequences);
  check(
      [](const Tensor& x) {
        return concat({x, Tensor::zeros({x.dim(0), 3, 4})}, 1);
      },
      "output [batch, 1*sequence+3, 4]", sequences);
  check(
      [](const Tensor& x) {
        return matmul(x, x, {.transpose_b = true}) + Tensor::full({x.dim(1), x.dim(1)}, 2);
      },
      "output [batch, sequence, sequence]", sequences);
  check([](const Tensor& x) { return var(slice(cumsum(x, 1), 1, x.dim(1) - 1, kToEnd), 0); }, "output [1, 4]",
        sequences);
  check([](const Tensor& x) { return mean(x, 1); }, "output [2, 4]",
        {.free_batch = false, .free_axes = {{.name = "sequence"}}});
}

BOOST_AUTO_TEST_CASE(what_does_not_follow_a_free_size_is_named_with_the_operation) {
  nn::Sequential none;
  const auto refuses = [&](TensorFunction f, std::string_view part) {
    BOOST_CHECK_EXCEPTION(
        nn::save_onnx(path, none, f, {randn({2, 5, 4}, rng)}, {.free_axes = {{.name = "sequence"}}}),
        ArgumentError,
        mentions(part, "save_onnx", "with a fixed 'sequence' (without it in OnnxOptions::free_axes)"));
  };
  refuses([](const Tensor& x) { return sum(x, 1) * (1.0 / static_cast<double>(x.dim(1))); },
          "the attribute 'c' of mul.scalar depends on 'sequence'");
  refuses([](const Tensor& x) { return one_hot(argmax(x, 2), x.dim(1)); },
          "classes of one_hot grows with 'sequence'");
  refuses(
      [](const Tensor& x) {
        Tensor state = Tensor::zeros({x.dim(0), 4});
        for (std::int64_t i = 0; i < x.dim(1); ++i) state = tapegrad::tanh(state + select(x, 1, i));
        return state;
      },
      "the model has no loops");
  refuses([](const Tensor& x) { return x.dim(1) > 5 ? relu(x) : x * 2.0; },
          "a run with a larger size of 'sequence' takes another way");
  refuses(
      [](const Tensor& x) {
        return avg_pool1d(permute(x, {0, 2, 1}), {.kernel = 2, .stride = 2});
      },
      "result of avg_pool2d does not grow linearly with 'sequence'");
  refuses([](const Tensor& x) { return reshape(sum(matmul(x, x, {.transpose_b = true}), 0), {-1}); },
          "result of reshape does not grow linearly with 'sequence'");
  refuses([](const Tensor& x) { return x + unsqueeze(Tensor::arange(0, static_cast<double>(x.dim(1))), 1); },
          "which reshape takes, is computed outside of operations, or drawn at random, and is not the same "
          "along 'sequence'");

  const auto refuses_axes = [&](const std::vector<nn::OnnxFreeAxis>& axes, std::string_view part) {
    BOOST_CHECK_EXCEPTION(nn::save_onnx(path, none,
                                        [](const Tensor& x, const Tensor& y) {
                                          return concat({x, y}, 1);
                                        },
                                        {randn({2, 5, 4}, rng), randn({2, 3, 4}, rng)}, {.free_axes = axes}),
                          ArgumentError, mentions(part, "save_onnx"));
  };
  refuses_axes({{.name = ""}}, "give it one of its own");
  refuses_axes({{.name = "batch"}}, "give it one of its own");
  refuses_axes({{.name = "s", .input = 2}}, "'s' is to be free in input 2 of 2");
  refuses_axes({{.name = "s", .axis = 3}}, "'input0' [2, 5, 4] has no axis 3 for the s");
  refuses_axes({{.name = "s", .axis = -1}}, "has no axis -1");
  refuses_axes({{.name = "s", .axis = 0}},
               "axis 0 of the input 'input0' [2, 5, 4] is free as 'batch' already");
  refuses_axes({{.name = "s"}, {.name = "s", .axis = 2}},
               "two axes of the input 'input0' [2, 5, 4] have the name 's'");
  refuses_axes({{.name = "s"}, {.name = "s", .input = 1}},
               "has 3 items along axis 1, an input before it has 5");
  refuses_axes({{.name = "a"},
                {.name = "b", .axis = 2},
                {.name = "c", .input = 1},
                {.name = "d", .input = 1, .axis = 2}},
               "5 sizes are to be free; at most 4");
}

BOOST_AUTO_TEST_CASE(operations_without_a_counterpart_are_named_with_their_module) {
  nn::Sequential net{nn::named("first", nn::Affine(4, 4, rng)),
                     nn::named("own", [](const Tensor& x) { return apply_op(OwnRelu{}, x); })};
  BOOST_CHECK_EXCEPTION(nn::save_onnx(path, net, Tensor::zeros({2, 4})), ArgumentError,
                        mentions("relu 'own'", "of the program's own"));
  Generator noise(1);
  check_refused([&](const Tensor& x) { return dropout(x, 0.5, noise); }, "dropout");
}

BOOST_AUTO_TEST_CASE(names_are_the_users_where_they_are_given) {
  save([](const Tensor& x) { return softmax(x); },
       {.input_names = {"scores"}, .output_names = {"probabilities"}});
  BOOST_TEST(text_of(model().inputs[0]) == "scores [batch, 4]");
  BOOST_TEST(text_of(model().outputs[0]) == "probabilities [batch, 4]");
  const auto one = [](const Tensor& x) { return x * 2.0; };
  BOOST_CHECK_EXCEPTION(save(one, {.input_names = {"a", "b"}}), ArgumentError,
                        mentions("2 input_names", "1 inputs"));
  BOOST_CHECK_EXCEPTION(save(one, {.output_names = {"input"}}), ArgumentError,
                        mentions("'input'", "another"));
  BOOST_CHECK_EXCEPTION(save(one, {.output_names = {""}}), ArgumentError, mentions("names of their own"));
  BOOST_CHECK_EXCEPTION(save(one, {.graph_name = "\xff"}), ArgumentError, mentions("UTF-8"));
  BOOST_CHECK_EXCEPTION(save(one, {.batch_axes = {0, 0}}), ArgumentError,
                        mentions("2 batch_axes", "1 inputs"));
  BOOST_CHECK_EXCEPTION(save(one, {.batch_axes = {2}}), ArgumentError, mentions("no axis 2"));
  BOOST_CHECK_EXCEPTION(save(one, {.batch_axes = {-1}}), ArgumentError, mentions("no input has a batch"));
}

BOOST_AUTO_TEST_CASE(a_result_may_be_an_input_a_constant_or_the_same_one_twice) {
  struct Several : nn::Layer<std::vector<Tensor>(const Tensor& x)> {
    std::vector<Tensor> forward(const Tensor& x) override {
      const Tensor y = relu(x);
      return {x, y, y, Tensor::ones({3})};
    }
  } several;
  nn::save_onnx(path, several, {Tensor::zeros({2, 4})});
  const nn::onnx::Model m = model();
  BOOST_TEST(m.outputs.size() == 4u);
  BOOST_TEST(text_of(m.outputs[3]) == "3 [3]");
  BOOST_TEST(types_of(m) == (Strings{"Relu", "Identity", "Identity", "Identity"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(large_weights_go_to_a_second_file) {
  nn::Sequential net{nn::Affine(64, 32, rng), nn::Affine(32, 2, rng)};
  nn::save_onnx(path, net, Tensor::zeros({1, 64}), {.external_data_above = 1000});
  BOOST_TEST(std::filesystem::file_size(path) < 2000u);
  BOOST_TEST(std::filesystem::file_size(path + ".data") == 64u * 32 * 4);
  const nn::onnx::Model m = model();
  BOOST_TEST(difference(m.initializers.at(0).second, net.get<nn::Affine>(0).weight().data()) == 0);
  // Moved together they stay readable.
  std::filesystem::create_directory(folder / "moved");
  for (const char* name : {"net.onnx", "net.onnx.data"})
    std::filesystem::rename(folder / name, folder / ("moved/" + std::string(name)));
  BOOST_TEST(nn::onnx::read_model(folder / "moved/net.onnx").initializers.size() == 4u);
}

BOOST_AUTO_TEST_CASE(examples_that_cannot_be_are_refused) {
  nn::Sequential net{nn::Affine(4, 2, rng)};
  BOOST_CHECK_EXCEPTION(nn::save_onnx(path, net, Tensor()), ArgumentError, mentions("input"));
  BOOST_CHECK_EXCEPTION(nn::save_onnx(path, net, Tensor::zeros({0, 4})), ArgumentError,
                        mentions("at least one"));
  BOOST_CHECK_EXCEPTION(nn::save_onnx(path, net, Tensor::zeros({2, 3})), ShapeError, mentions("affine '0'"));
  BOOST_CHECK_EXCEPTION(nn::save_onnx(folder / "none/net.onnx", net, Tensor::zeros({2, 4})), FileError,
                        mentions("none"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace onnx_test
