#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/onnx/model.h>
#include <tapegrad/nn/io/onnx/protobuf_reader.h>
#include <tapegrad/nn/io/onnx/read_tensor.h>
#include <tapegrad/nn/io/onnx/schema.h>
#include <tapegrad/nn/io/text.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

namespace {

using files::Element;

constexpr struct {
  ElementType type;
  Element element;
} kTypes[] = {{ElementType::f32, Element::f32},  {ElementType::u8, Element::u8},
              {ElementType::i8, Element::i8},    {ElementType::u16, Element::u16},
              {ElementType::i16, Element::i16},  {ElementType::i32, Element::i32},
              {ElementType::i64, Element::i64},  {ElementType::boolean, Element::boolean},
              {ElementType::f16, Element::f16},  {ElementType::f64, Element::f64},
              {ElementType::u32, Element::u32},  {ElementType::u64, Element::u64},
              {ElementType::bf16, Element::bf16}};

}  // namespace

std::optional<Element> element_of_number(std::int64_t number) {
  for (const auto& [type, element] : kTypes)
    if (static_cast<std::int64_t>(type) == number) return element;
  return std::nullopt;
}

std::optional<std::string> outside_of(Element element, const Tensor& integers) {
  if (element == Element::i64) return std::nullopt;
  const auto [least, most] = files::integer_limits(element);
  // Not by values(), which an export of this network would take for a decision by the input.
  for (const std::int64_t value : elements_of<std::int64_t>(integers))
    if (value < least || value > most)
      return fmt::format("{}, which is no {} (from {} to {})", value, files::name_of(element), least, most);
  return std::nullopt;
}

namespace {

class BytesSource final : public files::ByteSource {
 public:
  explicit BytesSource(std::string_view bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  void read(void* out, std::size_t bytes) override {
    if (bytes > bytes_.size()) throw FileError("its elements end too soon");
    if (bytes > 0) std::memcpy(out, bytes_.data(), bytes);
    bytes_.remove_prefix(bytes);
  }

 private:
  std::string_view bytes_;
};

/// What a TensorProto says.
struct Fields {
  std::string name;
  std::vector<std::int64_t> dims;  ///< unless there are too many
  std::uint64_t axes = 0;
  std::int64_t type = 0;
  std::optional<std::string_view> raw;
  std::vector<float> floats;
  std::vector<double> doubles;
  std::uint64_t integers = 0;  ///< how many; they may take eight times their bytes
  std::string_view message;    ///< where they are
  std::string location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
  bool external = false;
};

std::uint64_t whole_number(const std::string& text) {
  if (const auto value = files::number_in<std::uint64_t>(text)) return *value;
  throw FileError(fmt::format("its elements lie at '{}', which is no number", text));
}

void read_external(std::string_view bytes, Fields& f) {
  std::string key, value;
  for (MessageReader m(bytes, "a place of elements"); m.next();) {
    if (m.field() == field::entry::key) key = m.text();
    if (m.field() == field::entry::value) value = m.text();
  }
  if (key == "location") f.location = value;
  if (key == "offset") f.offset = whole_number(value);
  if (key == "length") f.length = whole_number(value);
}

Fields fields_of(std::string_view bytes) {
  namespace t = field::tensor;
  Fields f;
  f.message = bytes;
  for (MessageReader m(bytes, "a tensor"); m.next();) switch (m.field()) {
      case t::name:
        f.name = m.text();
        break;
      case t::dims:
        f.axes += m.integers();
        if (f.axes <= Shape::kMaxRank) m.append(f.dims);
        break;
      case t::type:
        f.type = m.integer();
        break;
      case t::raw_data:
        f.raw = m.bytes();
        break;
      case t::floats:
        m.append(f.floats);
        break;
      case t::doubles:
        m.append(f.doubles);
        break;
      case t::int32s:
      case t::int64s:
      case t::uint64s:
        f.integers += m.integers();
        break;
      case t::segment:
        throw FileError("it is one of several segments");
      case t::external_data:
        read_external(m.bytes(), f);
        break;
      case t::data_location:
        f.external = m.integer() == 1;
        break;
      default:
        break;
    }
  return f;
}

Shape shape_of(const Fields& f) {
  if (f.axes > Shape::kMaxRank)
    throw FileError(
        fmt::format("it has {} axes; a tensor has at most {}", f.axes, std::size_t{Shape::kMaxRank}));
  try {
    return Shape(std::span<const std::int64_t>(f.dims));
  } catch (const ShapeError& e) {
    throw FileError(fmt::format("it has an impossible shape ({})", e.what()));
  }
}

Tensor of_external(const Fields& f, const Shape& shape, Element element, std::uint64_t bytes,
                   ExternalFiles& external) {
  if (f.length && *f.length != bytes)
    throw FileError(
        fmt::format("its elements have {} bytes in '{}', its shape needs {}", *f.length, f.location, bytes));
  return external.read(f.location, f.offset, bytes, shape, element);
}

void require_count(std::uint64_t given, const Shape& shape) {
  if (given != static_cast<std::uint64_t>(shape.size()))
    throw FileError(
        fmt::format("it has {} elements, its shape {} needs {}", given, to_string(shape), shape.size()));
}

/// Calls f with each integer of the fields for these.
template <class F>
void for_each_integer(const Fields& fields, F f) {
  namespace t = field::tensor;
  for (MessageReader m(fields.message, "a tensor"); m.next();)
    if (m.field() == t::int32s || m.field() == t::int64s || m.field() == t::uint64s) m.for_each_integer(f);
}

Tensor of_integers(const Fields& f, const Shape& shape, Element element) {
  require_count(f.integers, shape);
  if (element == Element::f16 || element == Element::bf16) {  // their bits, each in a number
    std::string bytes;
    bytes.reserve(2 * f.integers);
    for_each_integer(f, [&](std::int64_t v) {
      bytes += static_cast<char>(v & 255), bytes += static_cast<char>(v >> 8 & 255);
    });
    BytesSource source(bytes);
    return files::read_elements(source, shape, element);
  }
  Tensor t = Tensor::empty(shape, i64);
  std::int64_t* next = t.mutable_values<std::int64_t>().data();
  for_each_integer(f, [&](std::int64_t v) {
    if (element == Element::u64 && v < 0) throw FileError("it has an integer above the largest i64");
    *next++ = v;
  });
  return t;
}

Tensor elements_of(const Fields& f, ExternalFiles& external) {
  const std::optional<Element> element = element_of_number(f.type);
  if (!element)
    throw FileError(fmt::format(
        "it has elements of the type {}, which is none of floats, integers and booleans", f.type));
  const Shape shape = shape_of(f);
  const std::uint64_t bytes = static_cast<std::uint64_t>(shape.size()) * files::size_of(*element);
  if (f.external) return of_external(f, shape, *element, bytes, external);
  if (f.raw) {
    if (f.raw->size() != bytes)
      throw FileError(fmt::format("it has {} bytes of elements, its shape {} needs {}", f.raw->size(),
                                  to_string(shape), bytes));
    BytesSource source(*f.raw);
    return files::read_elements(source, shape, *element);
  }
  if (*element == Element::f32) {
    require_count(f.floats.size(), shape);
    return Tensor::from(f.floats, shape);
  }
  if (*element == Element::f64) {
    require_count(f.doubles.size(), shape);
    return Tensor::from(f.doubles, shape);
  }
  return of_integers(f, shape, *element);
}

}  // namespace

ExternalFiles::ExternalFiles(const std::string& model_path)
    : folder_(std::filesystem::path(model_path).parent_path()) {}

Tensor ExternalFiles::read(const std::string& location, std::uint64_t offset, std::uint64_t bytes,
                           const Shape& shape, Element element) {
  const std::filesystem::path below = std::filesystem::path(location).lexically_normal();
  // A model must not make a program read what it likes.
  if (location.empty() || below.is_absolute() || *below.begin() == "..")
    throw FileError(fmt::format(
        "its elements are said to lie in '{}'; they must lie in a file below the model's folder", location));
  InputFile file((folder_ / below).string());
  if (offset > file.size() || bytes > file.size() - offset)
    throw FileError(fmt::format("its elements are said to lie at byte {} of '{}', which has {}", offset,
                                location, file.size()));
  std::uint64_t& read = read_[below];
  read += bytes;
  constexpr std::uint64_t kTimes = 2;  // two tensors may well be one
  if (read / kTimes > file.size())
    throw FileError(
        fmt::format("it and others take {} bytes of '{}', which has {}: they share elements, each many "
                    "times, which would take much memory",
                    read, location, file.size()));
  file.seek(offset);
  files::FileSource source(file);
  return files::read_elements(source, shape, element);
}

std::pair<std::string, Tensor> read_tensor(std::string_view bytes, ExternalFiles& external) {
  Fields f = fields_of(bytes);
  try {
    Tensor t = elements_of(f, external);
    return {std::move(f.name), std::move(t)};
  } catch (const FileError& e) {
    throw FileError(fmt::format("the tensor '{}' cannot be read: {}", f.name, e.what()));
  }
}

}  // namespace tapegrad::nn::onnx
