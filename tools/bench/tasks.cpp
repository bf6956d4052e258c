#include "tasks.h"

#include <charconv>
#include <cmath>
#include <random>
#include <stdexcept>
#include <system_error>

namespace tapegrad::bench {

namespace {

// The standard's distributions differ between libraries; its engines do not.
float uniform(std::mt19937_64& engine, float bound) {
  return bound * (static_cast<float>(engine() >> 40) * 0x1p-23F - 1);
}

constexpr std::int64_t kPixels = 784;
constexpr std::int64_t kClasses = 10;

// Which fifth of the pixels a class mostly shows.
std::vector<bool> make_masks() {
  std::mt19937_64 engine(1);
  std::vector<bool> shown(kClasses * kPixels);
  for (std::size_t i = 0; i < shown.size(); ++i) shown[i] = engine() % 5 == 0;
  return shown;
}

// The same for all tasks of a process.
std::shared_ptr<const Items> images() {
  static const std::shared_ptr<const Items> all = make_images(60000, 4);
  return all;
}

NetTask training(std::vector<std::int64_t> widths, std::shared_ptr<const Items> items) {
  NetTask t;
  t.widths = std::move(widths);
  t.train = std::move(items);
  return t;
}

NetTask convolutional(const ImageSize& image, std::vector<ConvLayer> convolutions,
                      std::vector<std::int64_t> widths, std::shared_ptr<const Items> items) {
  NetTask t = training(std::move(widths), std::move(items));
  t.image = image;
  t.convolutions = std::move(convolutions);
  t.widths.insert(t.widths.begin(), t.image_at(t.convolutions.size()).elements());
  t.rule = Rule::adam;
  t.lr = 0.001;
  return t;
}

[[noreturn]] void throw_unknown(const std::string& name) {
  throw std::invalid_argument("there is no training task " + name);
}

// The N of a name WHAT:N.
std::int64_t number_in(const std::string& name) {
  const char* const end = name.data() + name.size();
  std::int64_t n = 0;
  const auto [at, error] = std::from_chars(name.data() + name.find(':') + 1, end, n);
  if (error != std::errc() || at != end || n < 1) throw_unknown(name);
  return n;
}

}  // namespace

std::shared_ptr<const Items> make_images(std::int64_t count, std::uint64_t seed) {
  static const std::vector<bool> masks = make_masks();
  auto items = std::make_shared<Items>();
  items->count = count;
  items->width = kPixels;
  items->pixels.resize(static_cast<std::size_t>(count * kPixels));
  items->labels.resize(static_cast<std::size_t>(count));
  std::mt19937_64 engine(seed);
  for (std::size_t i = 0; i < items->labels.size(); ++i) {
    const std::size_t shown = engine() % kClasses;
    items->labels[i] = static_cast<std::uint8_t>(engine() % 5 == 0 ? engine() % kClasses : shown);
    std::uint64_t bits = 0;
    for (std::size_t p = 0; p < kPixels; ++p) {
      bits = p % 4 == 0 ? engine() : bits >> 16;
      const std::uint64_t chance = masks[shown * kPixels + p] ? 128 : 32;  // of 256: 0.2 on the average
      if ((bits & 255) < chance)
        items->pixels[i * kPixels + p] = static_cast<std::uint8_t>(((bits >> 8) & 255) | 1);
    }
  }
  return items;
}

std::shared_ptr<const Items> make_vectors(std::int64_t count, std::int64_t width, std::int64_t target_width) {
  auto items = std::make_shared<Items>();
  items->count = count;
  items->width = width;
  items->target_width = target_width;
  items->inputs.resize(static_cast<std::size_t>(count * width));
  items->targets.resize(static_cast<std::size_t>(count * target_width));
  std::mt19937_64 engine(2);
  for (float& v : items->inputs) v = uniform(engine, 1);
  for (float& v : items->targets) v = uniform(engine, 1);
  return items;
}

void draw(NetTask& task, std::int64_t batches) {
  std::mt19937_64 engine(3);
  task.weights.clear();
  const auto draw_layer = [&](std::int64_t fan_in, std::int64_t out) {
    std::vector<float> w(static_cast<std::size_t>(fan_in * out));
    const float bound = std::sqrt(6 / static_cast<float>(fan_in));
    for (float& v : w) v = uniform(engine, bound);
    task.weights.push_back(std::move(w));
  };
  for (std::size_t i = 0; i < task.convolutions.size(); ++i) {
    const ConvLayer& c = task.convolutions[i];
    draw_layer(task.image_at(i).channels * c.kernel * c.kernel, c.channels);
  }
  for (std::size_t i = 0; i < task.layers(); ++i) draw_layer(task.widths[i], task.widths[i + 1]);
  task.order.resize(static_cast<std::size_t>(batches * task.batch));
  const auto count = static_cast<std::uint64_t>(task.train->count);
  for (std::int64_t& i : task.order) i = static_cast<std::int64_t>(engine() % count);
}

std::int64_t NetTask::side_of(std::size_t i) const {
  const ConvLayer& c = convolutions[i];
  return image_at(i).side + 2 * c.padding - c.kernel + 1;
}
ImageSize NetTask::image_at(std::size_t i) const {
  if (i == 0) return image;
  const ConvLayer& before = convolutions[i - 1];
  return {before.channels, side_of(i - 1) / (before.pool ? 2 : 1)};
}

std::int64_t NetTask::needed_bytes() const {
  std::int64_t floats = batch * (convolutions.empty() ? widths.front() : image.elements());
  std::int64_t parameters = 0;
  for (std::size_t i = 0; i < convolutions.size(); ++i) {
    const ConvLayer& c = convolutions[i];
    parameters += (image_at(i).channels * c.kernel * c.kernel + 1) * c.channels;
    // Of what is pooled the largest elements, and which they are in two bits each.
    floats += batch * image_at(i + 1).elements() + (c.pool ? batch * image_at(i + 1).elements() / 16 : 0);
  }
  for (std::size_t i = 0; i < layers(); ++i) {
    const bool hidden = i + 1 < layers();
    parameters += (widths[i] + 1) * widths[i + 1] + (hidden && batch_norm ? 2 * widths[i + 1] : 0);
    // The result of the ReLU says where it was cut; BatchNorm reads its normalised input as well.
    floats += batch * widths[i + 1] * (hidden && batch_norm ? 2 : 1);
  }
  floats += parameters * (rule == Rule::adam ? 4 : 2);
  return floats * static_cast<std::int64_t>(sizeof(float));
}

std::shared_ptr<const NetTask> make_net_task(const std::string& name) {
  NetTask t;
  if (name == "W1") {
    t = training({784, 50, 10}, images());
  } else if (name == "startup") {
    t = training({784, 50, 10}, make_images(100, 4));
  } else if (name == "W2") {
    t = training({784, 100, 100, 100, 100, 100, 100, 10}, images());
    t.batch_norm = true;
    t.rule = Rule::adam;
    t.lr = 0.001;
  } else if (name == "W3") {
    t = training({1024, 4096, 4096, 1024}, make_vectors(1024, 1024, 1024));
    t.loss = Loss::squared_error;
    t.batch = 256;
  } else if (name == "W4") {
    t = convolutional({1, 28}, {{30, 5, 0, true}}, {100, 10}, images());
  } else if (name == "W4b") {
    t = convolutional(
        {1, 28}, {{16, 3, 1}, {16, 3, 1, true}, {32, 3, 1}, {32, 3, 2, true}, {64, 3, 1}, {64, 3, 1, true}},
        {50, 10}, images());
  } else if (name.starts_with("conv-side:") || name.starts_with("conv-channels:") ||
             name.starts_with("conv-batch:")) {
    const std::int64_t n = number_in(name);
    const std::int64_t side = name.starts_with("conv-side:") ? n : 32;
    const std::int64_t channels = name.starts_with("conv-channels:") ? n : 32;
    t = convolutional({channels, side}, {{channels, 3, 1}, {channels, 3, 1, true}}, {10},
                      make_vectors(32, channels * side * side, 10));
    t.loss = Loss::squared_error;
    t.rule = Rule::sgd;
    t.lr = 0.01;
    t.batch = name.starts_with("conv-batch:") ? n : 8;
  } else if (name.starts_with("batch:")) {
    t = training({784, 100, 10}, images());
    t.batch = number_in(name);
  } else if (name.starts_with("width:")) {
    t = training({784, number_in(name), 10}, images());
  } else if (name.starts_with("depth:")) {
    std::vector<std::int64_t> widths(static_cast<std::size_t>(number_in(name)) + 2, 256);
    widths.front() = 784;
    widths.back() = 10;
    t = training(std::move(widths), make_images(1000, 4));
    t.lr = 0.01;
  } else {
    throw_unknown(name);
  }
  draw(t, 1000);
  return std::make_shared<const NetTask>(std::move(t));
}

std::shared_ptr<const FormulaTask> make_formula_task(std::int64_t count) {
  auto t = std::make_shared<FormulaTask>();
  t->x.resize(static_cast<std::size_t>(count));
  std::mt19937_64 engine(5);
  for (float& v : t->x) v = uniform(engine, 4);
  return t;
}

std::shared_ptr<const ScalarCodeTask> make_scalar_code_task(ScalarCode code) {
  auto t = std::make_shared<ScalarCodeTask>();
  t->code = code;
  std::mt19937_64 engine(6);
  switch (code) {
    case ScalarCode::rosenbrock:
      for (int i = 0; i < 10000; ++i) t->at.push_back(uniform(engine, 1.5F));
      break;
    case ScalarCode::ode:
      t->at = {1.1, 0.4, 0.1, 0.4};
      for (int i = 0; i < 40; ++i) t->data.insert(t->data.end(), {9 + double{uniform(engine, 3)}, 5});
      break;
    case ScalarCode::mixture:
      t->at = {0.4, -1, 1.5, 0.1, -0.2};
      for (int i = 0; i < 10000; ++i) t->data.push_back((i % 2 ? 2.0 : -1.5) + double{uniform(engine, 2)});
      break;
    case ScalarCode::cameras: {
      const auto moved = [&](double by) { return by * double{uniform(engine, 1)}; };
      for (std::size_t i = 0; i < kCameras; ++i)
        t->at.insert(t->at.end(), {moved(0.2), moved(0.2), moved(0.2), moved(0.5), moved(0.5), -8 + moved(1),
                                   500 + moved(20), moved(0.05), moved(0.01)});
      constexpr std::size_t kPoints = 200;
      for (std::size_t i = 0; i < 3 * kPoints; ++i) t->at.push_back(moved(2));
      for (std::size_t i = 0; i < 2 * kCameras * kPoints; ++i) t->data.push_back(moved(150));
      break;
    }
  }
  return t;
}

std::vector<float> convolution_values(std::int64_t count, std::uint64_t seed) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  std::vector<float> v(static_cast<std::size_t>(count));
  for (float& x : v) x = static_cast<float>(random() >> 8) * 0x1p-24F - 0.5F;
  return v;
}

}  // namespace tapegrad::bench
