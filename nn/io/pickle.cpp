#include <algorithm>
#include <optional>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/pickle.h>
#include <tapegrad/nn/io/pickle_opcodes.h>

#include <fmt/format.h>

namespace tapegrad::nn::pickle {

namespace {

constexpr std::uint64_t kMostPayload = (std::uint64_t{1} << 56) - 1;
constexpr const char* kRefusal =
    "its pickle makes more values, or names them more often, than a state dict in a file of this size does. "
    "Save tensors, numbers and texts alone: in Python, torch.save(model.state_dict(), path)";
/// Of a number that no value was given.
constexpr auto kAbsent = static_cast<Kind>(255);

}  // namespace

class Document::Machine {
 public:
  Machine(Document& document, Find find) : d_(document), bytes_(document.bytes_), find_(find) {}
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  /// What remains belongs to the document.
  ~Machine() { d_.budget_.give(working_); }

  Value run() {
    if (byte() != kProto) refuse("it does not start with a protocol of 2 to 5");
    if (const unsigned protocol = byte(); protocol < 2 || protocol > 5)
      refuse(fmt::format("it is of protocol {}; 2 to 5 are supported", protocol));
    for (;;) {
      const unsigned char opcode = byte();
      if (opcode == kStop) break;
      step(opcode);
    }
    const Value root = pop();
    if (!stack_.empty() || !marks_.empty()) refuse("values are left when it ends");
    if (at_ != bytes_.size()) refuse(fmt::format("{} bytes follow its end", bytes_.size() - at_));
    return root;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw FileError(
        fmt::format("its pickle is damaged or no state dict: {} (byte {} of {})", what, at_, bytes_.size()));
  }

  // ---- bytes ----

  std::size_t advance(std::uint64_t count) {
    if (count > bytes_.size() - at_) refuse("it ends early");
    return std::exchange(at_, at_ + count);
  }
  unsigned char byte() { return static_cast<unsigned char>(bytes_[advance(1)]); }
  std::uint64_t number(std::size_t count) {
    std::uint64_t value = 0;
    const std::size_t begin = advance(count);
    for (std::size_t i = count; i > 0; --i)
      value = value << 8 | static_cast<unsigned char>(bytes_[begin + i - 1]);
    return value;
  }
  Value text(std::uint64_t count) {
    const std::size_t begin = advance(count);
    return value(Kind::text, std::uint64_t{begin} << kTextBits | count);
  }
  Value sized(Kind kind, std::uint64_t count) {
    advance(count);
    return value(kind, count);
  }
  std::string_view line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string::npos) refuse("it ends early");
    const std::size_t begin = std::exchange(at_, end + 1);
    return std::string_view(bytes_).substr(begin, end - begin);
  }

  // ---- values ----

  static Value value(Kind kind, std::uint64_t payload) { return {kind, payload & kMostPayload}; }
  static Value integer(std::int32_t number) {
    return value(Kind::integer, static_cast<std::uint32_t>(number));
  }
  Value wide(Kind kind, std::uint64_t bits, std::uint64_t flag = 0) {
    d_.budget_.take(sizeof bits + 1);
    d_.wide_.push_back(bits);
    return value(kind, (d_.wide_.size() - 1) | flag);
  }

  /// Two's complement, the lowest byte first.
  Value long_integer(std::uint64_t count) {
    if (count > sizeof(std::int64_t)) return sized(Kind::long_integer, count);
    if (count == 0) return integer(0);
    const auto unused = static_cast<int>(64 - 8 * count);
    const std::int64_t extended = std::bit_cast<std::int64_t>(number(count) << unused) >> unused;
    if (extended == static_cast<std::int32_t>(extended)) return integer(static_cast<std::int32_t>(extended));
    return wide(Kind::integer, std::bit_cast<std::uint64_t>(extended), kIsWide);
  }

  Value real() {
    std::uint64_t bits = 0;  // the highest byte first
    for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
    return wide(Kind::real, bits);
  }

  // What each piece of memory takes beside what it was asked for.
  static std::size_t room_of(std::size_t capacity) {
    constexpr std::size_t kPiece = 16, kSmallest = 32;
    return capacity == 0 ? 0 : std::max(kSmallest, kPiece + capacity * sizeof(Value));
  }
  /// Of the values of the stack from there on, which leave it.
  Value node_from(Kind kind, std::size_t from) {
    d_.budget_.take(sizeof(std::vector<Value>) + 2 + room_of(stack_.size() - from));
    d_.nodes_.emplace_back(stack_.begin() + static_cast<std::ptrdiff_t>(from), stack_.end());
    stack_.resize(from);
    return value(kind, d_.nodes_.size() - 1);
  }
  Value empty_node(Kind kind) { return node_from(kind, stack_.size()); }
  /// The values of the stack from there on, which leave it. Grows by half, so that single ones are not copied often.
  void append(const Value& container, std::size_t from) {
    std::vector<Value>& items = d_.nodes_[container.payload];
    const std::size_t needed = items.size() + (stack_.size() - from);
    if (needed > items.capacity()) {
      const std::size_t before = room_of(items.capacity());
      const std::size_t capacity = std::max(needed, items.size() + items.size() / 2);
      d_.budget_.take(room_of(capacity));
      items.reserve(capacity);
      d_.budget_.give(before);
    }
    items.insert(items.end(), stack_.begin() + static_cast<std::ptrdiff_t>(from), stack_.end());
    stack_.resize(from);
  }

  // ---- the stack ----

  /// Memory that goes when the pickle is at its end.
  void take_working(std::size_t bytes) {
    d_.budget_.take(bytes);
    working_ += bytes;
  }
  void push(const Value& v) {
    if (stack_.size() == most_stacked_) ++most_stacked_, take_working(sizeof v + 1);
    stack_.push_back(v);
  }
  void push_mark() {
    if (marks_.size() == most_marks_) ++most_marks_, take_working(sizeof(std::uint32_t) + 1);
    marks_.push_back(static_cast<std::uint32_t>(stack_.size()));
  }
  /// Where the values above the last mark begin, or those of the stack.
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Value pop() {
    if (stack_.size() <= floor()) refuse("a value is missing");
    const Value v = stack_.back();
    stack_.pop_back();
    return v;
  }
  /// Where the values above the last mark begin; the mark goes.
  std::size_t pop_mark() {
    if (marks_.empty()) refuse("a mark is missing");
    const std::size_t at = marks_.back();
    marks_.pop_back();
    return at;
  }
  /// The container below these values.
  Value container_below(std::size_t from, Kind kind) {
    if (from <= floor() || stack_[from - 1].kind != kind)
      refuse(kind == Kind::dict ? "items are set in what is no dictionary" : "items are added to no list");
    return stack_[from - 1];
  }
  Value tuple_from(std::size_t from) {
    if (from < stack_.size()) return node_from(Kind::tuple, from);
    if (!empty_tuple_) empty_tuple_ = empty_node(Kind::tuple);  // all of them are one
    return *empty_tuple_;
  }
  void tuple_of(std::size_t count) {
    if (stack_.size() - floor() < count) refuse("a value is missing");
    push(tuple_from(stack_.size() - count));
  }

  void set_items(std::size_t from) {
    if ((stack_.size() - from) % 2 != 0) refuse("a key has no value");
    append(container_below(from, Kind::dict), from);
  }
  void append_items(std::size_t from) { append(container_below(from, Kind::list), from); }

  // ---- what was seen before ----

  void put(std::uint64_t index) {
    if (stack_.size() <= floor()) refuse("a value is missing");
    if (index >= bytes_.size()) refuse(fmt::format("it numbers a value {}", index));
    if (index >= memo_.size()) {
      take_working((index + 1 - memo_.size()) * (sizeof(Value) + 1));
      memo_.resize(index + 1, Value{kAbsent, 0});
    }
    if (memo_[index].kind == kAbsent) ++memo_count_;
    memo_[index] = stack_.back();
  }
  void get(std::uint64_t index) {
    if (index >= memo_.size() || memo_[index].kind == kAbsent)
      refuse(fmt::format("value {} is not there", index));
    push(memo_[index]);
  }

  // ---- classes and functions ----

  void global(std::string_view module, std::string_view name) {
    if (module == "collections" && name == "OrderedDict") {
      push(value(Kind::global, kOrderedDict));
      return;
    }
    const int number = find_(module, name);
    if (number < 0)
      throw FileError(fmt::format(
          "its pickle uses '{}.{}', which a state dict does not need, and no code of a file is "
          "ever run. Save tensors, numbers and texts alone: in Python, torch.save(model.state_dict(), path)",
          module.substr(0, 100), name.substr(0, 100)));
    push(value(Kind::global, static_cast<std::uint64_t>(number)));
  }
  void stack_global() {
    const Value name = pop();
    const Value module = pop();
    if (name.kind != Kind::text || module.kind != Kind::text) refuse("a class is named by what is no text");
    global(d_.text(module), d_.text(name));
  }

  void call() {
    if (stack_.size() < floor() + 2) refuse("a value is missing");
    const Value arguments = stack_[stack_.size() - 1];
    const Value function = stack_[stack_.size() - 2];
    if (function.kind != Kind::global || arguments.kind != Kind::tuple)
      refuse("something is called that is no class nor function");
    if (function.payload != kOrderedDict) return push(node_from(Kind::call, stack_.size() - 2));
    if (!d_.items(arguments).empty()) refuse("an OrderedDict is made of arguments");
    stack_.resize(stack_.size() - 2);
    push(empty_node(Kind::dict));
  }

  /// Attributes of a dictionary, such as the _metadata of a state dict, are of no use here.
  void build() {
    pop();
    if (stack_.size() <= floor() || stack_.back().kind != Kind::dict)
      refuse("attributes are set of what is no dictionary");
  }

  void step(unsigned char opcode) {
    switch (opcode) {
      case kFrame:
        if (number(8) > bytes_.size() - at_) refuse("a frame reaches beyond its end");
        return;
      case kMark:
        return push_mark();
      case kNone:
        return push({});
      case kNewTrue:
      case kNewFalse:
        return push(value(Kind::boolean, opcode == kNewTrue));
      case kBinInt:
        return push(integer(static_cast<std::int32_t>(number(4))));
      case kBinInt1:
        return push(integer(static_cast<std::int32_t>(number(1))));
      case kBinInt2:
        return push(integer(static_cast<std::int32_t>(number(2))));
      case kLong1:
        return push(long_integer(number(1)));
      case kLong4:
        return push(long_integer(number(4)));
      case kBinFloat:
        return push(real());
      case kShortBinString:  // Python 2's
      case kShortBinUnicode:
        return push(text(number(1)));
      case kBinString:
      case kBinUnicode:
        return push(text(number(4)));
      case kBinUnicode8:
        return push(text(number(8)));
      case kShortBinBytes:
        return push(sized(Kind::bytes, number(1)));
      case kBinBytes:
        return push(sized(Kind::bytes, number(4)));
      case kBinBytes8:
        return push(sized(Kind::bytes, number(8)));
      case kEmptyTuple:
        return push(tuple_from(stack_.size()));
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return tuple_of(opcode - kTuple1 + 1U);
      case kTuple:
        return push(tuple_from(pop_mark()));
      case kEmptyList:
        return push(empty_node(Kind::list));
      case kAppend:
        return append_items(stack_.size() - (stack_.empty() ? 0 : 1));
      case kAppends:
        return append_items(pop_mark());
      case kEmptyDict:
        return push(empty_node(Kind::dict));
      case kSetItem:
        if (stack_.size() - floor() < 2) refuse("a value is missing");
        return set_items(stack_.size() - 2);
      case kSetItems:
        return set_items(pop_mark());
      case kBinPut:
        return put(number(1));
      case kLongBinPut:
        return put(number(4));
      case kMemoize:
        return put(memo_count_);
      case kBinGet:
        return get(number(1));
      case kLongBinGet:
        return get(number(4));
      case kGlobal: {
        const std::string_view module = line();
        return global(module, line());
      }
      case kStackGlobal:
        return stack_global();
      case kReduce:
      case kNewObj:
        return call();
      case kBuild:
        return build();
      case kBinPersId:
        if (stack_.size() <= floor()) refuse("a value is missing");
        return push(node_from(Kind::reference, stack_.size() - 1));
      default:
        --at_;
        refuse(fmt::format("its opcode {:#04x} is none that a state dict needs", opcode));
    }
  }

  Document& d_;
  const std::string& bytes_;
  Find find_;
  std::size_t at_ = 0;
  std::size_t working_ = 0;  ///< bytes of the budget that are for what follows
  std::uint64_t memo_count_ = 0;
  std::size_t most_stacked_ = 0;
  std::size_t most_marks_ = 0;
  // Without the doubling of a vector, which takes three times what it holds.
  std::deque<Value> stack_;
  std::deque<std::uint32_t> marks_;
  std::deque<Value> memo_;
  std::optional<Value> empty_tuple_;
};

Document::Document(std::string bytes, std::uint64_t file_size, Find find)
    : bytes_(std::move(bytes)), budget_(file_size, kRefusal) {
  if (bytes_.size() > kLongest)
    throw FileError(fmt::format("its pickle has {} bytes; at most {} are read", bytes_.size(), kLongest));
  root_ = Machine(*this, find).run();
}

}  // namespace tapegrad::nn::pickle
