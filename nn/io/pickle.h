#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/io/memory_budget.h>

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
  call,          ///< items: the class or function, and the tuple of its arguments
  reference      ///< items: the identity of what lies outside of the pickle
};

/// A value of a Document, which holds texts, items, and numbers of more than 32 bits. One byte of a pickle can make a
/// value, so values are small.
struct Value {
  Kind kind : 8 = Kind::none;
  std::uint64_t payload : 56 = 0;

  bool boolean() const { return payload != 0; }
  /// Of a global; of bytes and of long integers, their size.
  std::size_t number() const { return static_cast<std::size_t>(payload); }
};
static_assert(sizeof(Value) == 8);

/// The number of the class OrderedDict, which behaves as a dict: the one that is known whatever the list says.
inline constexpr std::uint64_t kOrderedDict = std::uint64_t{1} << 32;

/// What a pickle may not be larger than; a damaged or hostile size is refused before memory is taken.
inline constexpr std::uint64_t kLongest = 100'000'000;

class Document {
 public:
  /// The number by which a class or function is to be known, or -1, which refuses the pickle.
  using Find = int (*)(std::string_view module, std::string_view name);

  /// Throws FileError for anything but one whole pickle of what is described above, naming an unknown class or
  /// function, and for one that takes more memory, however it nests, than a MemoryBudget has for the file that it is
  /// in.
  Document(std::string bytes, std::uint64_t file_size, Find find);

  const Value& root() const { return root_; }
  /// Bytes of the pickle.
  std::size_t size() const { return bytes_.size(); }
  /// What is left for those who read the document.
  const files::MemoryBudget& budget() const { return budget_; }
  std::string_view text(const Value& v) const {
    return std::string_view(bytes_).substr(v.payload >> kTextBits, v.payload & ((1U << kTextBits) - 1));
  }
  std::int64_t integer(const Value& v) const {
    return v.payload & kIsWide ? std::bit_cast<std::int64_t>(wide_[v.payload & ~kIsWide])
                               : static_cast<std::int32_t>(v.payload);
  }
  double real(const Value& v) const { return std::bit_cast<double>(wide_[v.payload]); }
  /// Of a tuple, list, dict, call or reference. A container may hold itself.
  std::span<const Value> items(const Value& v) const { return nodes_[v.payload]; }

 private:
  class Machine;

  static constexpr unsigned kTextBits = 28;  // of a place in the pickle, and of a length
  static_assert(kLongest < std::uint64_t{1} << kTextBits);
  static constexpr std::uint64_t kIsWide = std::uint64_t{1} << 55;

  std::string bytes_;
  files::MemoryBudget budget_;
  std::deque<std::vector<Value>> nodes_;
  std::deque<std::uint64_t> wide_;  ///< bits of numbers
  Value root_;
};

}  // namespace tapegrad::nn::pickle
