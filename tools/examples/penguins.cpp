#include <cmath>
#include <filesystem>
#include <string>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// The mass of penguins from their species, island, sex and lengths, some of which are missing.
int main(int argc, char** argv) {
  const std::string data = argc > 1 ? argv[1] : "tools/data/tables/penguins.csv";
  const nn::Table table = nn::read_csv(
      data,
      {.targets = {"body_mass_g"}, .one_hot = {"species", "island", "sex"}, .missing = nn::Missing::mean});
  fmt::print("{} penguins, {} left out; features:", table.lines.size(), table.dropped);
  for (const std::string& name : table.format.feature_names()) fmt::print(" {}", name);

  const auto [training, test] = table.dataset().split(80, 0);
  const Tensor masses = training.batch(0, training.size()).t;
  const Tensor average = mean(masses);
  const Tensor scale = stddev(masses);
  // In units of their standard deviation, grams are as large as what a network gives at first.
  const nn::Objective objective(
      [&](const Tensor& y, const Tensor& t) { return mse_loss(y, (t - average) / scale); });

  Generator rng(0);
  nn::MultiLayerNet net(training.input_shape()[0], 1, rng,
                        {.hidden = {16}, .standardize = nn::input_statistics(training)});
  optim::AdamW adamw(net, 0.01);
  nn::Trainer trainer(net, adamw, {.epochs = 60, .batch = 20, .objective = objective});
  trainer.fit(training);
  const double guess = scale.item();  // the error of who always says the average
  const double error = guess * std::sqrt(nn::evaluate(net, test, objective).loss);
  fmt::print("\n{}: root mean squared error {:.0f} g, of masses that deviate by {:.0f} g\n", net.describe(),
             error, guess);

  // The weights, and how a file's text becomes what they were trained on.
  const std::string path =
      (std::filesystem::temp_directory_path() / "tapegrad_penguins.safetensors").string();
  nn::save_state(path, net.state(), {{"table", table.format.text()}});
  const nn::CsvFormat format = nn::CsvFormat::parse(nn::load_state_file(path).metadata.at("table"));
  const nn::Table again = format.read(data);
  net.eval();
  const Tensor first = slice(again.features, 0, 0, 1);
  fmt::print("the first one weighs {:.0f} g, predicted are {:.0f} g\n", again.targets.values<float>()[0],
             (net(first) * scale + average).item());
  std::filesystem::remove(path);
}
