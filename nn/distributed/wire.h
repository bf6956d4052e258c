#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/graph/export.h>

/// What ranks tell each other in one text: numbers, and texts behind their lengths. They run one program, so nothing is
/// checked. Not part of the library's interface.
namespace tapegrad::nn {

class WireWriter {
 public:
  void number(std::uint64_t n) { text_.append(reinterpret_cast<const char*>(&n), sizeof n); }
  void text(std::string_view t) {
    number(t.size());
    text_ += t;
  }
  /// Names and values.
  template <class Pairs>
  void pairs(const Pairs& all) {
    number(all.size());
    for (const auto& [name, value] : all) {
      text(name);
      text(value);
    }
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

class WireReader {
 public:
  /// Of a text that stays where it is.
  explicit WireReader(std::string_view text) : left_(text) {}
  std::uint64_t number() {
    std::uint64_t n = 0;
    std::memcpy(&n, left_.data(), sizeof n);
    left_.remove_prefix(sizeof n);
    return n;
  }
  std::string text() {
    const std::size_t size = number();
    std::string t(left_.substr(0, size));
    left_.remove_prefix(size);
    return t;
  }
  template <class Pairs>
  Pairs pairs() {
    Pairs all;
    for (std::uint64_t n = number(); n > 0; --n) {
      std::string name = text();
      all.insert(all.end(), {std::move(name), text()});
    }
    return all;
  }

 private:
  std::string_view left_;
};

}  // namespace tapegrad::nn
