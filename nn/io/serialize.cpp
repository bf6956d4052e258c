#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/npy_format.h>
#include <tapegrad/nn/io/npz.h>
#include <tapegrad/nn/io/safetensors.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/io/zip.h>

#include <fmt/format.h>

namespace tapegrad::nn {

using tapegrad::detail::TensorAccess;

namespace {

std::size_t bytes_of(const Tensor& t) { return static_cast<std::size_t>(t.size()) * size_of(t.dtype()); }

void require_saveable(const State& state) {
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : state) {
    if (!tensor.defined()) throw ArgumentError(fmt::format("save_state: '{}' is an undefined tensor", name));
    if (name == safetensors::kMetadata)
      throw ArgumentError(fmt::format("save_state: the name '{}' is reserved by the file format", name));
    if (!names.insert(name).second)
      throw ArgumentError(fmt::format("save_state: the name '{}' is given twice", name));
  }
}

// The format's own limit keeps a damaged length from taking all memory.
constexpr std::uint64_t kLongestHeader = 100'000'000;

std::uint64_t read_length(InputFile& file) {
  std::uint64_t length = 0;
  if (file.size() < sizeof length)
    file.fail(fmt::format("is no safetensors file: {} bytes are fewer than the 8 of its header's length",
                          file.size()));
  file.read(&length, sizeof length);
  return length;
}

/// Whether a file that starts with this length starts with that text. No header is as long as a text says.
bool is_text(std::uint64_t length, std::string_view text) {
  return length > kLongestHeader && std::memcmp(&length, text.data(), text.size()) == 0;
}

std::string read_header(InputFile& file, std::uint64_t length) {
  if (length > kLongestHeader || length > file.size() - sizeof length)
    file.fail(
        fmt::format("is no safetensors file or is truncated: it announces a header of {} bytes, {} follow",
                    length, file.size() - sizeof length));
  std::string header(length, '\0');
  file.read(header.data(), header.size());
  return header;
}

/// The entries in the order of their data, which must fill [0, size) without a gap.
std::vector<const safetensors::Entry*> in_file_order(const InputFile& file, const safetensors::Header& header,
                                                     std::uint64_t size) {
  std::vector<const safetensors::Entry*> entries;
  for (const safetensors::Entry& e : header.entries) entries.push_back(&e);
  std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  std::uint64_t end = 0;
  for (const safetensors::Entry* e : entries) {
    if (e->end > size)
      file.fail(fmt::format("is truncated or damaged: tensor '{}' lies at [{}, {}] of {} bytes of data",
                            e->name, e->begin, e->end, size));
    if (e->begin != end)
      file.fail(fmt::format("is damaged: tensor '{}' starts at {}, expected {} where the one before it ends",
                            e->name, e->begin, end));
    end = e->end;
  }
  if (end != size) file.fail(fmt::format("is damaged: {} bytes of data follow the last tensor", size - end));
  return entries;
}

Tensor read_tensor(InputFile& file, const safetensors::Entry& e) {
  files::FileSource source(file);
  try {
    return read_elements(source, e.shape, e.element);
  } catch (const FileError& error) {
    file.fail(fmt::format("cannot be read, tensor '{}': {}", e.name, error.what()));
  }
}

}  // namespace

void save_state(const std::string& path, const State& state, const Metadata& metadata) {
  require_saveable(state);
  if (path.ends_with(".npy"))
    throw ArgumentError(fmt::format(
        "save_state: '{}' would hold one array without a name; take .npz, or save_npy for a tensor", path));
  if (path.ends_with(".npz")) return npz::save(path, state, metadata);
  // Elements of 8 bytes first, so that every tensor of the file is aligned.
  std::vector<std::size_t> order(state.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_partition(order.begin(), order.end(),
                        [&](std::size_t i) { return size_of(state[i].second.dtype()) == 8; });

  safetensors::Header header{.entries = std::vector<safetensors::Entry>(state.size()), .metadata = metadata};
  std::uint64_t end = 0;
  for (const std::size_t i : order) {
    const auto& [name, tensor] = state[i];
    header.entries[i] = {name, files::element_of(tensor.dtype()), tensor.shape(), end,
                         end + bytes_of(tensor)};
    end += bytes_of(tensor);
  }
  std::string text = safetensors::write_header(header);
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();

  AtomicFile file(path);
  file.write(&length, sizeof length);
  file.write(text);
  for (const std::size_t i : order)
    file.write(TensorAccess::data(state[i].second), bytes_of(state[i].second));
  file.commit();
}

SavedState load_state_file(const std::string& path) {
  InputFile file(path);
  const std::uint64_t length = read_length(file);
  if (is_text(length, zip::kMagic) || is_text(length, zip::kMagicOfNone)) return npz::load(path);
  if (is_text(length, npy::kMagic)) file.fail("holds one array without a name: read it with load_npy");
  const std::string text = read_header(file, length);
  safetensors::Header header;
  try {
    header = safetensors::read_header(text);
  } catch (const FileError& e) {
    file.fail(fmt::format("is damaged or no safetensors file: {}", e.what()));
  }
  const std::uint64_t size = file.size() - sizeof(std::uint64_t) - text.size();
  const std::vector<const safetensors::Entry*> order = in_file_order(file, header, size);

  SavedState saved;
  saved.tensors.resize(header.entries.size());
  for (const safetensors::Entry* e : order) {
    saved.tensors[static_cast<std::size_t>(e - header.entries.data())] = {e->name, read_tensor(file, *e)};
  }
  saved.metadata = std::move(header.metadata);
  return saved;
}

}  // namespace tapegrad::nn
