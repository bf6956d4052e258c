/// Loads what three_layer_train has saved and classifies the test images, one at a time and in batches.
/// usage: three_layer_predict [MNIST_FOLDER [FOLDER_OF_WEIGHTS]]
#include <chrono>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

namespace {

/// A network of the saved weights: "affine1.weight", "affine1.bias", ... say how many layers there are and
/// how wide.
nn::Sequential network_of(const nn::State& state) {
  nn::Sequential net;
  for (std::size_t i = 0; i + 1 < state.size(); i += 2) {
    if (i > 0) net.append(nn::Sigmoid());
    net.append(fmt::format("affine{}", i / 2 + 1),
               nn::Affine(Parameter(state[i].second), Parameter(state[i + 1].second)));
  }
  net.load_state(state);  // which makes sure that the names are these
  return net;
}

struct Result {
  std::vector<std::int64_t> classes;
  double seconds;
};

/// What the network takes each image for, `batch` images at a time.
Result classify(nn::Sequential& net, const nn::Dataset& data, std::int64_t batch) {
  std::vector<std::int64_t> classes;
  const auto start = std::chrono::steady_clock::now();
  for (const nn::Batch& b : nn::in_order(data, batch)) {
    const std::vector<std::int64_t> found = argmax(net(b.x), 1).to_vector<std::int64_t>();
    classes.insert(classes.end(), found.begin(), found.end());
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {classes, seconds.count()};
}

}  // namespace

int main(int argc, char** argv) {
  const nn::Dataset test = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist").test;
  const std::string folder = argc > 2 ? argv[2] : "build/three_layer";
  const std::vector<std::int64_t> labels = test.batch(0, test.size()).t.to_vector<std::int64_t>();

  std::vector<std::int64_t> first;
  bool same = true;
  for (const char* name : {"weights.npz", "weights.safetensors"}) {
    const nn::SavedState saved = nn::load_state_file(folder + "/" + name);
    nn::Sequential net = network_of(saved.tensors);
    for (const std::int64_t batch : {1, 100, 1000}) {
      const auto [classes, seconds] = classify(net, test, batch);
      if (first.empty()) first = classes;
      same = same && classes == first;
      std::int64_t correct = 0;
      for (std::size_t i = 0; i < labels.size(); ++i) correct += classes[i] == labels[i];
      fmt::print("{:<20} batches of {:4}: accuracy {:.4f} of {} images, {:9.0f} images a second\n", name,
                 batch, static_cast<double>(correct) / static_cast<double>(labels.size()), labels.size(),
                 static_cast<double>(labels.size()) / seconds);
    }
    for (const auto& [key, text] : saved.metadata) fmt::print("saved with it: {} {}\n", key, text);
  }
  fmt::print("{}\n", same ? "The predictions are the same in all cases." : "The predictions differ.");
  return same ? 0 : 1;
}
