#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tapegrad/graph/export.h>

/// The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding), as far as ONNX needs it. Not
/// part of the library's interface.
namespace tapegrad::nn::onnx {

/// The kinds of fields on the wire.
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

/// The bytes of a message, field by field.
class Message {
 public:
  void integer(unsigned field, std::int64_t value);
  void number(unsigned field, float value);
  void text(unsigned field, std::string_view value);
  void message(unsigned field, const Message& value) { text(field, value.bytes_); }
  /// The head of a field of so many bytes, which are to follow this message.
  void head(unsigned field, std::uint64_t length);

  /// The fields of another message.
  void append(const Message& other) { bytes_ += other.bytes_; }

  const std::string& bytes() const noexcept { return bytes_; }

 private:
  void tag(unsigned field, Wire wire);
  void varint(std::uint64_t value);

  std::string bytes_;
};

}  // namespace tapegrad::nn::onnx
