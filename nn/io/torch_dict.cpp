#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/text.h>
#include <tapegrad/nn/io/torch_dict.h>
#include <tapegrad/nn/io/torch_names.h>

#include <fmt/format.h>

namespace tapegrad::nn::torch_file {

namespace {

using files::Unrepresentable;
using pickle::Document;
using pickle::Kind;
using pickle::Value;

/// Dictionaries within one another, and lists; more are damage, or one that holds itself.
constexpr int kDeepest = 64;

/// Of a dictionary, not of a value: the name may be there several times.
constexpr std::string_view kOddKey = "one of its keys is no text and no number";

class Reader {
 public:
  explicit Reader(const Document& document) : d_(document), budget_(document.budget()) {}

  Contents read() {
    const Value& root = d_.root();
    switch (root.kind) {
      case Kind::dict:
      case Kind::list:
      case Kind::tuple:
        read_container(root, "", 0);
        break;
      case Kind::call:
        read_call(root, "tensor");
        break;
      default:
        throw FileError("it holds no tensor and no dictionary of tensors");
    }
    require_different_names();
    return std::move(contents_);
  }

 private:
  // ---- limits ----

  /// Containers that occur several times, and long names of dictionaries that hold many, would let a small pickle
  /// take any amount of time.
  void charge(std::uint64_t steps) {
    steps_ += steps;
    if (steps_ / 32 > d_.size() + 4096)
      throw FileError("its pickle repeats long names or the same values more often than a state dict does");
  }
  static std::size_t room_of(const std::string& text) { return files::MemoryBudget::room_of(text); }

  // ---- values that are no tensors ----

  static bool is_scalar(const Value& v) {
    return v.kind == Kind::none || v.kind == Kind::boolean || v.kind == Kind::integer ||
           v.kind == Kind::real || v.kind == Kind::text;
  }
  bool is_sequence_of_scalars(const Value& v) {
    if (v.kind != Kind::list && v.kind != Kind::tuple) return false;
    charge(d_.items(v).size());
    return std::ranges::all_of(d_.items(v), is_scalar);
  }

  /// As Python writes it.
  std::string text_of(const Value& v) {
    switch (v.kind) {
      case Kind::none:
        return "None";
      case Kind::boolean:
        return v.boolean() ? "True" : "False";
      case Kind::integer:
        return std::to_string(d_.integer(v));
      case Kind::real: {
        std::string text = fmt::format("{}", d_.real(v));
        if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
        return text;
      }
      default:
        charge(d_.text(v).size());
        return std::string(d_.text(v));
    }
  }
  std::string sequence_text(const Value& v) {
    std::string text(1, v.kind == Kind::list ? '[' : '(');
    const std::span<const Value> items = d_.items(v);
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::string item = text_of(items[i]);
      charge(item.size());
      if (i > 0) text += ", ";
      text += items[i].kind == Kind::text ? fmt::format("'{}'", item) : item;
    }
    if (v.kind == Kind::tuple && items.size() == 1) text += ',';
    return text += v.kind == Kind::list ? ']' : ')';
  }

  void add_metadata(const std::string& name, std::string text) {
    if (!files::is_utf8(text)) return skip(name, "it is a text that is not UTF-8");
    charge(name.size() + text.size());
    constexpr std::size_t kNode = 48;  // of the map, with its piece of memory
    budget_.take(kNode + sizeof name + sizeof text + room_of(name) + room_of(text));
    if (!contents_.metadata.emplace(name, std::move(text)).second) refuse_name(name);
  }
  void skip(const std::string& name, std::string reason) {
    // A list that grows is there twice, with room for twice as many.
    budget_.take(3 * sizeof(SkippedMember) + room_of(name) + room_of(reason));
    contents_.skipped.push_back({name, std::move(reason)});
  }

  // ---- the tree ----

  [[noreturn]] static void refuse_name(std::string_view name) {
    throw FileError(fmt::format("the name '{}' is given twice, once perhaps within a dictionary", name));
  }
  void use_name(const std::string& name) {
    charge(name.size() + 64);
    if (!files::is_utf8(name)) throw FileError(fmt::format("the name '{}' is not UTF-8", name));
  }
  /// Of tensors and what is beside them. Looked for at the end, where a list of them takes little memory.
  void require_different_names() {
    std::vector<std::string_view> names;
    const std::size_t most = contents_.tensors.size() + contents_.metadata.size() + contents_.skipped.size();
    budget_.take(most * sizeof(std::string_view));
    names.reserve(most);
    for (const TensorView& t : contents_.tensors) names.push_back(t.name);
    for (const auto& [name, text] : contents_.metadata) names.push_back(name);
    for (const SkippedMember& s : contents_.skipped)
      if (s.reason != kOddKey) names.push_back(s.name);
    std::ranges::sort(names);
    if (const auto twice = std::ranges::adjacent_find(names); twice != names.end()) refuse_name(*twice);
  }

  void read_container(const Value& v, const std::string& prefix, int depth) {
    if (depth > kDeepest)
      throw FileError(
          fmt::format("'{}': it has dictionaries or lists more than {} deep, or one that holds itself",
                      prefix.substr(0, 200), kDeepest));
    const std::span<const Value> items = d_.items(v);
    const std::size_t step = v.kind == Kind::dict ? 2 : 1;
    for (std::size_t i = 0; i < items.size(); i += step) {
      charge(1);
      std::string name = prefix;
      if (v.kind != Kind::dict) {
        name += std::to_string(i);
      } else if (is_scalar(items[i])) {
        name += text_of(items[i]);
      } else {
        skip(prefix.empty() ? "" : prefix.substr(0, prefix.size() - 1), std::string(kOddKey));
        continue;
      }
      read_value(items[i + step - 1], name, depth);
    }
  }

  void read_value(const Value& v, const std::string& name, int depth) {
    const bool is_container = v.kind == Kind::dict || v.kind == Kind::list || v.kind == Kind::tuple;
    if (is_container && !is_sequence_of_scalars(v)) {
      charge(name.size() + 1);
      return read_container(v, name + '.', depth + 1);
    }
    use_name(name);
    if (is_scalar(v)) return add_metadata(name, text_of(v));
    if (is_container) return add_metadata(name, sequence_text(v));
    switch (v.kind) {
      case Kind::call:
        return read_call(v, name);
      case Kind::global:
        return read_global(v, name);
      case Kind::bytes:
        return skip(name, fmt::format("it is a text of {} bytes", v.number()));
      case Kind::long_integer:
        return skip(name, fmt::format("it is an integer of {} bytes", v.number()));
      default:
        return skip(name, "it is a storage, and no tensor");
    }
  }

  void read_global(const Value& v, const std::string& name) {
    const std::optional<Name> row = known(v);
    if (row && row->role == Role::dtype)
      add_metadata(name, fmt::format("torch.{}", row->name));
    else
      skip(name, "it is a class or function, and no value");
  }

  // ---- calls ----

  /// Nothing for OrderedDict, the class.
  static std::optional<Name> known(const Value& v) {
    if (v.kind != Kind::global || v.payload == pickle::kOrderedDict) return std::nullopt;
    return name_of_row(v.number());
  }

  struct Call {
    const Value& function;
    std::span<const Value> arguments;
  };
  Call call_of(const Value& v) const {
    const std::span<const Value> items = d_.items(v);
    return {items[0], d_.items(items[1])};
  }

  void read_call(const Value& v, const std::string& name) {
    const Call call = call_of(v);
    try {
      read_call_of(call.function, call.arguments, name, 0);
    } catch (const Unrepresentable& e) {
      skip(name, e.what());
    } catch (const FileError& e) {
      throw FileError(fmt::format("'{}': {}", name, e.what()));
    }
  }

  void read_call_of(const Value& function, std::span<const Value> arguments, const std::string& name,
                    int depth) {
    const std::optional<Name> row = known(function);
    const bool is_complete = !arguments.empty() || (row && row->role == Role::bytes);
    if (!row || depth > kDeepest || !is_complete) throw FileError("it is made in no way that is known");
    switch (row->role) {
      case Role::rebuild_tensor:
        contents_.tensors.push_back(tensor_of(arguments, name));
        return;
      case Role::rebuild_parameter: {
        if (arguments[0].kind != Kind::call) throw FileError("it is a parameter of no tensor");
        const Call inner = call_of(arguments[0]);
        return read_call_of(inner.function, inner.arguments, name, depth + 1);
      }
      case Role::rebuild_from_type:
        if (arguments.size() < 3 || arguments[2].kind != Kind::tuple)
          throw FileError("it is made in no way that is known");
        return read_call_of(arguments[0], d_.items(arguments[2]), name, depth + 1);
      case Role::size:
        if (!is_sequence_of_scalars(arguments[0])) throw FileError("its sizes are no numbers");
        return add_metadata(name, sequence_text(arguments[0]));
      case Role::device:
        if (arguments[0].kind != Kind::text) throw FileError("it is a device without a name");
        return add_metadata(name, text_of(arguments[0]));
      case Role::bytes:
        throw Unrepresentable("it is a text of bytes");
      default:
        throw FileError("it is made by a class that is called");
    }
  }

  // ---- tensors ----

  std::int64_t count(const Value& v, const char* what) const {
    if (v.kind != Kind::integer || d_.integer(v) < 0)
      throw FileError(fmt::format("its {} is no count", what));
    return d_.integer(v);
  }
  std::vector<std::int64_t> counts(const Value& v, const char* what) const {
    std::span<const Value> items;
    if (v.kind == Kind::tuple || v.kind == Kind::list) {
      items = d_.items(v);
    } else if (v.kind == Kind::call) {  // torch.Size((2, 3))
      const Call call = call_of(v);
      const std::optional<Name> row = known(call.function);
      if (row && row->role == Role::size && call.arguments.size() == 1 &&
          call.arguments[0].kind == Kind::tuple)
        items = d_.items(call.arguments[0]);
      else
        throw FileError(fmt::format("its {} are no counts", what));
    } else {
      throw FileError(fmt::format("its {} are no counts", what));
    }
    std::vector<std::int64_t> result;
    constexpr std::size_t kMostAxes = 64;  // of PyTorch's tensors
    if (items.size() > kMostAxes) throw FileError(fmt::format("it has {} {}", items.size(), what));
    for (const Value& item : items) result.push_back(count(item, what));
    return result;
  }

  TensorView tensor_of(std::span<const Value> arguments, const std::string& name) {
    if (arguments.size() < 4) throw FileError("storage, offset, sizes and strides are not all given");
    charge(512);
    // The view, its strides, and what is made of it later.
    constexpr std::size_t kTensor = 1000;
    budget_.take(kTensor + room_of(name));
    TensorView t;
    t.name = name;
    Name type = read_storage(arguments[0], t);
    const bool counted_in_bytes = type.role == Role::untyped_storage;
    if (counted_in_bytes) {  // then the type is the tensor's, behind requires_grad and hooks
      const std::optional<Name> dtype = arguments.size() > 6 ? known(arguments[6]) : std::nullopt;
      type = dtype && dtype->role == Role::dtype ? *dtype
                                                 : Name{"torch", "uint8", Role::dtype, files::Element::u8};
    }
    const std::vector<std::int64_t> sizes = counts(arguments[2], "sizes");
    if (!type.element)
      throw Unrepresentable(fmt::format(
          "it has elements of {}.{}; floating ones of 16 to 64 bits, integers and booleans are supported",
          type.module, type.name));
    if (sizes.size() > Shape::kMaxRank)
      throw Unrepresentable(
          fmt::format("it has {} axes; a tensor has at most {}", sizes.size(), std::size_t{Shape::kMaxRank}));
    t.element = *type.element;
    if (counted_in_bytes) {
      if (t.storage_size % size_of(t.element) != 0) throw FileError("its storage ends within an element");
      t.storage_size /= size_of(t.element);
    }
    t.offset = count(arguments[1], "offset");
    t.strides = counts(arguments[3], "strides");
    if (t.strides.size() != sizes.size())
      throw FileError(fmt::format("it has {} sizes and {} strides", sizes.size(), t.strides.size()));
    try {
      t.shape = Shape(std::span<const std::int64_t>(sizes));
    } catch (const ShapeError& e) {
      throw FileError(fmt::format("it has an impossible shape ({})", e.what()));
    }
    require_within_storage(t);
    if (const std::size_t last = counted_in_bytes ? 7 : 6; arguments.size() > last)
      read_properties(arguments[last], t);
    return t;
  }

  /// What PyTorch does not compute before it is asked for: {"neg": True} for a tensor that is the negative of its
  /// elements, as parts of complex ones may be.
  void read_properties(const Value& v, TensorView& t) {
    const std::span<const Value> items = v.kind == Kind::dict ? d_.items(v) : std::span<const Value>();
    charge(items.size());
    for (std::size_t i = 0; i < items.size(); i += 2) {
      const std::string_view name = items[i].kind == Kind::text ? d_.text(items[i]) : "";
      const Value& value = items[i + 1];
      if (value.kind == Kind::boolean && !value.boolean()) continue;
      if (name != "neg" || value.kind != Kind::boolean)
        throw Unrepresentable(
            fmt::format("it has the property '{}', which is not known here", name.substr(0, 200)));
      // PyTorch changes the sign in the type of the elements, where that of an unsigned 1 is 255.
      if (widened_dtype(t.element) == i64 && t.element != files::Element::i64)
        throw Unrepresentable(fmt::format("it is the negative of elements of {}", name_of(t.element)));
      t.negative = true;
    }
  }

  /// ("storage", class, key, device, size) tells a storage, which lies outside of the pickle. Gives its class.
  Name read_storage(const Value& v, TensorView& t) const {
    if (v.kind != Kind::reference) throw FileError("its elements are in no storage");
    const Value& identity = d_.items(v)[0];
    const std::span<const Value> items =
        identity.kind == Kind::tuple ? d_.items(identity) : std::span<const Value>();
    if (items.size() < 5 || items[0].kind != Kind::text || d_.text(items[0]) != "storage" ||
        items[2].kind != Kind::text)
      throw FileError("its storage is named in no way that is known");
    const std::optional<Name> type = known(items[1]);
    if (!type || (type->role != Role::storage_class && type->role != Role::untyped_storage))
      throw FileError("its storage is of no class that is known");
    t.storage = d_.text(items[2]);
    t.storage_size = static_cast<std::uint64_t>(count(items[4], "storage's size"));
    return *type;
  }

  static void require_within_storage(const TensorView& t) {
    std::int64_t last = t.offset;
    bool fits = true;
    for (std::size_t i = 0; i < t.shape.rank(); ++i) {
      std::int64_t reach = 0;
      if (t.shape.size() > 0)
        fits &= !__builtin_mul_overflow(t.shape[i] - 1, t.strides[i], &reach) &&
                !__builtin_add_overflow(last, reach, &last);
    }
    const auto end = static_cast<std::uint64_t>(last) + (t.shape.size() > 0 ? 1 : 0);
    if (!fits || end > t.storage_size)
      throw FileError(fmt::format("{} with strides [{}] from {} reaches beyond its storage of {} elements",
                                  to_string(t.shape), fmt::join(t.strides, ", "), t.offset, t.storage_size));
  }

  const Document& d_;
  Contents contents_;
  files::MemoryBudget budget_;
  std::uint64_t steps_ = 0;
};

}  // namespace

Contents read_dict(const Document& document) { return Reader(document).read(); }

}  // namespace tapegrad::nn::torch_file
