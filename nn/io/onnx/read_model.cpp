#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/memory_budget.h>
#include <tapegrad/nn/io/onnx/model.h>
#include <tapegrad/nn/io/onnx/protobuf_reader.h>
#include <tapegrad/nn/io/onnx/read_tensor.h>
#include <tapegrad/nn/io/onnx/schema.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

namespace {

/// Operators of older ones take other inputs and attributes.
constexpr std::int64_t kOldestOpset = 13, kNewestOpset = 21;

/// Of ONNX itself; others are extensions of runtimes.
bool is_own_domain(std::string_view domain) { return domain.empty() || domain == "ai.onnx"; }

constexpr const char* kRefusal =
    "its graph has more nodes, values and attributes than a model in a file of this size, with names for "
    "each";

class ModelReader {
 public:
  ModelReader(std::string_view bytes, const std::string& path)
      : bytes_(bytes), external_(path), budget_(bytes.size(), kRefusal) {}

  Model read() && {
    std::string_view graph;
    bool has_graph = false, has_opset = false;
    for (MessageReader m(bytes_, "the file"); m.next();) switch (m.field()) {
        case field::model::graph:
          graph = m.bytes();
          has_graph = true;
          break;
        case field::model::opset_import:
          has_opset |= read_opset(m.bytes());
          break;
        case field::model::metadata:
          read_metadata(m.bytes());
          break;
        default:
          break;
      }
    if (!has_graph || !has_opset)
      throw FileError("it is no ONNX model: there is no graph, or no version of operators");
    if (model_.opset < kOldestOpset || model_.opset > kNewestOpset)
      throw FileError(
          fmt::format("it uses version {} of ONNX's operators; {} to {} are read. Python's "
                      "onnx.version_converter.convert_version(model, {}) gives another",
                      model_.opset, kOldestOpset, kNewestOpset, Model::kOpset));
    read_graph(graph);
    return std::move(model_);
  }

 private:
  bool read_opset(std::string_view bytes) {
    std::string domain;
    std::int64_t version = 0;
    for (MessageReader m(bytes, "a version of operators"); m.next();) {
      if (m.field() == field::opset::domain) domain = m.text();
      if (m.field() == field::opset::version) version = m.integer();
    }
    if (!is_own_domain(domain)) return false;
    model_.opset = version;
    return true;
  }

  void read_metadata(std::string_view bytes) {
    std::string key, value;
    for (MessageReader m(bytes, "an entry of the metadata"); m.next();) {
      if (m.field() == field::entry::key) key = m.text();
      if (m.field() == field::entry::value) value = m.text();
    }
    constexpr std::size_t kNode = 48;  // of the map, with its piece of memory
    budget_.take(kNode + sizeof key + sizeof value + room_of(key) + room_of(value));
    model_.metadata[std::move(key)] = std::move(value);
  }

  // ---- memory ----

  static std::size_t room_of(const std::string& text) { return files::MemoryBudget::room_of(text); }
  /// Of the fields of a message that become elements of a list: taken at once, so that the list does not grow.
  template <class T>
  void reserve(std::vector<T>& list, const MessageReader& m, unsigned field, std::size_t bytes_later = 0) {
    const std::size_t count = m.count(field);
    constexpr std::size_t kPiece = 16;
    budget_.take(kPiece + count * (sizeof(T) + bytes_later));
    list.reserve(count);
  }
  std::string text(const MessageReader& m) {
    std::string text = m.text();
    budget_.take(room_of(text));
    return text;
  }

  // ---- the graph ----

  void read_graph(std::string_view bytes) {
    MessageReader m(bytes, "the graph");
    // What the program makes of a node, and of a name; of an initializer, the tensor.
    constexpr std::size_t kStep = 300, kPlace = 100, kTensor = 250;
    reserve(model_.nodes, m, field::graph::node, kStep);
    reserve(model_.initializers, m, field::graph::initializer, kPlace + kTensor);
    reserve(model_.inputs, m, field::graph::input, kPlace);
    reserve(model_.outputs, m, field::graph::output, sizeof(std::size_t));
    while (m.next()) switch (m.field()) {
        case field::graph::node:
          model_.nodes.push_back(node_of(m.bytes()));
          break;
        case field::graph::name:
          model_.name = m.text();
          break;
        case field::graph::initializer:
          model_.initializers.push_back(read_tensor(m.bytes(), external_));
          break;
        case field::graph::input:
          model_.inputs.push_back(info_of(m.bytes()));
          break;
        case field::graph::output:
          model_.outputs.push_back(info_of(m.bytes()));
          break;
        case field::graph::sparse_initializer:
          throw FileError("it has sparse initializers, which are not read");
        default:
          break;
      }
    // In models of old an initializer is an input with a default.
    std::set<std::string_view> initialized;
    for (const auto& [name, t] : model_.initializers) initialized.insert(name);
    std::erase_if(model_.inputs, [&](const ValueInfo& v) { return initialized.contains(v.name); });
  }

  Node node_of(std::string_view bytes) {
    Node n;
    std::string domain;
    MessageReader m(bytes, "a node");
    constexpr std::size_t kPlace = 100;
    reserve(n.inputs, m, field::node::input, sizeof(std::optional<std::size_t>));
    reserve(n.outputs, m, field::node::output, kPlace);
    reserve(n.attributes, m, field::node::attribute);
    while (m.next()) switch (m.field()) {
        case field::node::input:
          n.inputs.push_back(text(m));
          break;
        case field::node::output:
          n.outputs.push_back(text(m));
          break;
        case field::node::name:
          n.name = text(m);
          break;
        case field::node::type:
          n.type = text(m);
          break;
        case field::node::attribute:
          n.attributes.push_back(attribute_of(m.bytes()));
          break;
        case field::node::domain:
          domain = m.text();
          break;
        default:
          break;
      }
    if (!is_own_domain(domain))
      throw FileError(
          fmt::format("the node '{}' is a {}.{}; operators of other domains than ONNX's own are not known",
                      n.name, domain, n.type));
    if (n.outputs.empty()) throw FileError(fmt::format("the node '{}' ({}) has no output", n.name, n.type));
    if (n.name.empty()) {  // then it goes by what it computes; outputs that are not needed have no name
      const auto named = std::ranges::find_if_not(n.outputs, &std::string::empty);
      if (named == n.outputs.end())
        throw FileError(fmt::format("a node without a name ({}) has no output with a name", n.type));
      n.name = *named;
      budget_.take(room_of(n.name));
    }
    return n;
  }

  Attribute attribute_of(std::string_view bytes) {
    namespace at = field::attribute;
    Attribute a{{}, OtherAttribute{}};
    std::int64_t type = 0;
    std::int64_t integer = 0;
    float number = 0;
    std::string letters;
    std::vector<std::int64_t> integers;
    std::vector<float> numbers;
    std::string_view tensor;
    for (MessageReader m(bytes, "an attribute"); m.next();) switch (m.field()) {
        case at::name:
          a.name = text(m);
          break;
        case at::type:
          type = m.integer();
          break;
        case at::i:
          integer = m.integer();
          break;
        case at::f:
          number = m.number();
          break;
        case at::s:
          letters = std::string(m.bytes());
          break;
        case at::ints:
          budget_.take(m.integers() * sizeof(std::int64_t));
          m.append(integers);
          break;
        case at::floats:
          m.append(numbers);
          break;
        case at::t:
          tensor = m.bytes();
          break;
        default:
          break;
      }
    switch (static_cast<at::Type>(type)) {
      case at::Type::i:
        a.value = integer;
        break;
      case at::Type::f:
        a.value = number;
        break;
      case at::Type::s:
        a.value = std::move(letters);
        break;
      case at::Type::ints:
        a.value = std::move(integers);
        break;
      case at::Type::floats:
        a.value = std::move(numbers);
        break;
      case at::Type::t:
        a.value = read_tensor(tensor, external_).second;
        break;
    }
    return a;
  }

  ValueInfo info_of(std::string_view bytes) {
    ValueInfo v;
    std::string_view type, tensor, shape;
    for (MessageReader m(bytes, "an input or output"); m.next();) {
      if (m.field() == field::value_info::name) v.name = text(m);
      if (m.field() == field::value_info::type) type = m.bytes();
    }
    for (MessageReader m(type, "a type"); m.next();)
      if (m.field() == field::type::tensor) tensor = m.bytes();
    for (MessageReader m(tensor, "a type"); m.next();) {
      if (m.field() == field::tensor_type::element) {
        const std::int64_t number = m.integer();  // of more bits than types have
        v.type = static_cast<ElementType>(std::in_range<std::int32_t>(number) ? number : -1);
      }
      if (m.field() == field::tensor_type::shape) shape = m.bytes();
    }
    MessageReader m(shape, "a shape");
    if (const std::size_t axes = m.count(field::shape::dim); axes > Shape::kMaxRank)
      throw FileError(fmt::format("'{}', an input or output, has {} axes; a tensor has at most {}", v.name,
                                  axes, std::size_t{Shape::kMaxRank}));
    reserve(v.sizes, m, field::shape::dim);
    while (m.next())
      if (m.field() == field::shape::dim) v.sizes.push_back(size_of_axis(m.bytes()));
    return v;
  }

  Size size_of_axis(std::string_view bytes) {
    Size size = std::string();
    for (MessageReader m(bytes, "a size"); m.next();) {
      if (m.field() == field::dim::value) size = m.integer();
      if (m.field() == field::dim::param) size = text(m);
    }
    return size;
  }

  std::string_view bytes_;
  ExternalFiles external_;
  files::MemoryBudget budget_;
  Model model_;
};

}  // namespace

Model read_model(const std::string& path) {
  InputFile file(path);
  try {
    const auto bytes = std::make_unique_for_overwrite<char[]>(file.size());
    file.read(bytes.get(), file.size());
    try {
      return ModelReader({bytes.get(), file.size()}, path).read();
    } catch (const FileError& e) {
      throw FileError(fmt::format("'{}': {}", path, e.what()));
    }
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(
        fmt::format("'{}': there is not enough memory for a model of {} bytes", path, file.size()));
  }
}

}  // namespace tapegrad::nn::onnx
