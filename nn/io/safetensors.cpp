#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/safetensors.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tapegrad::nn::safetensors {

namespace {

using files::Element;
using Json = nlohmann::json;

struct DtypeName {
  Element element;
  std::string_view name;
};
constexpr DtypeName kDtypes[] = {{Element::f16, "F16"},     {Element::bf16, "BF16"}, {Element::f32, "F32"},
                                 {Element::f64, "F64"},     {Element::i8, "I8"},     {Element::i16, "I16"},
                                 {Element::i32, "I32"},     {Element::i64, "I64"},   {Element::u8, "U8"},
                                 {Element::u16, "U16"},     {Element::u32, "U32"},   {Element::u64, "U64"},
                                 {Element::boolean, "BOOL"}};

std::string quoted(const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    throw ArgumentError(fmt::format("save_state: the text '{}' is not UTF-8", text));
  }
}

/// Receives the tokens of the header one by one: no tree is built, so that neither depth nor repeated names
/// can hurt, and what does not belong is refused where it stands.
class Reader : public nlohmann::json_sax<Json> {
 public:
  Header take() && { return std::move(header_); }

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::file:
        place_ = Place::names;
        return true;
      case Place::entry_or_metadata:
        if (name_ == kMetadata) {
          place_ = Place::metadata;
        } else {
          place_ = Place::fields;
          entry_ = {};
          entry_.name = name_;
          dtype_given_ = shape_given_ = false;
          offsets_.clear();
        }
        return true;
      default:
        refuse("an object");
    }
  }

  bool end_object() override {
    switch (place_) {
      case Place::names:
        place_ = Place::end;
        return true;
      case Place::metadata:
        place_ = Place::names;
        return true;
      case Place::fields:
        finish_entry();
        place_ = Place::names;
        return true;
      default:
        refuse("the end of an object");
    }
  }

  bool key(std::string& text) override {
    switch (place_) {
      case Place::names:
        if (!names_.insert(text).second) throw FileError(fmt::format("the name '{}' is given twice", text));
        name_ = text;
        place_ = Place::entry_or_metadata;
        return true;
      case Place::metadata:
        metadata_key_ = text;
        place_ = Place::metadata_value;
        return true;
      case Place::fields:
        place_ = text == "dtype" && !dtype_given_             ? Place::dtype
                 : text == "shape" && !shape_given_           ? Place::shape
                 : text == "data_offsets" && offsets_.empty() ? Place::offsets
                                                              : Place::end;
        if (place_ == Place::end)
          throw FileError(fmt::format("tensor '{}' has the field '{}', unknown or given twice", name_, text));
        return true;
      default:
        refuse("a name");
    }
  }

  bool string(std::string& text) override {
    if (place_ == Place::metadata_value) {
      if (!header_.metadata.emplace(metadata_key_, text).second)
        throw FileError(fmt::format("the metadata '{}' is given twice", metadata_key_));
      place_ = Place::metadata;
      return true;
    }
    if (place_ != Place::dtype) refuse("a text");
    for (const DtypeName& d : kDtypes) {
      if (d.name != text) continue;
      entry_.element = d.element;
      dtype_name_ = d.name;
      dtype_given_ = true;
      place_ = Place::fields;
      return true;
    }
    entry_.unreadable = fmt::format(
        "it has elements of {}; F16, BF16, F32, F64, I8 to I64, U8 to U64 and BOOL are supported", text);
    dtype_given_ = true;
    place_ = Place::fields;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::shape && place_ != Place::offsets) refuse("a list");
    place_ = place_ == Place::shape ? Place::sizes : Place::bounds;
    numbers_.clear();
    given_ = 0;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::sizes) {
      finish_shape();
    } else if (place_ == Place::bounds) {
      if (given_ != 2)
        throw FileError(fmt::format("tensor '{}' has {} data_offsets, expected 2", name_, given_));
      offsets_ = numbers_;
    } else {
      refuse("the end of a list");
    }
    place_ = Place::fields;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (place_ != Place::sizes && place_ != Place::bounds) refuse("a number");
    ++given_;
    if (numbers_.size() < Shape::kMaxRank)
      numbers_.push_back(value);  // of a list of millions no more need be kept
    return true;
  }

  bool number_integer(std::int64_t value) override {
    throw FileError(fmt::format("'{}' has the number {}, expected none below 0", name_, value));
  }
  bool number_float(double, const std::string& text) override {
    throw FileError(fmt::format("'{}' has the number {}, expected an integer", name_, text));
  }
  bool null() override { refuse("null"); }
  bool boolean(bool) override { refuse("a boolean"); }
  bool binary(binary_t&) override { refuse("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    throw FileError(fmt::format("its header is not valid JSON at byte {}", position));
  }

 private:
  enum class Place {
    file,
    names,
    entry_or_metadata,
    metadata,
    metadata_value,
    fields,
    dtype,
    shape,
    sizes,
    offsets,
    bounds,
    end
  };

  [[noreturn]] void refuse(const char* what) const {
    throw FileError(fmt::format("its header has {} in the wrong place{}", what,
                                name_.empty() ? "" : fmt::format(", under '{}'", name_)));
  }

  void finish_shape() {
    shape_given_ = true;
    if (given_ > Shape::kMaxRank) {
      entry_.unreadable =
          fmt::format("it has {} axes; a tensor has at most {}", given_, std::size_t{Shape::kMaxRank});
      return;
    }
    std::vector<std::int64_t> dims;
    for (const std::uint64_t n : numbers_) {
      if (n > static_cast<std::uint64_t>(INT64_MAX))
        throw FileError(fmt::format("tensor '{}' has an axis of {}", name_, n));
      dims.push_back(static_cast<std::int64_t>(n));
    }
    try {
      entry_.shape = Shape(std::span<const std::int64_t>(dims));
    } catch (const ShapeError& e) {
      throw FileError(fmt::format("tensor '{}' has an impossible shape ({})", name_, e.what()));
    }
  }

  void finish_entry() {
    if (!dtype_given_ || !shape_given_ || offsets_.empty())
      throw FileError(fmt::format("tensor '{}' needs a dtype, a shape and data_offsets", name_));
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    if (entry_.begin > entry_.end)
      throw FileError(fmt::format("tensor '{}' lies at [{}, {}]", name_, entry_.begin, entry_.end));
    const std::uint64_t bytes = static_cast<std::uint64_t>(entry_.shape.size()) * size_of(entry_.element);
    if (entry_.unreadable.empty() && entry_.end - entry_.begin != bytes)
      throw FileError(fmt::format("tensor '{}' lies at [{}, {}], but {} elements of {} need {} bytes", name_,
                                  entry_.begin, entry_.end, entry_.shape.size(), dtype_name_, bytes));
    header_.entries.push_back(std::move(entry_));
  }

  Header header_;
  Place place_ = Place::file;
  std::set<std::string> names_;
  std::string name_;
  std::string metadata_key_;
  Entry entry_;
  std::string_view dtype_name_;
  bool dtype_given_ = false;
  bool shape_given_ = false;
  std::vector<std::uint64_t> numbers_;  // of a list, as many as a shape has
  std::size_t given_ = 0;               // all of them
  std::vector<std::uint64_t> offsets_;
};

}  // namespace

std::string write_header(const Header& header) {
  std::string out = "{";
  const auto begin_item = [&](const std::string& name) {
    if (out.size() > 1) out += ',';
    out += quoted(name);
    out += ':';
  };
  if (!header.metadata.empty()) {
    begin_item(std::string(kMetadata));
    const char* separator = "{";
    for (const auto& [key, value] : header.metadata) {
      out += fmt::format("{}{}:{}", separator, quoted(key), quoted(value));
      separator = ",";
    }
    out += '}';
  }
  for (const Entry& e : header.entries) {
    begin_item(e.name);
    for (const DtypeName& d : kDtypes)
      if (d.element == e.element)
        out += fmt::format(R"({{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", d.name,
                           fmt::join(e.shape.dims(), ","), e.begin, e.end);
  }
  return out + '}';
}

Header read_header(std::string_view text) {
  Reader reader;
  Json::sax_parse(text, &reader);
  return std::move(reader).take();
}

}  // namespace tapegrad::nn::safetensors
