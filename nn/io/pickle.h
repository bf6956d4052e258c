#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Python's pickles (protocols 2 to 5, described in CPython's pickletools), as far as dictionaries of tensors need
/// them. A pickle is a program for a stack machine. Here it only builds values: nothing is imported and nothing is
/// called. Names of classes and functions must be on a list, and what they would be called with is handed over for
/// others to understand. Not part of the library's interface.
namespace tapegrad::nn::pickle {

enum class Kind : std::uint8_t {
  none,
  boolean,
  integer,
  real,
  text,
  bytes,         ///< only their number is known; also that of an integer of more than 64 bits
  long_integer,  ///< likewise
  tuple,         ///< items: its items
  list,          ///< items: its items
  dict,          ///< items: keys and values in turn; also an OrderedDict
  global,        ///< a class or function: number is what the list calls it
  call,          ///< items: the class or function, then the arguments
  reference      ///< items: the identity of what lies outside of the pickle
};

/// A value of a Document. Texts and items lie there.
struct Value {
  Kind kind = Kind::none;
  std::uint64_t payload = 0;

  bool boolean() const { return payload != 0; }
  std::int64_t integer() const { return std::bit_cast<std::int64_t>(payload); }
  double real() const { return std::bit_cast<double>(payload); }
  /// Of a global; of bytes and of long integers, their size.
  std::size_t number() const { return static_cast<std::size_t>(payload); }
};

/// What a pickle may not be larger than; a damaged or hostile size is refused before memory is taken.
inline constexpr std::uint64_t kLongest = 100'000'000;

class Document {
 public:
  /// The number by which a class or function is to be known, or -1, which refuses the pickle.
  using Find = int (*)(std::string_view module, std::string_view name);

  /// Throws FileError for anything but one whole pickle of what is described above, naming an unknown class or
  /// function. Takes less than a hundred times the pickle's size of memory, however it nests.
  Document(std::string bytes, Find find);

  const Value& root() const { return root_; }
  /// Bytes of the pickle.
  std::size_t size() const { return bytes_.size(); }
  std::string_view text(const Value& v) const {
    return std::string_view(bytes_).substr(v.payload >> 32, v.payload & 0xffffffff);
  }
  /// Of a tuple, list, dict, call or reference. A container may hold itself.
  std::span<const Value> items(const Value& v) const { return nodes_[v.payload]; }

 private:
  class Machine;

  std::string bytes_;
  std::vector<std::vector<Value>> nodes_;
  Value root_;
};

}  // namespace tapegrad::nn::pickle
