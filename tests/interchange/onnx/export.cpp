/// Writes every operation and layer of the library, and some networks, as ONNX models, with inputs and the outputs that
/// a runtime has to give for them. Each model is read back and compared.
/// usage: export FOLDER                          writes there models, cases.json and elements.bin
///        export load MODEL OUT.npy [IN.npy...]  runs a model of another tool; further outputs go to OUT.npy.1.npy, ...
#include <algorithm>
#include <cmath>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "gradcheck/check/samples.h"

using namespace tapegrad;
using Json = nlohmann::json;

namespace {

using Function = std::function<std::vector<Tensor>(std::span<const Tensor>)>;

class Cases {
 public:
  explicit Cases(std::filesystem::path folder)
      : folder_(std::move(folder)), elements_(folder_ / "elements.bin", std::ios::binary) {}

  std::string model_path(const std::string& name) const { return (folder_ / (name + ".onnx")).string(); }

  /// What the model of this name gives for these inputs.
  void expect(const std::string& name, const std::vector<std::string>& input_names,
              const std::vector<Tensor>& inputs, const std::vector<std::string>& output_names,
              const std::vector<Tensor>& outputs) {
    Json c{{"model", name + ".onnx"}};
    for (std::size_t i = 0; i < inputs.size(); ++i) c["inputs"].push_back(stored(input_names[i], inputs[i]));
    for (std::size_t i = 0; i < outputs.size(); ++i)
      c["outputs"].push_back(stored(output_names[i], outputs[i]));
    cases_.push_back(std::move(c));
    compare_loaded(name, inputs, outputs);
  }
  void refused(const std::string& op) { refused_.push_back(op); }

  void write() {
    const Json all{{"cases", cases_}, {"without_counterpart", refused_}};
    std::ofstream(folder_ / "cases.json") << all.dump(1);
    elements_.flush();
    if (!elements_) throw Error("elements.bin cannot be written");
  }

 private:
  /// Read back, it gives the same.
  void compare_loaded(const std::string& name, const std::vector<Tensor>& inputs,
                      const std::vector<Tensor>& expected) const {
    const std::vector<Tensor> outputs = nn::load_onnx(model_path(name))->run(inputs);
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (outputs.at(i).shape() != expected[i].shape() || outputs[i].dtype() != expected[i].dtype() ||
          !is_near(outputs[i], expected[i]))
        throw Error(fmt::format("{}: output {} of the model that was read back is {}, not {}", name, i,
                                outputs[i], expected[i]));
  }
  static bool is_near(const Tensor& a, const Tensor& b) {
    constexpr double kTolerance = 1e-5;
    const Tensor x = cast(a, f64), y = cast(b, f64);
    const Tensor bound = kTolerance * maximum(abs(y), 1);
    const Tensor near = maximum(maximum(abs(x - y) <= bound, x == y), isnan(x) * isnan(y));
    return near.size() == 0 || min(near).item() == 1;
  }

  Json stored(const std::string& name, const Tensor& t) {
    const std::int64_t offset = elements_.tellp();
    visit_dtype(t.dtype(), [&]<class T> {
      const std::span<const T> v = t.values<T>();
      elements_.write(reinterpret_cast<const char*>(v.data()), static_cast<std::streamsize>(v.size_bytes()));
    });
    const std::int64_t end = elements_.tellp();
    const auto dims = t.shape().dims();
    return {{"name", name},
            {"type", name_of(t.dtype())},
            {"dims", std::vector<std::int64_t>(dims.begin(), dims.end())},
            {"begin", offset},
            {"end", end}};
  }

  std::filesystem::path folder_;
  std::ofstream elements_;  ///< of all tensors
  Json cases_ = Json::array();
  Json refused_ = Json::array();
};

std::vector<std::string> numbered(const char* name, std::size_t count) {
  if (count == 1) return {name};
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(fmt::format("{}{}", name, i));
  return names;
}

Tensor in_f32(const Tensor& t) { return t.dtype() == f64 ? cast(t, f32) : t; }

/// Inputs of a sample, in f32; those that are absent are undefined.
std::vector<Tensor> inputs_of(const std::vector<SampleInput>& from, Generator& rng) {
  std::vector<Tensor> inputs;
  for (const SampleInput& i : from) {
    const bool absent = i.kind == SampleInput::Kind::absent;
    inputs.push_back(absent ? Tensor() : in_f32(gradcheck::detail::drawn(i, "x", rng).value));
  }
  return inputs;
}

std::int64_t elements_of(const std::vector<SampleInput>& inputs) {
  std::int64_t n = 0;
  for (const SampleInput& i : inputs) n += i.values.defined() ? i.values.size() : i.shape.size();
  return n;
}

/// Larger samples are for threads of ours.
constexpr std::int64_t kMostElements = 5000;

/// Numbers for which single precision has no result, or none with digits.
bool is_extreme(const Tensor& t) {
  if (!t.defined() || !is_floating(t.dtype())) return false;
  const double largest = t.size() ? max(abs(t)).item() : 0;
  return !(largest < 1e6);
}

void export_op(Cases& cases, const OpInfo& op) {
  Samples samples;
  op.samples(samples);
  nn::Sequential none;
  Generator rng(7);
  int number = 0;
  for (const Samples::Sample& s : samples.all()) {
    if (!s.gradients.empty() || elements_of(s.inputs) > kMostElements) continue;
    const std::vector<Tensor> all = inputs_of(s.inputs, rng);
    if (std::ranges::any_of(all, is_extreme)) continue;
    std::vector<Tensor> given;
    for (const Tensor& t : all)
      if (t.defined()) given.push_back(t);
    const auto run = [&](std::span<const Tensor> in) {
      std::vector<Tensor> full;
      for (const Tensor& t : all) full.push_back(t.defined() ? in[full.size()] : Tensor());
      std::vector<const Tensor*> pointers;
      for (const Tensor& t : full) pointers.push_back(&t);
      return s.function(s.attributes.data(), pointers.data(), pointers.size());
    };
    const std::string name = fmt::format("op_{}_{}", op.name(), number++);
    try {
      nn::save_onnx(cases.model_path(name), none, run, given, {.free_batch = false});
    } catch (const ArgumentError& e) {
      if (std::string_view(e.what()).find("has no counterpart") == std::string_view::npos) throw;
      return cases.refused(op.name());
    }
    cases.expect(name, numbered("input", given.size()), given, {"output"}, {run(given)});
  }
  if (number == 0) throw Error(fmt::format("the operation {} has no sample that can be exported", op.name()));
}

void export_module(Cases& cases, const gradcheck::Catalog::Module& module) {
  Generator rng(11);
  int number = 0;
  for (gradcheck::ModuleSample& s : module.samples(rng)) {
    if (elements_of(s.inputs) > kMostElements) continue;
    const nn::EvaluationMode mode(*s.module);
    const std::vector<Tensor> inputs = inputs_of(s.inputs, rng);
    const std::string name = fmt::format("{}_{}", module.name, number++);
    const auto run = [&](std::span<const Tensor> in) { return s.function(*s.module, in).at(0); };
    nn::save_onnx(cases.model_path(name), *s.module, run, inputs);
    cases.expect(name, numbered("input", inputs.size()), inputs, {"output"}, {run(inputs)});
  }
  if (number == 0) throw Error(fmt::format("the module {} has no sample that can be exported", module.name));
}

/// A network of one tensor, on the example's batch and on others.
void export_net(Cases& cases, const std::string& name, nn::Module& net, const Shape& item, Generator& rng,
                const nn::OnnxOptions& options = {}) {
  const auto batch = [&](std::int64_t n) {
    std::vector<std::int64_t> dims{n};
    dims.insert(dims.end(), item.dims().begin(), item.dims().end());
    return randn(Shape(std::span<const std::int64_t>(dims)), rng);
  };
  net(batch(16));  // in training mode, so that running statistics are not those of a new network
  nn::save_onnx(cases.model_path(name), net, batch(2), options);
  const nn::EvaluationMode mode(net);
  for (const std::int64_t n : {1, 2, 7}) {
    const Tensor x = batch(n);
    cases.expect(name, {"input"}, {x}, {"output"}, {net(x)});
  }
}

class Residual : public nn::Module {
 public:
  Residual(std::int64_t channels, Generator& rng)
      : conv_(channels, channels, 3, rng, {.padding = 1}), norm_(channels) {}
  void visit(nn::Visitor& v) override { v("conv", conv_), v("norm", norm_); }
  Tensor forward(const Tensor& x) override { return relu(x + norm_(conv_(x))); }

 private:
  nn::Conv2d conv_;
  nn::BatchNorm norm_;
};

/// What depends on the batch in ways of its own.
class BatchLogic : public nn::Module {
 public:
  explicit BatchLogic(Generator& rng) : scale_(randn({4}, rng)) {}
  void visit(nn::Visitor& v) override { v("scale", scale_); }
  Tensor forward(const Tensor& x) override {
    const std::int64_t n = x.dim(0);
    const Tensor start = Tensor::full({n, 4}, 0.5);  // a constant that grows with the batch
    const Tensor centred = x.detach() - mean(x, 0, KeepDims::yes);
    const Tensor last = slice(x, 0, n - 1, n);
    const Tensor turned = flip(x, 0);
    const Tensor two = reshape(concat({start, centred * scale_}, 1), {2 * n, 4});
    const Tensor pairs = reshape(two, {n, 2, 4});
    const Tensor positive = where(x > 0, x, pad(last, {{0, 0}, {0, 0}}));
    const Tensor best = cast(argmax(x, 1), f32);
    return sum(pairs, 1) + turned + positive + unsqueeze(best, 1) + broadcast_to(scale_, x.shape()) +
           var(x, 0);
  }

 private:
  Parameter scale_;
};

struct LstmState {
  Tensor h, c;
  void visit_tensors(nn::TensorVisitor& v) { v("h", h), v("c", c); }
};

class LstmCell : public nn::Layer<LstmState(const Tensor& x, const LstmState& before)> {
 public:
  LstmCell(std::int64_t inputs, std::int64_t width, Generator& rng)
      : gates_(inputs + width, 4 * width, rng), width_(width) {}
  void visit(nn::Visitor& v) override { v("gates", gates_); }
  LstmState forward(const Tensor& x, const LstmState& before) override {
    const Tensor all = gates_(concat({x, before.h}, 1));
    const auto gate = [&](std::int64_t i) { return slice(all, 1, i * width_, (i + 1) * width_); };
    const Tensor c = sigmoid(gate(0)) * before.c + sigmoid(gate(1)) * tapegrad::tanh(gate(2));
    return {sigmoid(gate(3)) * tapegrad::tanh(c), c};
  }

 private:
  nn::Affine gates_;
  std::int64_t width_;
};

/// Words by their numbers, and another input beside them.
class TwoInputs : public nn::Layer<Tensor(const Tensor& words, const Tensor& x)> {
 public:
  explicit TwoInputs(Generator& rng) : table_(randn({10, 6}, rng)), head_(6, 3, rng) {}
  void visit(nn::Visitor& v) override { v("table", table_), v("head", head_); }
  Tensor forward(const Tensor& words, const Tensor& x) override {
    return head_(mean(index_select(table_, 0, flatten(words, 0)), 0) + x);
  }

 private:
  Parameter table_;
  nn::Affine head_;
};

/// Attention, a convolution and pooling along sequences of any length, of which each item has a vector at each place.
class SequenceNet : public nn::Layer<std::vector<Tensor>(const Tensor& x, const Tensor& words)> {
 public:
  explicit SequenceNet(Generator& rng)
      : words_(randn({10, 6}, rng)),
        positions_(randn({40, 6}, rng)),
        heads_(6, 24, rng),
        mixed_(8, 6, rng),
        conv_(6, 6, 3, rng, {.padding = "same"}),
        up_(randn({6, 6, 2}, rng)) {}
  void visit(nn::Visitor& v) override {
    v("words", words_), v("positions", positions_), v("heads", heads_), v("mixed", mixed_), v("conv", conv_);
    v("up", up_);
  }
  std::vector<Tensor> forward(const Tensor& x, const Tensor& words) override {
    const std::int64_t n = x.dim(0), t = x.dim(1);
    const Tensor embedded = reshape(index_select(words_, 0, flatten(words, 0)), {n, t, 6});
    const Tensor h = x + embedded + slice(positions_, 0, 0, t);
    const Tensor all = permute(reshape(heads_(h), {n, t, 3, 2, 4}), {2, 0, 3, 1, 4});
    const auto part = [&](std::int64_t i) { return squeeze(slice(all, 0, i, i + 1), 0); };
    const Tensor shares = softmax(matmul(part(0), part(1), {.transpose_b = true}) * 0.5);
    const Tensor attended = reshape(permute(matmul(shares, part(2)), {0, 2, 1, 3}), {n * t, 8});
    const Tensor mixed = reshape(mixed_(attended), {n, t, 6}) + h;
    const Tensor along =
        max_pool1d(conv_(permute(mixed, {0, 2, 1})), {.kernel = 3, .stride = 1, .padding = 1});
    const Tensor twice =
        conv_transpose1d(avg_pool1d(along, {.kernel = 2, .stride = 1}), up_, {}, {.stride = 2});
    return {mixed, concat({mean(along, 2), max(twice, 2), var(along, 2)}, 1),
            pad(twice, {{0, 0}, {0, 0}, {1, 2}})};
  }

 private:
  Parameter words_, positions_;
  nn::Affine heads_, mixed_;
  nn::Conv1d conv_;
  Parameter up_;
};

void export_sequences(Cases& cases, Generator& rng) {
  SequenceNet net(rng);
  const auto example = [&](std::int64_t n, std::int64_t t) {
    return std::pair{randn({n, t, 6}, rng), integers({n, t}, rng, 0, 10)};
  };
  const auto save = [&](const std::string& name, const nn::OnnxOptions& options) {
    const auto [x, words] = example(2, 5);
    nn::save_onnx(cases.model_path(name), net, {x, words}, options);
  };
  const std::vector<nn::OnnxFreeAxis> sequence{{.name = "sequence", .input = 0, .axis = 1},
                                               {.name = "sequence", .input = 1, .axis = 1}};
  save("sequences", {.free_axes = sequence});
  save("sequences_one_by_one", {.free_batch = false, .free_axes = sequence});
  for (const std::int64_t t : {2, 3, 5, 11, 32})
    for (const std::int64_t n : {1, 2, 7}) {
      const auto [x, words] = example(n, t);
      const std::vector<Tensor> results = net(x, words);
      for (const char* name : {"sequences", "sequences_one_by_one"})
        if (n == 2 || name == std::string_view("sequences"))
          cases.expect(name, {"input0", "input1"}, {x, words}, {"0", "1", "2"}, results);
    }
}

void export_networks(Cases& cases) {
  Generator rng(3);
  nn::Sequential two_layer{nn::Affine(20, 12, rng), nn::Sigmoid(), nn::Affine(12, 10, rng)};
  export_net(cases, "two_layer", two_layer, {20}, rng);
  nn::MultiLayerNet multi_layer(20, 10, rng, {.hidden = {30, 30}, .batch_norm = true, .dropout = 0.3});
  export_net(cases, "multi_layer", multi_layer, {20}, rng, {.metadata = {{"model", multi_layer.describe()}}});
  nn::Sequential simple_conv = nn::simple_conv_net({1, 28, 28}, 10, rng);
  export_net(cases, "simple_conv", simple_conv, {1, 28, 28}, rng);
  export_net(cases, "simple_conv_external", simple_conv, {1, 28, 28}, rng, {.external_data_above = 100'000});
  nn::Sequential deep_conv = nn::deep_conv_net({1, 28, 28}, 10, rng, {.batch_norm = true});
  export_net(cases, "deep_conv", deep_conv, {1, 28, 28}, rng);
  nn::Sequential residual{nn::Conv2d(3, 8, 3, rng, {.stride = 2, .padding = 1}),
                          nn::BatchNorm(8),
                          nn::Relu(),
                          Residual(8, rng),
                          Residual(8, rng),
                          nn::GlobalAvgPool(),
                          nn::Affine(8, 5, rng)};
  export_net(cases, "residual", residual, {3, 17, 17}, rng);
  nn::Sequential decoder{nn::Affine(6, 4 * 5 * 5, rng),
                         [](const Tensor& x) {
                           return reshape(x, {-1, 4, 5, 5});
                         },
                         nn::ConvTranspose2d(4, 3, 3, rng, {.stride = 2, .padding = 1, .output_padding = 1}),
                         nn::Upsample({.scale = 2, .mode = UpsampleMode::bilinear}), nn::Tanh()};
  export_net(cases, "decoder", decoder, {6}, rng);
  BatchLogic logic(rng);
  export_net(cases, "batch_logic", logic, {4}, rng);

  LstmCell cell(3, 5, rng);
  const LstmState zero{Tensor::zeros({2, 5}), Tensor::zeros({2, 5})};
  nn::save_onnx(cases.model_path("lstm_cell"), cell, {randn({2, 3}, rng), zero});
  for (const std::int64_t n : {1, 4}) {
    const Tensor x = randn({n, 3}, rng);
    const LstmState before{randn({n, 5}, rng), randn({n, 5}, rng)};
    const LstmState after = cell(x, before);
    cases.expect("lstm_cell", {"input0", "input1.h", "input1.c"}, {x, before.h, before.c}, {"h", "c"},
                 {after.h, after.c});
  }

  TwoInputs two_inputs(rng);
  const Tensor words = Tensor::from({1, 5, 9}, i64);
  nn::save_onnx(cases.model_path("two_inputs"), two_inputs, {words, randn({2, 6}, rng)},
                {.batch_axes = {-1, 0}, .input_names = {"words", "x"}, .output_names = {"scores"}});
  const Tensor x = randn({5, 6}, rng);
  cases.expect("two_inputs", {"words", "x"}, {words, x}, {"scores"}, {two_inputs(words, x)});
  export_sequences(cases, rng);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  try {
    if (args.size() >= 3 && args[0] == "load") {
      const std::unique_ptr<nn::OnnxModel> model = nn::load_onnx(args[1]);
      std::vector<Tensor> inputs;
      for (std::size_t i = 3; i < args.size(); ++i) inputs.push_back(nn::load_npy(args[i]));
      const std::vector<Tensor> outputs = model->run(inputs);
      for (std::size_t i = 0; i < outputs.size(); ++i)
        nn::save_npy(i == 0 ? args[2] : fmt::format("{}.{}.npy", args[2], i), outputs[i]);
      return 0;
    }
    if (args.size() != 1) return 2;
    Cases cases(args[0]);
    for (const OpInfo* op : library_ops()) export_op(cases, *op);
    for (const auto& module : gradcheck::library_catalog().modules()) export_module(cases, module);
    export_networks(cases);
    cases.write();
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
