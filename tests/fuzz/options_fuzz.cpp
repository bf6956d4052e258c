#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/optim/schedule.h>

#include "cli/models.h"
#include "fuzz.h"

using namespace tapegrad;

namespace {

void try_init(std::string_view text) {
  try {
    const nn::Init init = nn::Init::parse(text);
    fuzz::require(nn::Init::parse(init.text()).text() == init.text(),
                  "initial weights come back from their text");
    Generator rng(0);
    init(Shape{2, 3}, rng);
  } catch (const ArgumentError&) {
  }
}

void try_schedule(std::string_view text) {
  try {
    const optim::Schedule schedule = optim::make_schedule(text, 0.1, 100);
    for (const std::int64_t step : {0, 1, 50, 99, 100, 1000})
      fuzz::require(!(schedule(step) < 0), "rates are not negative");
  } catch (const ArgumentError&) {
  }
}

/// The lines as what the command is told of its model, which is then built and comes back from a file.
void try_model(std::string_view lines) {
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at <= lines.size();) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size());
    arguments.insert(arguments.begin(),
                     std::string(lines.substr(at, end - at)));  // the last one first, as CLI11 takes them
    at = end + 1;
  }
  CLI::App app;
  cli::ModelOptions options;
  options.add_to(app);
  try {
    app.parse(arguments);
  } catch (const CLI::Error&) {
    return;
  }
  // Memory is not what is tried here.
  for (const std::int64_t width : options.hidden)
    if (width > 64) return;
  if (options.layers.find_first_of("3456789") != std::string::npos || options.layers.size() > 200) return;
  try {
    Generator rng(0);
    const cli::Model model =
        cli::build_model(options, options.takes_images() ? Shape{1, 12, 12} : Shape{3}, 2, rng);
    const std::string path = fuzz::output_path(".npz");
    const nn::SavedState state{model.net->state(), {{"model", model.description}}};
    nn::save_state(path, state.tensors, state.metadata);
    fuzz::require_same(nn::load_state_file(path), state);
    model.net->load_state(state.tensors);
  } catch (const ArgumentError&) {
  } catch (const ShapeError&) {
  }
}

}  // namespace

/// Texts: of initial weights, of schedules, of the command's model options.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try_init(text);
  try_schedule(text);
  try_model(text);
  return 0;
}
