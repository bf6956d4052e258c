/// Writes what the library writes, as inputs for the fuzz targets to start from. usage: fuzz_seeds FOLDER
#include <cmath>
#include <filesystem>
#include <functional>
#include <string>

#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/npy.h>
#include <tapegrad/nn/io/onnx.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/ops/ops.h>

#include <fmt/core.h>

#include "tiny_training.h"

using namespace tapegrad;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto in = [&](const char* target, const char* name) {
    const std::filesystem::path folder = std::filesystem::path(argv[1]) / target;
    std::filesystem::create_directories(folder);
    return (folder / name).string();
  };
  const auto write = [](const std::string& path, std::string_view bytes) {
    nn::AtomicFile file(path);
    file.write(bytes);
    file.commit();
  };
  const nn::State state{{"0.weight", Tensor::from({{1, -2}, {0.5, 1e-30}})},
                        {"0.bias", Tensor::from({std::nan(""), HUGE_VAL})},
                        {"steps", Tensor::scalar(7, i64)},
                        {"empty", Tensor::zeros({0, 3}, f64)}};
  const nn::Metadata metadata{{"format", "pt"}, {"note", "\xc3\xa4\"\n"}};
  for (const char* end : {"npz", "safetensors"}) {
    nn::save_state(in(end, fmt::format("state.{}", end).c_str()), state, metadata);
    nn::save_state(in(end, fmt::format("none.{}", end).c_str()), {});
  }
  nn::save_state(in("pytorch", "state.pt"), state, metadata);
  nn::save_state(in("pytorch", "none.pt"), {});
  {
    Generator rng(1);
    nn::Sequential net{nn::Conv2d(1, 2, 2, rng), nn::MaxPool2d(2), nn::Flatten(), nn::Affine(2, 2, rng)};
    nn::save_onnx(in("onnx", "conv"), net, Tensor::zeros({1, 1, 3, 3}));
    const auto formula = [](const Tensor& x) {
      return where(x > 0, tapegrad::std(x, 0) * x, slice(softmax(x), 0, 0, 1));
    };
    nn::save_onnx(in("onnx", "formula"), net, formula, {Tensor::zeros({2, 3})});
    nn::save_onnx(in("onnx", "fixed"), net, formula, {Tensor::zeros({2, 3})}, {.free_batch = false});
  }
  for (const auto& [name, tensor] : state) nn::save_npy(in("npy", (name + ".npy").c_str()), tensor);
  fuzz::TinyTraining training;
  training.trainer.save(in("checkpoint", "before"));
  training.fit();
  training.trainer.save(in("checkpoint", "after"));
  training.trainer.save(in("checkpoint", "after.npz"));
  write(in("cifar10", "records"), "\7\xff" + std::string(3071, 'r') + "\2" + std::string(3072, 'g'));
  write(in("cifar10", "short"), "\3\1\4\1\5\x9");
  write(in("csv", "table"), "x,kind,\"y \"\"2\"\"\"\r\n1,a,-2.5e1\r\nNA,\"b,\n\",3\r\n");
  write(in("csv", "tabs"),
        "\xef\xbb\xbf"
        "a\tb\n1\t 2\n\t3\n");
  write(in("csv", "format"),
        R"({"missing":"mean","missing_texts":["NA"],"header":true,"delimiter":",","dtype":"f32","columns":[)"
        R"({"name":"x","role":"feature","kind":"number","categories":[],"fill":1.5},)"
        R"({"name":"kind","role":"target","kind":"index","categories":["a","b"],"fill":0}]})");
  write(in("idx", "labels"), std::string("\0\0\x08\1\0\0\0\3\7\2\1", 11));
  write(in("idx", "images"), std::string("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\2\1\2\3\4", 20));
  for (const char* text : {"std:0.01", "xavier:1.6667", "he-uniform", "step:0.5", "cosine:0.1", "one-cycle",
                           "--model\nmulti-layer\n--hidden\n3,4\n--activation\nelu\n--init\nhe\n--batch-norm",
                           "--hidden=8\n--dropout\n0.5"})
    write(in("options", fmt::format("{}", std::hash<std::string>()(text)).c_str()), text);
}
