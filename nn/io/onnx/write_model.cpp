#include <filesystem>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/onnx/model.h>
#include <tapegrad/nn/io/onnx/protobuf.h>
#include <tapegrad/nn/io/onnx/schema.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

ElementType element_type_of(Dtype dtype) {
  return dtype == f32 ? ElementType::f32 : dtype == f64 ? ElementType::f64 : ElementType::i64;
}

namespace {

using tapegrad::detail::TensorAccess;

/// What is smaller stays in the model.
constexpr std::uint64_t kLeastExternal = 1024;
/// Readers map the file into memory, page by page.
constexpr std::uint64_t kPage = 4096;
/// What a message may have at most, by the format.
constexpr std::uint64_t kMostBytes = (std::uint64_t{1} << 31) - 1;

std::uint64_t bytes_of(const Tensor& t) { return static_cast<std::uint64_t>(t.size()) * size_of(t.dtype()); }

/// The fields of a tensor up to its elements.
Message tensor_head(std::string_view name, const Tensor& t) {
  Message m;
  for (const std::int64_t d : t.shape().dims()) m.integer(field::tensor::dims, d);
  m.integer(field::tensor::type, static_cast<std::int64_t>(element_type_of(t.dtype())));
  if (!name.empty()) m.text(field::tensor::name, name);
  return m;
}

Message message_of(const Attribute& a) {
  namespace at = field::attribute;
  Message m;
  m.text(at::name, a.name);
  const auto type = [&](at::Type t) { m.integer(at::type, static_cast<std::int64_t>(t)); };
  struct Writer {
    Message& m;
    decltype(type)& set_type;
    void operator()(std::int64_t v) const { m.integer(at::i, v), set_type(at::Type::i); }
    void operator()(float v) const { m.number(at::f, v), set_type(at::Type::f); }
    void operator()(const std::string& v) const { m.text(at::s, v), set_type(at::Type::s); }
    void operator()(const std::vector<std::int64_t>& v) const {
      for (const std::int64_t i : v) m.integer(at::ints, i);
      set_type(at::Type::ints);
    }
    void operator()(const std::vector<float>& v) const {
      for (const float f : v) m.number(at::floats, f);
      set_type(at::Type::floats);
    }
    void operator()(const OtherAttribute&) const {}
    void operator()(const Tensor& v) const {
      Message t = tensor_head({}, v);
      t.text(field::tensor::raw_data,
             {reinterpret_cast<const char*>(TensorAccess::data(v)), static_cast<std::size_t>(bytes_of(v))});
      m.message(at::t, t);
      set_type(at::Type::t);
    }
  };
  std::visit(Writer{m, type}, a.value);
  return m;
}

Message message_of(const Node& n) {
  Message m;
  for (const std::string& input : n.inputs) m.text(field::node::input, input);
  for (const std::string& output : n.outputs) m.text(field::node::output, output);
  m.text(field::node::name, n.name);
  m.text(field::node::type, n.type);
  for (const Attribute& a : n.attributes) m.message(field::node::attribute, message_of(a));
  return m;
}

Message message_of(const ValueInfo& v) {
  Message shape;
  for (const Size& size : v.sizes) {
    Message dim;
    if (const auto* value = std::get_if<std::int64_t>(&size))
      dim.integer(field::dim::value, *value);
    else
      dim.text(field::dim::param, std::get<std::string>(size));
    shape.message(field::shape::dim, dim);
  }
  Message tensor;
  tensor.integer(field::tensor_type::element, static_cast<std::int64_t>(v.type));
  tensor.message(field::tensor_type::shape, shape);
  Message type;
  type.message(field::type::tensor, tensor);
  Message m;
  m.text(field::value_info::name, v.name);
  m.message(field::value_info::type, type);
  return m;
}

Message entry_of(std::string_view key, std::string_view value) {
  Message m;
  m.text(field::entry::key, key);
  m.text(field::entry::value, value);
  return m;
}

/// The file beside a model that holds large elements.
class ExternalData {
 public:
  explicit ExternalData(const std::string& model_path)
      : location_(std::filesystem::path(model_path).filename().string() + ".data"),
        file_(model_path + ".data") {}

  /// The fields that say where the elements of `t` are.
  void add(Message& head, const Tensor& t) {
    const std::string gap((kPage - at_ % kPage) % kPage, '\0');
    file_.write(gap);
    at_ += gap.size();
    const auto entry = [&](std::string_view key, const std::string& value) {
      head.message(field::tensor::external_data, entry_of(key, value));
    };
    entry("location", location_);
    entry("offset", fmt::format("{}", at_));
    entry("length", fmt::format("{}", bytes_of(t)));
    constexpr std::int64_t kExternal = 1;
    head.integer(field::tensor::data_location, kExternal);
    file_.write(TensorAccess::data(t), bytes_of(t));
    at_ += bytes_of(t);
  }
  void commit() { file_.commit(); }

 private:
  std::string location_;
  AtomicFile file_;
  std::uint64_t at_ = 0;
};

/// A field of the graph with the elements that follow it in the file.
struct Piece {
  Message head;
  const Tensor* elements = nullptr;

  std::uint64_t bytes() const { return head.bytes().size() + (elements ? bytes_of(*elements) : 0); }
};

Piece inline_piece(std::string_view name, const Tensor& t) {
  Message tensor = tensor_head(name, t);
  tensor.head(field::tensor::raw_data, bytes_of(t));
  Piece p{.head = {}, .elements = &t};
  p.head.head(field::graph::initializer, tensor.bytes().size() + bytes_of(t));
  p.head.append(tensor);
  return p;
}

}  // namespace

void write_model(const std::string& path, const Model& model, std::uint64_t external_data_above) {
  std::uint64_t bytes_of_elements = 0;
  for (const auto& [name, t] : model.initializers) bytes_of_elements += bytes_of(t);
  std::unique_ptr<ExternalData> external;
  if (bytes_of_elements > external_data_above) external = std::make_unique<ExternalData>(path);

  std::vector<Piece> pieces(1);
  Message& structure = pieces[0].head;
  for (const Node& n : model.nodes) structure.message(field::graph::node, message_of(n));
  structure.text(field::graph::name, model.name);
  for (const ValueInfo& v : model.inputs) structure.message(field::graph::input, message_of(v));
  for (const ValueInfo& v : model.outputs) structure.message(field::graph::output, message_of(v));
  for (const auto& [name, t] : model.initializers) {
    if (external && bytes_of(t) >= kLeastExternal) {
      Message tensor = tensor_head(name, t);
      external->add(tensor, t);
      pieces.emplace_back().head.message(field::graph::initializer, tensor);
    } else {
      pieces.push_back(inline_piece(name, t));
    }
  }
  std::uint64_t graph_bytes = 0;
  for (const Piece& p : pieces) graph_bytes += p.bytes();

  Message opset;
  opset.text(field::opset::domain, "");
  opset.integer(field::opset::version, Model::kOpset);
  Message head;
  head.integer(field::model::ir_version, Model::kIrVersion);
  head.text(field::model::producer_name, "tapegrad");
  head.message(field::model::opset_import, opset);
  for (const auto& [key, value] : model.metadata) head.message(field::model::metadata, entry_of(key, value));
  head.head(field::model::graph, graph_bytes);
  if (head.bytes().size() + graph_bytes > kMostBytes)
    throw ArgumentError(
        fmt::format("save_onnx: the model would have {} bytes, and one file of the format may have {}; lower "
                    "external_data_above so that weights go to a file beside it",
                    graph_bytes, kMostBytes));

  AtomicFile file(path);
  file.write(head.bytes());
  for (const Piece& p : pieces) {
    file.write(p.head.bytes());
    if (p.elements) file.write(TensorAccess::data(*p.elements), bytes_of(*p.elements));
  }
  // The elements first: a model whose elements are missing cannot be read.
  if (external) external->commit();
  file.commit();
}

}  // namespace tapegrad::nn::onnx
