#include <array>
#include <bit>

#include <tapegrad/nn/io/onnx/protobuf.h>

namespace tapegrad::nn::onnx {

void Message::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>((value & 0x7F) | 0x80);
  bytes_ += static_cast<char>(value);
}

void Message::tag(unsigned field, Wire wire) {
  varint(std::uint64_t{field} << 3 | static_cast<unsigned>(wire));
}

void Message::integer(unsigned field, std::int64_t value) {
  tag(field, Wire::varint);
  varint(static_cast<std::uint64_t>(value));
}

void Message::number(unsigned field, float value) {
  tag(field, Wire::fixed32);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (unsigned shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(bits >> shift & 0xFF);
}

void Message::text(unsigned field, std::string_view value) {
  head(field, value.size());
  bytes_ += value;
}

void Message::head(unsigned field, std::uint64_t length) {
  tag(field, Wire::bytes);
  varint(length);
}

}  // namespace tapegrad::nn::onnx
