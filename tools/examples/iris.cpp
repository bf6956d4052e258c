#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  const std::string data = argc > 1 ? argv[1] : "tools/data/tables/iris.csv";
  const nn::Table iris = nn::read_csv(data, {.targets = {"species"}, .index = {"species"}});
  const auto [training, test] = iris.dataset().split(50, 0);
  Generator rng(0);
  nn::Sequential net{nn::Standardize(nn::input_statistics(training)), nn::Affine(4, 16, rng), nn::Relu(),
                     nn::Affine(16, 3, rng)};
  optim::Adam adam(net.parameters(), 0.01);
  nn::Trainer trainer(net, adam, {.epochs = 50, .batch = 10});
  trainer.fit(training);
  fmt::print("test accuracy {:.2f}\n", nn::evaluate(net, test).metric);

  // Another file is read as this one was; it may lack the column that is predicted.
  const nn::Table flowers = iris.format.read(argc > 2 ? argv[2] : data);
  net.eval();
  const std::vector<std::int64_t> classes = argmax(net(flowers.features), 1).to_vector<std::int64_t>();
  for (std::size_t i = 0; i < classes.size(); i += 30)
    fmt::print("line {:3}: {}\n", flowers.lines[i],
               iris.format.classes()[static_cast<std::size_t>(classes[i])]);
}
