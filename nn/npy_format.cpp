#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/npy_format.h>
#include <tapegrad/ops/layout.h>

#include <fmt/format.h>

namespace tapegrad::nn::npy {

using tapegrad::detail::TensorAccess;

static_assert(std::endian::native == std::endian::little, "elements are written in little-endian order");

namespace {

/// Elements of a file that C++ has no type for.
struct Half {
  std::uint16_t bits;
};
struct Bool {
  std::uint8_t byte;
};

struct Header {
  char kind = 'f';  ///< f, i, u or b, as in NumPy's descriptions of types
  int size = 4;
  bool big_endian = false;
  bool column_major = false;
  Shape shape;
};

/// The header's text: a literal of a Python dictionary with three keys, of which only what such a header may
/// hold is understood.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

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
      throw FileError("it holds structures of several fields; save each field as an array of its own");
    const std::string_view text = string();
    if (text.find('O') != std::string_view::npos)
      throw FileError(fmt::format(
          "it holds Python objects ('{}'), which are never unpickled; save them with a numeric dtype", text));
    constexpr std::string_view kSupported[] = {"f2", "f4", "f8", "i1", "i2", "i4",
                                               "i8", "u1", "u2", "u4", "u8", "b1"};
    const std::string_view type = text.substr(std::min<std::size_t>(1, text.size()));
    if (std::find(std::begin(kSupported), std::end(kSupported), type) == std::end(kSupported))
      throw FileError(
          fmt::format("it holds elements of type '{}'; f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8 and b1 are "
                      "supported",
                      text));
    header_.kind = type[0];
    header_.size = type[1] - '0';
    header_.big_endian = text[0] == '>';
    const bool known = text[0] == '<' || text[0] == '>' || (text[0] == '|' && header_.size == 1);
    if (!known) throw FileError(fmt::format("its type '{}' does not tell the order of the bytes", text));
  }

  void shape() {
    std::vector<std::int64_t> dims;
    expect('(');
    while (!take(')')) {
      if (dims.size() > Shape::kMaxRank) break;  // the shape says it better
      dims.push_back(extent());
      if (take(')')) break;
      expect(',');
    }
    try {
      header_.shape = Shape(std::span<const std::int64_t>(dims));
    } catch (const ShapeError& e) {
      throw FileError(fmt::format("it has an impossible shape ({})", e.what()));
    }
  }

  std::int64_t extent() {
    const bool negative = take('-');
    skip_space();
    std::size_t digits = 0;
    std::int64_t value = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits)
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, rest_[digits] - '0', &value))
        throw FileError("it has an impossible shape (an extent above the largest i64)");
    if (digits == 0) refuse();
    if (negative) throw FileError(fmt::format("it has an impossible shape (an extent of -{})", value));
    rest_.remove_prefix(digits);
    if (rest_.starts_with('L')) rest_.remove_prefix(1);  // as Python 2 wrote long integers
    return value;
  }

  std::string_view rest_;
  Header header_;
  bool descr_given_ = false;
  bool order_given_ = false;
  bool shape_given_ = false;
};

/// The header, and how many bytes it took.
std::pair<Header, std::uint64_t> read_header(Source& source) {
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

template <class T>
T swapped(T value) {
  auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
  std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<T>(bytes);
}

/// IEEE 754's binary16, every value of which is a float.
float widened(Half half) {
  const int exponent = half.bits >> 10 & 31;
  const int fraction = half.bits & 1023;
  const float sign = half.bits >> 15 ? -1.0F : 1.0F;
  if (exponent == 31) return fraction ? std::numeric_limits<float>::quiet_NaN() : sign * HUGE_VALF;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
}
std::int64_t widened(Bool b) { return b.byte != 0; }
std::int64_t widened(std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    throw FileError(fmt::format("it holds {}, which is above the largest i64", value));
  return static_cast<std::int64_t>(value);
}
template <class T>
requires std::is_integral_v<T> std::int64_t widened(T value) { return value; }
inline float widened(float value) { return value; }
inline double widened(double value) { return value; }

/// `count` elements of the source's type, as that of a tensor.
template <class From>
Tensor read_elements(Source& source, const Shape& shape, bool big_endian) {
  using To = decltype(widened(From{}));
  Tensor result = Tensor::empty(shape, dtype_of<To>);
  To* out = TensorAccess::data_as<To>(result);
  auto left = static_cast<std::size_t>(shape.size());
  if constexpr (std::is_same_v<From, To>) {
    source.read(out, left * sizeof(To));
    if (big_endian) std::transform(out, out + left, out, swapped<To>);
  } else {
    std::vector<From> block(std::min<std::size_t>(left, 1 << 14));
    while (left > 0) {
      const std::size_t n = std::min(left, block.size());
      source.read(block.data(), n * sizeof(From));
      for (std::size_t i = 0; i < n; ++i) *out++ = widened(big_endian ? swapped(block[i]) : block[i]);
      left -= n;
    }
  }
  return result;
}

Tensor read_elements(Source& source, const Header& h, const Shape& shape) {
  const auto as = [&]<class From>(From) { return read_elements<From>(source, shape, h.big_endian); };
  switch (h.kind) {
    case 'f':
      return h.size == 2 ? as(Half{}) : h.size == 4 ? as(float{}) : as(double{});
    case 'i':
      return h.size == 1   ? as(std::int8_t{})
             : h.size == 2 ? as(std::int16_t{})
             : h.size == 4 ? as(std::int32_t{})
                           : as(std::int64_t{});
    case 'u':
      return h.size == 1   ? as(std::uint8_t{})
             : h.size == 2 ? as(std::uint16_t{})
             : h.size == 4 ? as(std::uint32_t{})
                           : as(std::uint64_t{});
    default:
      return as(Bool{});
  }
}

}  // namespace

Tensor read(Source& source) {
  const auto [header, taken] = read_header(source);
  const std::uint64_t present = source.size() - taken;
  std::uint64_t expected = 0;
  if (__builtin_mul_overflow(static_cast<std::uint64_t>(header.shape.size()),
                             static_cast<std::uint64_t>(header.size), &expected) ||
      expected != present)
    throw FileError(
        fmt::format("its {} elements of {} bytes in shape {} are not the {} bytes that follow the "
                    "header",
                    header.shape.size(), header.size, to_string(header.shape), present));
  if (!header.column_major) return read_elements(source, header, header.shape);
  // Column major is row major with the axes the other way round.
  std::vector<std::int64_t> dims(header.shape.dims().rbegin(), header.shape.dims().rend());
  std::vector<std::int64_t> order;
  for (std::size_t axis = dims.size(); axis > 0; --axis) order.push_back(static_cast<std::int64_t>(axis) - 1);
  return permute(read_elements(source, header, Shape(std::span<const std::int64_t>(dims))), order);
}

std::string header_of(const Tensor& tensor) {
  const char* type = tensor.dtype() == f32 ? "<f4" : tensor.dtype() == f64 ? "<f8" : "<i8";
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type,
                                 fmt::join(tensor.shape().dims(), ", "), tensor.rank() == 1 ? "," : "");
  // The elements start at a multiple of 64 bytes, for programs that map the file into memory.
  constexpr std::size_t kFixed = 10;
  text.append(63 - (kFixed + text.size()) % 64, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\1', '\0', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace tapegrad::nn::npy
