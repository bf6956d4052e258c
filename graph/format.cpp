#include <algorithm>
#include <ostream>
#include <vector>

#include <tapegrad/graph/format.h>
#include <tapegrad/graph/parameter.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

constexpr std::int64_t kSummarised = 1000;  // elements up to which all are shown

/// How many positions to show at each end of an axis: fewer where many axes multiply them.
std::int64_t ends(std::size_t rank) { return rank <= 3 ? 3 : rank == 4 ? 2 : 1; }

class Printer {
 public:
  Printer(const Tensor& tensor, std::string_view spec)
      : tensor_(tensor),
        format_(fmt::format("{{:{}}}", spec.empty() && is_floating(tensor.dtype()) ? ".6g" : spec)),
        ends_(tensor.size() > kSummarised ? ends(tensor.rank()) : tensor.size()) {}

  std::string text() {
    collect(0, 0);
    for (const std::string& element : elements_) width_ = std::max(width_, element.size());
    std::string out;
    append(out, 0);
    if (summarised_) out += fmt::format(" ({} {})", name_of(tensor_.dtype()), to_string(tensor_.shape()));
    return out;
  }

 private:
  bool left_out(std::int64_t i, std::int64_t size) const { return i >= ends_ && i < size - ends_; }

  /// Formats what will be shown, in order, since the widest element decides how all are aligned.
  void collect(std::size_t axis, std::int64_t row) {
    if (axis == tensor_.rank()) {
      visit_dtype(tensor_.dtype(), [&]<class T> {
        const T value = detail::TensorAccess::data_as<T>(tensor_)[row];
        elements_.push_back(fmt::format(fmt::runtime(format_), detail::shown(value)));
      });
      return;
    }
    const std::int64_t size = tensor_.shape()[axis];
    for (std::int64_t i = 0; i < size; ++i) {
      if (left_out(i, size)) {
        summarised_ = true;
        i = size - ends_;
      }
      collect(axis + 1, row * size + i);
    }
  }

  void append(std::string& out, std::size_t axis) {
    if (axis == tensor_.rank()) {
      const std::string& element = elements_[next_++];
      if (axis > 0) out.append(width_ - element.size(), ' ');
      out += element;
      return;
    }
    // Rows stand under each other, blocks of rows are separated by empty lines.
    const std::size_t below = tensor_.rank() - axis - 1;
    const std::string separator =
        below == 0 ? ", " : "," + std::string(below, '\n') + std::string(axis + 1, ' ');
    const std::int64_t size = tensor_.shape()[axis];
    out += '[';
    for (std::int64_t i = 0; i < size; ++i) {
      if (i > 0) out += separator;
      if (left_out(i, size)) {
        out += "..." + separator;
        i = size - ends_;
      }
      append(out, axis + 1);
    }
    out += ']';
  }

  const Tensor& tensor_;
  std::string format_;
  std::int64_t ends_;
  bool summarised_ = false;
  std::vector<std::string> elements_;
  std::size_t width_ = 0;
  std::size_t next_ = 0;
};

}  // namespace

std::string to_string(const Tensor& tensor) { return detail::format_tensor(tensor, {}); }

std::string detail::format_parameter(const Parameter& parameter, std::string_view spec) {
  return parameter.defined() ? format_tensor(parameter.data(), spec) : "undefined parameter";
}

namespace {

/// How a stream writes numbers, as a specification for elements of this type.
std::string spec_of(const std::ostream& out, Dtype dtype) {
  if (!is_floating(dtype)) return {};
  const auto notation = out.flags() & std::ios_base::floatfield;
  return fmt::format(".{}{}", out.precision(),
                     notation == std::ios_base::fixed        ? 'f'
                     : notation == std::ios_base::scientific ? 'e'
                                                             : 'g');
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  return out << detail::format_tensor(tensor, spec_of(out, tensor.dtype()));
}

std::ostream& operator<<(std::ostream& out, const Parameter& parameter) {
  return out << detail::format_parameter(
             parameter, parameter.defined() ? spec_of(out, parameter.dtype()) : std::string());
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << to_string(shape); }

std::ostream& operator<<(std::ostream& out, Dtype dtype) { return out << name_of(dtype); }

std::string detail::format_text(std::string_view text, std::string_view spec) {
  return fmt::format(fmt::runtime(fmt::format("{{:{}}}", spec)), text);
}

std::string detail::format_tensor(const Tensor& tensor, std::string_view spec) {
  if (!tensor.defined()) return "undefined tensor";
  if (tensor.size() == 0)
    return fmt::format("[] ({} {})", name_of(tensor.dtype()), to_string(tensor.shape()));
  return Printer(tensor, spec).text();
}

}  // namespace tapegrad
