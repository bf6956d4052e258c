#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/io/onnx/protobuf.h>

/// Not part of the library's interface.
namespace tapegrad::nn::onnx {

/// Walks the fields of a message, which refer to its bytes. Everything throws FileError where they are no message.
///
///     for (MessageReader m(bytes, "a node"); m.next();)
///       if (m.field() == field::node::name) name = m.bytes();
class MessageReader {
 public:
  /// `what`: as messages name it; must outlive the reader.
  MessageReader(std::string_view bytes, std::string_view what) : rest_(bytes), what_(what) {}

  /// Goes to the next field; false behind the last.
  bool next();
  unsigned field() const noexcept { return field_; }

  std::int64_t integer() const;
  float number() const;
  std::string_view bytes() const;
  /// Text: UTF-8.
  std::string text() const;
  /// How many fields of this number lie behind the present one.
  std::size_t count(unsigned field) const;
  /// How many integers append would add.
  std::size_t integers() const;
  /// Elements of a repeated number, which may stand in a field each or in one together.
  void append(std::vector<std::int64_t>& to) const;
  void append(std::vector<float>& to) const;
  void append(std::vector<double>& to) const;
  /// The same, one by one, without memory for them.
  template <class F>
  void for_each_integer(F f) const {
    if (wire_ == Wire::varint) return f(static_cast<std::int64_t>(value_));
    for (std::string_view packed = bytes(); !packed.empty();)
      f(static_cast<std::int64_t>(take_varint(packed)));
  }

 private:
  std::uint64_t take_varint(std::string_view& from) const;
  template <class T>
  T take_fixed(std::string_view& from) const;
  template <class T>
  void append_fixed(std::vector<T>& to, Wire single) const;
  void require(Wire wire) const;
  [[noreturn]] void fail(std::string_view why) const;

  std::string_view rest_;
  std::string_view what_;
  unsigned field_ = 0;
  Wire wire_ = Wire::varint;
  std::uint64_t value_ = 0;   ///< of a varint or a fixed number
  std::string_view content_;  ///< of bytes
};

}  // namespace tapegrad::nn::onnx
