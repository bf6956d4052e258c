#include <algorithm>
#include <bit>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/onnx/protobuf_reader.h>
#include <tapegrad/nn/io/text.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

void MessageReader::fail(std::string_view why) const { throw FileError(fmt::format("{} {}", what_, why)); }

std::uint64_t MessageReader::take_varint(std::string_view& from) const {
  constexpr unsigned kMostBits = 64;
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < kMostBits; shift += 7) {
    if (from.empty()) fail("ends within a number");
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return value;
  }
  fail("has a number of more than ten bytes");
}

template <class T>
T MessageReader::take_fixed(std::string_view& from) const {
  if (from.size() < sizeof(T)) fail("ends within a number");
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value |= std::uint64_t{static_cast<unsigned char>(from[i])} << 8 * i;
  from.remove_prefix(sizeof(T));
  return static_cast<T>(value);
}

bool MessageReader::next() {
  if (rest_.empty()) return false;
  const std::uint64_t tag = take_varint(rest_);
  constexpr std::uint64_t kMostField = (1u << 29) - 1;
  if (tag >> 3 == 0 || tag >> 3 > kMostField) fail("has a field without a number");
  field_ = static_cast<unsigned>(tag >> 3);
  wire_ = static_cast<Wire>(tag & 7);
  switch (wire_) {
    case Wire::varint:
      value_ = take_varint(rest_);
      return true;
    case Wire::fixed32:
      value_ = take_fixed<std::uint32_t>(rest_);
      return true;
    case Wire::fixed64:
      value_ = take_fixed<std::uint64_t>(rest_);
      return true;
    case Wire::bytes: {
      const std::uint64_t length = take_varint(rest_);
      if (length > rest_.size())
        fail(fmt::format("has a field of {} bytes, and {} are left", length, rest_.size()));
      content_ = rest_.substr(0, length);
      rest_.remove_prefix(length);
      return true;
    }
  }
  fail("has a field of an unknown kind");
}

void MessageReader::require(Wire wire) const {
  if (wire_ != wire) fail(fmt::format("has a field {} of another kind", field_));
}

std::int64_t MessageReader::integer() const {
  require(Wire::varint);
  return static_cast<std::int64_t>(value_);
}

float MessageReader::number() const {
  require(Wire::fixed32);
  return std::bit_cast<float>(static_cast<std::uint32_t>(value_));
}

std::string_view MessageReader::bytes() const {
  require(Wire::bytes);
  return content_;
}

std::string MessageReader::text() const {
  std::string text(bytes());
  if (!files::is_utf8(text)) fail("has a text that is not UTF-8");
  return text;
}

std::size_t MessageReader::count(unsigned field) const {
  std::size_t found = 0;
  for (MessageReader m(rest_, what_); m.next();) found += m.field() == field;
  return found;
}

// Each ends with a byte below 0x80.
std::size_t MessageReader::integers() const {
  if (wire_ == Wire::varint) return 1;
  const std::string_view packed = bytes();
  return static_cast<std::size_t>(
      std::ranges::count_if(packed, [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}

void MessageReader::append(std::vector<std::int64_t>& to) const {
  // Exactly as many, since a byte each may make eight; but by a half more, where they come one by one.
  if (const std::size_t needed = to.size() + integers(); needed > to.capacity())
    to.reserve(std::max(needed, to.size() + to.size() / 2));
  for_each_integer([&](std::int64_t value) { to.push_back(value); });
}

template <class T>
void MessageReader::append_fixed(std::vector<T>& to, Wire single) const {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  if (wire_ == single) return to.push_back(std::bit_cast<T>(static_cast<Bits>(value_)));
  for (std::string_view packed = bytes(); !packed.empty();)
    to.push_back(std::bit_cast<T>(take_fixed<Bits>(packed)));
}
void MessageReader::append(std::vector<float>& to) const { append_fixed(to, Wire::fixed32); }
void MessageReader::append(std::vector<double>& to) const { append_fixed(to, Wire::fixed64); }

}  // namespace tapegrad::nn::onnx
