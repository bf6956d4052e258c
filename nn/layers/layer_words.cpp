#include <algorithm>
#include <iterator>
#include <map>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/io/text.h>
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/affine.h>
#include <tapegrad/nn/layers/batch_norm.h>
#include <tapegrad/nn/layers/conv.h>
#include <tapegrad/nn/layers/dropout.h>
#include <tapegrad/nn/layers/flatten.h>
#include <tapegrad/nn/layers/layer_words.h>
#include <tapegrad/nn/layers/pool.h>
#include <tapegrad/nn/layers/upsample.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tapegrad::nn {

namespace {

std::string_view trimmed(std::string_view s) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

std::vector<std::string_view> split(std::string_view s, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = s.find(separator);
    parts.push_back(trimmed(s.substr(0, end)));
    if (end == std::string_view::npos) return parts;
    s.remove_prefix(end + 1);
  }
}

/// A word in its parts: name:values:options.
class Word {
 public:
  explicit Word(std::string_view text) : text_(text), parts_(split(text, ':')) {}

  std::string_view text() const { return text_; }
  std::string_view name() const { return parts_[0]; }

  /// The numbers behind the first colon, separated by an x.
  std::vector<std::int64_t> numbers(std::size_t least, std::size_t most) const {
    if (parts_.size() < 2)
      throw ArgumentError(fmt::format("it needs what {} takes; write {}", name(), form()));
    std::vector<std::int64_t> all;
    for (const std::string_view part : split(parts_[1], 'x')) all.push_back(number<std::int64_t>(part));
    if (all.size() < least || all.size() > most)
      throw ArgumentError(fmt::format("'{}' are {} numbers; write {}", parts_[1], all.size(), form()));
    return all;
  }
  /// The one number behind the first colon.
  double real() const {
    if (parts_.size() < 2)
      throw ArgumentError(fmt::format("it needs what {} takes; write {}", name(), form()));
    return number<double>(parts_[1]);
  }
  /// The value of option "name=value"; `otherwise` where it is not given.
  std::int64_t option(std::string_view name, std::int64_t otherwise) {
    for (std::size_t i = 2; i < parts_.size(); ++i)
      if (parts_[i].starts_with(name) && parts_[i].substr(name.size()).starts_with('=')) {
        known_.push_back(i);
        return number<std::int64_t>(parts_[i].substr(name.size() + 1));
      }
    return otherwise;
  }
  bool flag(std::string_view name) {
    for (std::size_t i = 2; i < parts_.size(); ++i)
      if (parts_[i] == name) {
        known_.push_back(i);
        return true;
      }
    return false;
  }
  /// Throws for options that were not asked for.
  void require_no_other() const {
    for (std::size_t i = 2; i < parts_.size(); ++i)
      if (std::find(known_.begin(), known_.end(), i) == known_.end())
        throw ArgumentError(fmt::format("'{}' is no option of {}; write {}", parts_[i], name(), form()));
  }
  void require_alone() const {
    if (parts_.size() > 1) throw ArgumentError(fmt::format("'{}' takes nothing behind a colon", name()));
  }

 private:
  template <class N>
  N number(std::string_view text) const {
    if (const auto n = files::number_in<N>(text)) return *n;
    throw ArgumentError(fmt::format("'{}' is no number; write {}", text, form()));
  }
  std::string form() const;

  std::string_view text_;
  std::vector<std::string_view> parts_;
  std::vector<std::size_t> known_;
};

/// What a layer is made with: its word, the shape that comes in with a batch in front, and what is drawn from.
struct Site {
  Word& word;
  const Shape& input;
  Generator& generator;
  const LayerWordsOptions& options;

  /// Channels of images, or features.
  std::int64_t channels() const {
    if (input.rank() < 2) throw ShapeError("what comes in has no axis of channels, as its items are scalars");
    return input[1];
  }
};

std::unique_ptr<Module> make_conv(Site s) {
  const std::vector<std::int64_t> n = s.word.numbers(2, 3);
  Conv2dLayerOptions o{.stride = s.word.option("stride", 1),
                       .padding = s.word.option("pad", 0),
                       .dilation = s.word.option("dilation", 1),
                       .groups = s.word.option("groups", 1),
                       .init = s.options.init,
                       .bias = !s.word.flag("no-bias"),
                       .dtype = s.options.dtype};
  if (s.word.flag("same")) {
    if (s.word.option("pad", -1) != -1) throw ArgumentError("it has both pad and same; give one of them");
    o.padding = "same";
  }
  return std::make_unique<Conv2d>(s.channels(), n[0], Sizes<2>(n[1], n.back()), s.generator, o);
}

/// A pooling: its kernel is one number or two.
template <class Pool, class Options>
std::unique_ptr<Module> make_pool(Site s) {
  const std::vector<std::int64_t> n = s.word.numbers(1, 2);
  return std::make_unique<Pool>(Options{.kernel = {n[0], n.back()},
                                        .stride = s.word.option("stride", kKernelStride),
                                        .padding = s.word.option("pad", 0)});
}

std::unique_ptr<Module> make_affine(Site s) {
  if (s.input.rank() != 2)
    throw ShapeError(fmt::format("what comes in is {} for an item; put a flatten before it",
                                 to_string(s.input.removed(0))));
  return std::make_unique<Affine>(
      s.channels(), s.word.numbers(1, 1)[0], s.generator,
      AffineOptions{.init = s.options.init, .bias = !s.word.flag("no-bias"), .dtype = s.options.dtype});
}

template <class D>
std::unique_ptr<Module> make_dropout(Site s) {
  return std::make_unique<D>(s.word.real(), s.generator);
}

std::unique_ptr<Module> make_upsample(Site s) {
  const bool bilinear = s.word.flag("bilinear");
  return std::make_unique<Upsample>(
      UpsampleOptions{.scale = s.word.real(),
                      .mode = bilinear ? UpsampleMode::bilinear : UpsampleMode::nearest,
                      .align_corners = s.word.flag("align-corners")});
}

// Of how many elements one of the result is computed.

double area_of_conv(Site s) {
  const std::vector<std::int64_t> n = s.word.numbers(2, 3);
  return static_cast<double>(n[1]) * static_cast<double>(n.back()) * static_cast<double>(s.channels()) /
         static_cast<double>(s.word.option("groups", 1));
}
double area_of_pool(Site s) {
  const std::vector<std::int64_t> n = s.word.numbers(1, 2);
  return static_cast<double>(n[0]) * static_cast<double>(n.back());
}
double all_features(Site s) { return static_cast<double>(s.channels()); }

/// All words beside those of activations.
constexpr struct {
  std::string_view name;
  std::string_view form;
  std::unique_ptr<Module> (*make)(Site);
  double (*elements_of_each)(Site) = nullptr;  ///< none: one
} kWords[] = {
    {"conv", "conv:CHANNELSxKERNEL[xKERNEL][:pad=N|:same][:stride=N][:dilation=N][:groups=N][:no-bias]",
     make_conv, area_of_conv},
    {"pool", "pool:KERNEL[xKERNEL][:pad=N][:stride=N]", make_pool<MaxPool2d, MaxPool2dOptions>, area_of_pool},
    {"avg-pool", "avg-pool:KERNEL[xKERNEL][:pad=N][:stride=N]", make_pool<AvgPool2d, AvgPool2dOptions>,
     area_of_pool},
    {"global-avg-pool", "global-avg-pool",
     [](Site s) -> std::unique_ptr<Module> {
       s.word.require_alone();
       return std::make_unique<GlobalAvgPool>();
     }},
    {"flatten", "flatten",
     [](Site s) -> std::unique_ptr<Module> {
       s.word.require_alone();
       return std::make_unique<Flatten>();
     }},
    {"affine", "affine:SIZE[:no-bias]", make_affine, all_features},
    {"batch-norm", "batch-norm",
     [](Site s) -> std::unique_ptr<Module> {
       s.word.require_alone();
       return std::make_unique<BatchNorm>(s.channels(), BatchNormOptions{.dtype = s.options.dtype});
     }},
    {"dropout", "dropout:RATIO", make_dropout<Dropout>},
    {"dropout2d", "dropout2d:RATIO", make_dropout<Dropout2d>},
    {"upsample", "upsample:SCALE[:bilinear][:align-corners]", make_upsample},
};

std::string Word::form() const {
  for (const auto& w : kWords)
    if (w.name == name()) return std::string(w.form);
  return std::string(name());
}

std::unique_ptr<Module> make_layer(Site s) {
  for (const auto& w : kWords)
    if (w.name == s.word.name()) {
      std::unique_ptr<Module> made = w.make(s);
      s.word.require_no_other();
      return made;
    }
  for (const std::string& name : activation_names())
    if (name == s.word.name()) {
      s.word.require_alone();
      return make_activation(name);
    }
  throw ArgumentError(fmt::format("it is not known; there are {}", layer_word_forms()));
}

double elements_of(const Shape& shape) {
  double elements = 1;
  for (const std::int64_t size : shape.dims()) elements *= static_cast<double>(size);
  return elements;
}

/// The shape of what a layer makes of a batch of one item, which it does not compute: a batch of no items shows it.
Shape result_of(Module& layer, const Shape& input, Dtype dtype) {
  const EvaluationMode evaluation(layer);
  try {
    return layer(Tensor::zeros(input.with(0, 0), dtype)).shape().with(0, 1);
  } catch (const Error&) {
    return layer(Tensor::zeros(input, dtype)).shape();  // whose error tells of one item
  }
}

/// The multiplications of a layer for one item.
double work_of(Site s, const Shape& result) {
  const auto row = std::ranges::find(kWords, s.word.name(), [](const auto& w) { return w.name; });
  const double each = row == std::end(kWords) || !row->elements_of_each ? 1 : row->elements_of_each(s);
  return elements_of(s.input) + each * elements_of(result);
}

constexpr std::size_t kMostWords = 10'000;
constexpr double kMostWork = 1e11;

}  // namespace

std::string layer_word_forms() {
  std::string all;
  for (const auto& w : kWords) all += fmt::format("{}, ", w.form);
  return all + fmt::format("{}", fmt::join(activation_names(), ", "));
}

Sequential layers_from_words(std::string_view words, const Shape& item, Generator& generator,
                             const LayerWordsOptions& options) {
  const Pause untracked;
  Sequential net;
  std::map<std::string, int> numbers;
  Shape shape = item.inserted(0, 1);
  if (options.standardize) {
    net.append("standardize", Standardize(*options.standardize));
    shape = result_of(net, shape, options.dtype);
  }
  const std::vector<std::string_view> all = split(words, ',');
  if (all.size() > kMostWords)
    throw ArgumentError(fmt::format("layers: there are {} words; there may be {}", all.size(), kMostWords));
  double work = 0;
  for (const std::string_view text : all) {
    // Errors name the word, and then the layer.
    tapegrad::detail::named(fmt::format("layers: '{}'", text), [&] {
      Word word(text);
      const Site site{word, shape, generator, options};
      std::unique_ptr<Module> layer = make_layer(site);
      const Shape result = result_of(*layer, shape, options.dtype);
      work += work_of(site, result);
      if (work > kMostWork)
        throw ArgumentError(fmt::format(
            "with it one item takes {:.1e} multiplications; {:.0e} are the most for a network of words: make "
            "kernels, channels or images smaller",
            work, kMostWork));
      shape = result;
      const std::string name(word.name());
      net.append(fmt::format("{}{}", name, ++numbers[name]), std::move(layer));
    });
  }
  return net;
}

}  // namespace tapegrad::nn
