#include <algorithm>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/safetensors.h>

#include <fmt/format.h>

namespace tapegrad::nn::safetensors {

namespace {

std::uint64_t read_length(InputFile& file) {
  std::uint64_t length = 0;
  if (file.size() < sizeof length)
    file.fail(fmt::format("is no safetensors file: {} bytes are fewer than the 8 of its header's length",
                          file.size()));
  file.read(&length, sizeof length);
  return length;
}

std::string read_header_text(InputFile& file, std::uint64_t length) {
  if (length > kLongestHeader || length > file.size() - sizeof length)
    file.fail(
        fmt::format("is no safetensors file or is truncated: it announces a header of {} bytes, {} follow",
                    length, file.size() - sizeof length));
  std::string header(length, '\0');
  file.read(header.data(), header.size());
  return header;
}

/// The entries in the order of their data, which must fill [0, size) without a gap.
std::vector<Entry*> in_file_order(const InputFile& file, Header& header, std::uint64_t size) {
  std::vector<Entry*> entries;
  for (Entry& e : header.entries) entries.push_back(&e);
  std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  std::uint64_t end = 0;
  for (const Entry* e : entries) {
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

/// An undefined tensor, and the reason, for an entry that no tensor can hold.
Tensor read_tensor(InputFile& file, Entry& e) {
  files::FileSource source(file);
  try {
    if (e.unreadable.empty()) return read_elements(source, e.shape, e.element);
  } catch (const files::Unrepresentable& error) {
    e.unreadable = error.what();
  }
  return {};
}

}  // namespace

void save(const std::string& path, const State& state, const Metadata& metadata, const SaveOptions& options) {
  std::vector<files::Element> elements;
  for (const auto& [name, tensor] : state) elements.push_back(files::saved_element(tensor.dtype(), options));
  // The largest elements first, so that every tensor of the file is aligned.
  std::vector<std::size_t> order(state.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [&](std::size_t i) { return size_of(elements[i]); });

  Header header{.entries = std::vector<Entry>(state.size()), .metadata = metadata};
  std::uint64_t end = 0;
  for (const std::size_t i : order) {
    const auto& [name, tensor] = state[i];
    const std::uint64_t bytes = static_cast<std::uint64_t>(tensor.size()) * size_of(elements[i]);
    header.entries[i] = {name, elements[i], tensor.shape(), end, end + bytes};
    end += bytes;
  }
  std::string text = write_header(header);
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();

  AtomicFile file(path);
  file.write(&length, sizeof length);
  file.write(text);
  for (const std::size_t i : order) {
    std::string converted;
    file.write(files::elements_of(state[i].second, elements[i], converted));
  }
  file.commit();
}

SavedState load(const std::string& path) {
  InputFile file(path);
  const std::uint64_t length = read_length(file);
  const std::string text = read_header_text(file, length);
  Header header;
  try {
    header = read_header(text);
  } catch (const FileError& e) {
    file.fail(fmt::format("is damaged or no safetensors file: {}", e.what()));
  }
  const std::uint64_t start = sizeof(std::uint64_t) + text.size();
  const std::vector<Entry*> order = in_file_order(file, header, file.size() - start);

  std::vector<Tensor> tensors(header.entries.size());
  for (Entry* e : order) {
    file.seek(start + e->begin);
    tensors[static_cast<std::size_t>(e - header.entries.data())] = read_tensor(file, *e);
  }
  SavedState saved;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    Entry& e = header.entries[i];
    if (tensors[i].defined()) {
      note_conversion(saved, e.name, e.element);
      saved.tensors.emplace_back(std::move(e.name), std::move(tensors[i]));
    } else {
      saved.skipped.push_back({std::move(e.name), std::move(e.unreadable)});
    }
  }
  if (saved.tensors.empty() && !saved.skipped.empty())
    file.fail(fmt::format("has no tensor that can be read, of {}; '{}': {}", saved.skipped.size(),
                          saved.skipped[0].name, saved.skipped[0].reason));
  saved.metadata = std::move(header.metadata);
  return saved;
}

}  // namespace tapegrad::nn::safetensors
