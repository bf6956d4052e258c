#include <algorithm>
#include <iterator>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/onnx/free_sizes.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tapegrad::nn::onnx {

// ---- sums of products ----

Dim operator+(const Dim& a, const Dim& b) {
  Dim sum{a.constant + b.constant};
  auto i = a.products.begin();
  auto k = b.products.begin();
  while (i != a.products.end() || k != b.products.end()) {
    const bool takes_a = k == b.products.end() || (i != a.products.end() && i->sizes <= k->sizes);
    const bool takes_b = i == a.products.end() || (k != b.products.end() && k->sizes <= i->sizes);
    SizeProduct p{takes_a ? i->sizes : k->sizes, 0};
    if (takes_a) p.factor += i++->factor;
    if (takes_b) p.factor += k++->factor;
    if (p.factor != 0) sum.products.push_back(p);
  }
  return sum;
}

Dim operator*(const Dim& a, std::int64_t n) {
  if (n == 0) return {};
  Dim product = a;
  product.constant *= n;
  for (SizeProduct& p : product.products) p.factor *= n;
  return product;
}

std::string to_string(const Dim& dim, const std::vector<FreeSize>& sizes) {
  std::string text;
  for (const auto& [set, factor] : dim.products) {
    std::vector<std::string> factors;
    if (factor != 1 || dim.products.size() > 1 || dim.constant != 0)
      factors.push_back(fmt::format("{}", factor));
    for (std::size_t k = 0; k < sizes.size(); ++k)
      if (set >> k & 1) factors.push_back(sizes[k].name);
    text += fmt::format("{}{}", text.empty() || factor < 0 ? "" : "+", fmt::join(factors, "*"));
  }
  if (dim.products.empty()) return fmt::format("{}", dim.constant);
  return dim.constant == 0 ? text : fmt::format("{}{:+}", text, dim.constant);
}

std::vector<FreeSize> sizes_in(const Dim& dim, const std::vector<FreeSize>& sizes) {
  std::vector<FreeSize> some;
  for (std::size_t k = 0; k < sizes.size(); ++k)
    if (std::ranges::any_of(dim.products, [&](const SizeProduct& p) { return p.sizes >> k & 1; }))
      some.push_back(sizes[k]);
  return some;
}

// ---- what the options say ----

namespace {

constexpr const char* kBatch = "batch";

class Collector {
 public:
  explicit Collector(const std::vector<OnnxTensor>& inputs) : inputs_(inputs) {}

  /// `hint` says what to do where the axis is not one.
  void add(const std::string& name, std::size_t input, std::int64_t axis, std::string_view hint) {
    const Tensor& t = inputs_[input].tensor;
    const std::string where =
        fmt::format("the input '{}' {}", inputs_[input].name, tapegrad::to_string(t.shape()));
    if (axis < 0 || axis >= static_cast<std::int64_t>(t.rank()))
      throw ArgumentError(
          fmt::format("save_onnx: {} has no axis {} for the {}; {}", where, axis, name, hint));
    for (const FreeSize& other : sizes_)
      if (other.axes[input] == axis)
        throw ArgumentError(
            fmt::format("save_onnx: axis {} of {} is free as '{}' already; give each axis once", axis, where,
                        other.name));
    auto size = std::ranges::find(sizes_, name, &FreeSize::name);
    if (size == sizes_.end())
      size = sizes_.insert(size, {name, t.dim(axis), std::vector<std::int64_t>(inputs_.size(), -1)});
    if (size->axes[input] >= 0)
      throw ArgumentError(fmt::format(
          "save_onnx: two axes of {} have the name '{}'; give each a name of its own", where, name));
    if (t.dim(axis) != size->example)
      throw ArgumentError(
          fmt::format("save_onnx: {} has {} items along axis {}, an input before it has {}; {}", where,
                      t.dim(axis), axis, size->example, hint));
    if (size->example == 0)
      throw ArgumentError(
          fmt::format("save_onnx: the example is a {} of no items; give one of at least one", name));
    size->axes[input] = axis;
  }
  std::vector<FreeSize> take() && { return std::move(sizes_); }

 private:
  const std::vector<OnnxTensor>& inputs_;
  std::vector<FreeSize> sizes_;
};

void add_batch(Collector& to, const std::vector<OnnxTensor>& inputs, const OnnxOptions& options) {
  if (!options.batch_axes.empty() && options.batch_axes.size() != inputs.size())
    throw ArgumentError(
        fmt::format("save_onnx: there are {} batch_axes and {} inputs; give one for each, -1 for none",
                    options.batch_axes.size(), inputs.size()));
  bool has_batch = false;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::int64_t axis = options.batch_axes.empty() ? 0 : options.batch_axes[i];
    if (axis == -1) continue;
    to.add(kBatch, i, axis, "give the axes of the batch in batch_axes, -1 where there is none");
    has_batch = true;
  }
  if (!has_batch)
    throw ArgumentError("save_onnx: no input has a batch; say so with OnnxOptions::free_batch = false");
}

}  // namespace

std::vector<FreeSize> free_sizes(const std::vector<OnnxTensor>& inputs, const OnnxOptions& options) {
  Collector all(inputs);
  if (options.free_batch) add_batch(all, inputs, options);
  for (const OnnxFreeAxis& free : options.free_axes) {
    if (free.name.empty() || free.name == kBatch)
      throw ArgumentError(
          fmt::format("save_onnx: a free axis has the name '{}'; give it one of its own, such as "
                      "\"sequence\" (axes of the batch stand in batch_axes)",
                      free.name));
    if (free.input >= inputs.size())
      throw ArgumentError(fmt::format("save_onnx: '{}' is to be free in input {} of {}; inputs count from 0",
                                      free.name, free.input, inputs.size()));
    all.add(free.name, free.input, free.axis, "see OnnxOptions::free_axes");
  }
  std::vector<FreeSize> sizes = std::move(all).take();
  // The network runs for each set of them.
  constexpr std::size_t kMost = 4;
  if (sizes.size() > kMost)
    throw ArgumentError(
        fmt::format("save_onnx: {} sizes are to be free; at most {} may be", sizes.size(), kMost));
  return sizes;
}

std::string names_of(const std::vector<FreeSize>& sizes) {
  std::vector<std::string> names;
  for (const FreeSize& s : sizes)
    names.push_back(s.name == kBatch ? "the batch" : fmt::format("'{}'", s.name));
  return fmt::format("{}", fmt::join(names, " and "));
}

std::string advice(const std::vector<FreeSize>& sizes) {
  std::vector<std::string> ways;
  for (const FreeSize& s : sizes)
    ways.push_back(
        s.name == kBatch
            ? "export with a fixed batch (OnnxOptions::free_batch = false)"
            : fmt::format("export with a fixed '{}' (without it in OnnxOptions::free_axes)", s.name));
  return fmt::format("{}, or write it so that it does not depend on {}", fmt::join(ways, " or "),
                     names_of(sizes));
}

// ---- runs ----

std::vector<Growth> growths_of_runs(std::size_t free_sizes) {
  std::vector<Growth> all;
  for (std::size_t set = 0; set < std::size_t{1} << free_sizes; ++set) {
    Growth& growth = all.emplace_back(free_sizes);
    for (std::size_t k = 0; k < free_sizes; ++k) growth[k] = set >> k & 1;
  }
  for (std::size_t k = 0; k < free_sizes; ++k) all.emplace_back(free_sizes)[k] = 2;
  if (free_sizes > 1) all.emplace_back(free_sizes, 2);
  all.emplace_back(free_sizes);
  return all;
}

std::vector<OnnxTensor> grown(const std::vector<OnnxTensor>& inputs, const std::vector<FreeSize>& sizes,
                              const Growth& growth) {
  std::vector<OnnxTensor> result = inputs;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    if (growth[k] == 0) continue;
    const std::int64_t example = sizes[k].example;
    std::vector<std::int64_t> items(static_cast<std::size_t>(example + growth[k]));
    for (std::size_t i = 0; i < items.size(); ++i) items[i] = (static_cast<std::int64_t>(i) + 1) % example;
    const Tensor indices = Tensor::from(items);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (sizes[k].axes[i] >= 0)
        result[i].tensor = index_select(result[i].tensor.detach(), sizes[k].axes[i], indices);
  }
  return result;
}

std::vector<OnnxTensor> varied(const std::vector<OnnxTensor>& inputs) {
  std::vector<OnnxTensor> result = inputs;
  for (OnnxTensor& input : result) {
    const Tensor given = flatten(input.tensor.detach());
    std::vector<std::int64_t> items(static_cast<std::size_t>(given.size()));
    for (std::size_t i = 0; i < items.size(); ++i)
      items[i] = static_cast<std::int64_t>(items.size() - 1 - i) / 2;
    Tensor other = index_select(given, 0, Tensor::from(items));
    if (is_floating(other.dtype())) other = where(other == 0, 0.125, 0.75 * other);
    input.tensor = reshape(other, input.tensor.shape());
  }
  return result;
}

}  // namespace tapegrad::nn::onnx
