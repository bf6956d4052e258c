#include <algorithm>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/npy_format.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::nn::npy {

using files::Element;
using files::Unrepresentable;

namespace {

struct Type {
  std::string_view name;  ///< as in NumPy's descriptions, without the order of the bytes
  Element element;
};
constexpr Type kTypes[] = {{"f2", Element::f16}, {"f4", Element::f32}, {"f8", Element::f64},
                           {"i1", Element::i8},  {"i2", Element::i16}, {"i4", Element::i32},
                           {"i8", Element::i64}, {"u1", Element::u8},  {"u2", Element::u16},
                           {"u4", Element::u32}, {"u8", Element::u64}, {"b1", Element::boolean}};

struct Header {
  Element element = Element::f32;
  bool big_endian = false;
  bool column_major = false;
  Shape shape;
};

/// The header's text: a literal of a Python dictionary with three keys, of which only what such a header may
/// hold is understood.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  /// Throws Unrepresentable for an array of NumPy's that no tensor can hold.
  Header parse() {
    expect('{');
    while (!take('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !descr_given_) {
        descr();
        descr_given_ = true;
      } else if (key == "fortran_order" && !order_given_) {
        header_.column_major = boolean();
        order_given_ = true;
      } else if (key == "shape" && !shape_given_) {
        shape();
        shape_given_ = true;
      } else {
        throw FileError(fmt::format("its header has the key '{}', unknown or given twice", key));
      }
      if (take('}')) break;
      expect(',');
    }
    skip_space();
    if (!rest_.empty()) refuse();
    if (!descr_given_ || !order_given_ || !shape_given_)
      throw FileError("its header needs the keys 'descr', 'fortran_order' and 'shape'");
    if (rank_)
      throw Unrepresentable(
          fmt::format("it has {} axes; a tensor has at most {}", rank_, std::size_t{Shape::kMaxRank}));
    return header_;
  }

 private:
  [[noreturn]] void refuse() const {
    throw FileError(fmt::format("its header is no Python dictionary of such a file at '{}'",
                                rest_.substr(0, std::min<std::size_t>(rest_.size(), 20))));
  }
  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }
  bool next_is(char c) {
    skip_space();
    return rest_.starts_with(c);
  }
  bool take(char c) {
    const bool found = next_is(c);
    if (found) rest_.remove_prefix(1);
    return found;
  }
  void expect(char c) {
    if (!take(c)) refuse();
  }
  bool take_word(std::string_view word) {
    skip_space();
    const bool found = rest_.starts_with(word);
    if (found) rest_.remove_prefix(word.size());
    return found;
  }

  std::string_view string() {
    const char quote = next_is('"') ? '"' : '\'';
    expect(quote);
    const std::size_t end = rest_.find(quote);
    if (end == std::string_view::npos) refuse();
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }

  bool boolean() {
    if (take_word("True")) return true;
    if (!take_word("False")) refuse();
    return false;
  }

  void descr() {
    if (next_is('[') || next_is('('))
      throw Unrepresentable("it holds structures of several fields; save each field as an array of its own");
    const std::string_view text = string();
    if (text.find('O') != std::string_view::npos)
      throw Unrepresentable(fmt::format(
          "it holds Python objects ('{}'), which are never unpickled; save them with a numeric dtype", text));
    const std::string_view type = text.substr(std::min<std::size_t>(1, text.size()));
    const auto* known =
        std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Type& t) { return t.name == type; });
    if (known == std::end(kTypes))
      throw Unrepresentable(
          fmt::format("it holds elements of type '{}'; f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8 and b1 are "
                      "supported",
                      text));
    header_.element = known->element;
    header_.big_endian = text[0] == '>';
    const bool ordered = text[0] == '<' || text[0] == '>' || (text[0] == '|' && size_of(known->element) == 1);
    if (!ordered) throw FileError(fmt::format("its type '{}' does not tell the order of the bytes", text));
  }

  void shape() {
    std::vector<std::int64_t> dims;
    expect('(');
    while (!take(')')) {
      if (dims.size() == kMostAxes) refuse();
      dims.push_back(axis_size());
      if (take(')')) break;
      expect(',');
    }
    if (dims.size() > Shape::kMaxRank) {
      rank_ = dims.size();
      return;
    }
    try {
      header_.shape = Shape(std::span<const std::int64_t>(dims));
    } catch (const ShapeError& e) {
      throw FileError(fmt::format("it has an impossible shape ({})", e.what()));
    }
  }

  std::int64_t axis_size() {
    const bool negative = take('-');
    skip_space();
    std::size_t digits = 0;
    std::int64_t value = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits)
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, rest_[digits] - '0', &value))
        throw FileError("it has an impossible shape (an axis above the largest i64)");
    if (digits == 0) refuse();
    if (negative) throw FileError(fmt::format("it has an impossible shape (an axis of -{})", value));
    rest_.remove_prefix(digits);
    if (rest_.starts_with('L')) rest_.remove_prefix(1);  // as Python 2 wrote long integers
    return value;
  }

  static constexpr std::size_t kMostAxes = 64;  // of NumPy's arrays

  std::string_view rest_;
  Header header_;
  std::size_t rank_ = 0;  // where a tensor cannot have as many axes
  bool descr_given_ = false;
  bool order_given_ = false;
  bool shape_given_ = false;
};

/// The header, and how many bytes it took.
std::pair<Header, std::uint64_t> read_header(files::ByteSource& source) {
  constexpr std::uint64_t kFixed = 10;  // magic, version, and the length's first two bytes
  unsigned char fixed[kFixed];
  if (source.size() < kFixed)
    throw FileError(
        fmt::format("{} bytes are fewer than the {} that a header starts with", source.size(), kFixed));
  source.read(fixed, kFixed);
  if (std::string_view(reinterpret_cast<const char*>(fixed), kMagic.size()) != kMagic)
    throw FileError("it does not start with the bytes 93 'NUMPY'");
  const int major = fixed[6];
  const int minor = fixed[7];
  if (major < 1 || major > 3 || minor != 0)
    throw FileError(fmt::format("it is of version {}.{}; 1.0, 2.0 and 3.0 are supported", major, minor));

  std::uint64_t length = fixed[8] | std::uint64_t{fixed[9]} << 8;
  std::uint64_t taken = kFixed;
  if (major > 1 && source.size() >= kFixed + 2) {
    unsigned char high[2];
    source.read(high, sizeof high);
    taken += sizeof high;
    length |= std::uint64_t{high[0]} << 16 | std::uint64_t{high[1]} << 24;
  }
  // A shape of 8 axes takes some hundred bytes; what is longer is a damaged length or no plain array.
  constexpr std::uint64_t kLongest = 1 << 16;
  if (length > kLongest || length > source.size() - taken)
    throw FileError(fmt::format("it is truncated or damaged: it announces a header of {} bytes, {} follow",
                                length, source.size() - taken));
  std::string text(length, '\0');
  source.read(text.data(), text.size());
  return {Parser(text).parse(), taken + length};
}

}  // namespace

Array read(files::ByteSource& source) {
  const auto [header, taken] = read_header(source);
  const std::uint64_t present = source.size() - taken;
  std::uint64_t expected = 0;
  if (__builtin_mul_overflow(static_cast<std::uint64_t>(header.shape.size()),
                             std::uint64_t{size_of(header.element)}, &expected) ||
      expected != present)
    throw FileError(
        fmt::format("its {} elements of {} bytes in shape {} are not the {} bytes that follow the "
                    "header",
                    header.shape.size(), size_of(header.element), to_string(header.shape), present));
  const auto read_as = [&, &h = header](const Shape& shape) {
    return read_elements(source, shape, h.element, h.big_endian);
  };
  if (!header.column_major) return {read_as(header.shape), header.element};
  // Column major is row major with the axes the other way round.
  std::vector<std::int64_t> dims(header.shape.dims().rbegin(), header.shape.dims().rend());
  std::vector<std::int64_t> order;
  for (std::size_t axis = dims.size(); axis > 0; --axis) order.push_back(static_cast<std::int64_t>(axis) - 1);
  return {permute(read_as(Shape(std::span<const std::int64_t>(dims))), order), header.element};
}

void refuse_bf16(std::string_view function) {
  throw ArgumentError(fmt::format(
      "{}: NumPy has no type for bf16; save as f16, or as .safetensors or .pt, which have one", function));
}

std::string header_of(const Shape& shape, Element element) {
  const auto* type = std::ranges::find(kTypes, element, &Type::element);
  if (type == std::end(kTypes)) throw ArgumentError("NumPy has no type for such elements");
  std::string text = fmt::format("{{'descr': '<{}', 'fortran_order': False, 'shape': ({}{}), }}", type->name,
                                 fmt::join(shape.dims(), ", "), shape.rank() == 1 ? "," : "");
  // The elements start at a multiple of 64 bytes, for programs that map the file into memory.
  constexpr std::size_t kFixed = 10;
  text.append(63 - (kFixed + text.size()) % 64, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\1', '\0', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace tapegrad::nn::npy
