#include <algorithm>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/pickle.h>

#include <fmt/format.h>

namespace tapegrad::nn::pickle {

namespace {

/// OrderedDict, which behaves as a dict: the one class that this file knows itself.
constexpr int kOrderedDict = -2;

enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kBinFloat = 'G',
  kEmptyList = ']',
  kEmptyTuple = ')',
  kEmptyDict = '}',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95
};

}  // namespace

class Document::Machine {
 public:
  Machine(Document& document, Find find) : d_(document), bytes_(document.bytes_), find_(find) {}

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
    return {Kind::text, std::uint64_t{begin} << 32 | count};
  }
  Value sized(Kind kind, std::uint64_t count) {
    advance(count);
    return {kind, count};
  }
  std::string_view line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string::npos) refuse("it ends early");
    const std::size_t begin = std::exchange(at_, end + 1);
    return std::string_view(bytes_).substr(begin, end - begin);
  }

  // ---- values ----

  static Value integer(std::int64_t value) { return {Kind::integer, std::bit_cast<std::uint64_t>(value)}; }

  /// Two's complement, the lowest byte first.
  Value long_integer(std::uint64_t count) {
    if (count > sizeof(std::int64_t)) return sized(Kind::long_integer, count);
    const std::uint64_t value = number(count);
    if (count == 0) return integer(0);
    const auto unused = static_cast<int>(64 - 8 * count);
    return integer(std::bit_cast<std::int64_t>(value << unused) >> unused);
  }

  Value real() {
    std::uint64_t bits = 0;  // the highest byte first
    for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
    return {Kind::real, bits};
  }

  /// What a container takes is counted, so that one byte cannot make a hundred: a real pickle names what it makes.
  void charge(std::uint64_t bytes) {
    used_ += bytes;
    if (used_ / 24 > bytes_.size() + 4096)
      throw FileError(
          "its pickle makes more tuples, lists and dictionaries than a state dict of its size has");
  }
  Value node(Kind kind, std::vector<Value> items) {
    charge(64 + items.size() * sizeof(Value));
    d_.nodes_.push_back(std::move(items));
    return {kind, d_.nodes_.size() - 1};
  }
  void append(const Value& container, std::size_t from) {
    std::vector<Value>& items = d_.nodes_[container.payload];
    charge((stack_.size() - from) * sizeof(Value));
    items.insert(items.end(), stack_.begin() + static_cast<std::ptrdiff_t>(from), stack_.end());
    stack_.resize(from);
  }

  // ---- the stack ----

  void push(const Value& v) { stack_.push_back(v); }
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
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(from);
    std::vector<Value> items(begin, stack_.end());
    stack_.resize(from);
    return node(Kind::tuple, std::move(items));
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
    if (index >= memo_.size()) memo_.resize(index + 1, {Value{}, false});
    if (!memo_[index].given) ++memo_count_;
    memo_[index] = {stack_.back(), true};
  }
  void get(std::uint64_t index) {
    if (index >= memo_.size() || !memo_[index].given) refuse(fmt::format("value {} is not there", index));
    push(memo_[index].value);
  }

  // ---- classes and functions ----

  void global(std::string_view module, std::string_view name) {
    if (module == "collections" && name == "OrderedDict") {
      push({Kind::global, static_cast<std::uint64_t>(std::int64_t{kOrderedDict})});
      return;
    }
    const int number = find_(module, name);
    if (number < 0)
      throw FileError(fmt::format(
          "its pickle uses '{}.{}', which a state dict does not need, and no code of a file is "
          "ever run. Save tensors, numbers and texts alone: in Python, torch.save(model.state_dict(), path)",
          module.substr(0, 100), name.substr(0, 100)));
    push({Kind::global, static_cast<std::uint64_t>(number)});
  }
  void stack_global() {
    const Value name = pop();
    const Value module = pop();
    if (name.kind != Kind::text || module.kind != Kind::text) refuse("a class is named by what is no text");
    global(d_.text(module), d_.text(name));
  }

  void call() {
    const Value arguments = pop();
    const Value function = pop();
    if (function.kind != Kind::global || arguments.kind != Kind::tuple)
      refuse("something is called that is no class nor function");
    const std::vector<Value>& given = d_.nodes_[arguments.payload];
    if (function.payload == static_cast<std::uint64_t>(std::int64_t{kOrderedDict})) {
      if (!given.empty()) refuse("an OrderedDict is made of arguments");
      push(node(Kind::dict, {}));
      return;
    }
    std::vector<Value> items;
    items.reserve(given.size() + 1);
    items.push_back(function);
    items.insert(items.end(), given.begin(), given.end());
    push(node(Kind::call, std::move(items)));
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
        return marks_.push_back(stack_.size());
      case kNone:
        return push({});
      case kNewTrue:
      case kNewFalse:
        return push({Kind::boolean, opcode == kNewTrue});
      case kBinInt:
        return push(integer(static_cast<std::int32_t>(number(4))));
      case kBinInt1:
        return push(integer(static_cast<std::int64_t>(number(1))));
      case kBinInt2:
        return push(integer(static_cast<std::int64_t>(number(2))));
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
        return push(node(Kind::tuple, {}));
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return tuple_of(opcode - kTuple1 + 1U);
      case kTuple:
        return push(tuple_from(pop_mark()));
      case kEmptyList:
        return push(node(Kind::list, {}));
      case kAppend:
        return append_items(stack_.size() - (stack_.empty() ? 0 : 1));
      case kAppends:
        return append_items(pop_mark());
      case kEmptyDict:
        return push(node(Kind::dict, {}));
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
        return push(node(Kind::reference, {pop()}));
      default:
        --at_;
        refuse(fmt::format("its opcode {:#04x} is none that a state dict needs", opcode));
    }
  }

  struct Memo {
    Value value;
    bool given;
  };

  Document& d_;
  const std::string& bytes_;
  Find find_;
  std::size_t at_ = 0;
  std::uint64_t used_ = 0;
  std::uint64_t memo_count_ = 0;
  std::vector<Value> stack_;
  std::vector<std::size_t> marks_;
  std::vector<Memo> memo_;
};

Document::Document(std::string bytes, Find find) : bytes_(std::move(bytes)) {
  if (bytes_.size() > kLongest)
    throw FileError(fmt::format("its pickle has {} bytes; at most {} are read", bytes_.size(), kLongest));
  root_ = Machine(*this, find).run();
}

}  // namespace tapegrad::nn::pickle
