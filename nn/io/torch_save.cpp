#include <string>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/safetensors.h>
#include <tapegrad/nn/io/text.h>
#include <tapegrad/nn/io/torch_file.h>
#include <tapegrad/nn/io/torch_names.h>
#include <tapegrad/nn/io/zip.h>

#include <fmt/format.h>

namespace tapegrad::nn::torch_file {

namespace {

constexpr std::string_view kOrderedDict = "ccollections\nOrderedDict\n)R";
/// Of members, so that programs may map the file into memory.
constexpr std::uint64_t kAlignment = 64;

std::string little(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i & 255);
  return out;
}
std::string text(std::string_view value) { return "X" + little(value.size(), 4) + std::string(value); }
/// A count, of 31 bits or more.
std::string number(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  return value < std::int64_t{1} << 31 ? "J" + little(bits, 4) : "\x8a\x08" + little(bits, 8);
}
template <class Counts>
std::string tuple(const Counts& counts) {
  std::string out = "(";
  for (const std::int64_t n : counts) out += number(n);
  return out += 't';
}

/// _rebuild_tensor_v2(storage, 0, sizes, strides, False, OrderedDict())
std::string tensor_pickle(const Tensor& t, files::Element element, std::size_t storage) {
  std::vector<std::int64_t> strides(t.rank(), 1);
  for (std::size_t i = t.rank(); i > 1; --i)
    strides[i - 2] = strides[i - 1] * std::max<std::int64_t>(t.shape()[i - 1], 1);
  return fmt::format("ctorch._utils\n_rebuild_tensor_v2\n(({}ctorch\n{}\n{}{}{}tQ{}{}{}\x89{}tR",
                     text("storage"), storage_class_of(element), text(std::to_string(storage)), text("cpu"),
                     number(t.size()), number(0), tuple(t.shape().dims()), tuple(strides), kOrderedDict);
}

}  // namespace

void save(const std::string& path, const State& state, const Metadata& metadata, const SaveOptions& options) {
  // Protocol 2: an OrderedDict whose items are set between two marks.
  std::string pickle = "\x80\x02" + std::string(kOrderedDict) + "(";
  for (std::size_t i = 0; i < state.size(); ++i) {
    const auto& [name, tensor] = state[i];
    if (!files::is_utf8(name))
      throw ArgumentError(fmt::format("save_state: the text '{}' is not UTF-8", name));
    pickle += text(name) + tensor_pickle(tensor, files::saved_element(tensor.dtype(), options), i);
  }
  pickle += "u.";

  AtomicFile file(path);
  zip::Writer archive(file);
  const auto add = [&](std::string_view name, std::string_view bytes) {
    archive.add(fmt::format("archive/{}", name), bytes, {}, kAlignment);
  };
  add("data.pkl", pickle);
  add("byteorder", "little");
  for (std::size_t i = 0; i < state.size(); ++i) {
    std::string converted;
    const Tensor& t = state[i].second;
    add(fmt::format("data/{}", i),
        files::elements_of(t, files::saved_element(t.dtype(), options), converted));
  }
  if (!metadata.empty()) add(kMetadataMember, safetensors::write_header({{}, metadata}));
  add("version", "3\n");
  archive.finish("");
  file.commit();
}

}  // namespace tapegrad::nn::torch_file
