#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/node.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tensor.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::TensorAccess;

namespace {

/// A literal as an element; integers are not made of other numbers.
template <class T>
T element(double value, const char* op) {
  if constexpr (!std::is_floating_point_v<T>) {
    if (!(value >= -0x1p63 && value < 0x1p63) || value != std::trunc(value))
      throw ArgumentError(fmt::format("{}: {} is no value of {}; give integers, or ask for f32 or f64", op,
                                      value, name_of(dtype_of<T>)));
  }
  return static_cast<T>(value);
}

[[noreturn]] void throw_no_memory(const Shape& shape, Dtype dtype, std::size_t bytes,
                                  std::string_view function) {
  const std::string what = fmt::format("a tensor {} of {}", to_string(shape), name_of(dtype));
  const std::string of = function.empty() ? "" : fmt::format(" that {} makes", op_label(function));
  detail::throw_out_of_memory(bytes, what + of);
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, Dtype dtype) { return make(shape, dtype, {}); }

Tensor Tensor::make(const Shape& shape, Dtype dtype, std::string_view function) {
  const std::size_t bytes = static_cast<std::size_t>(shape.size()) * size_of(dtype);
  detail::Storage* s = detail::try_allocate(bytes);
  if (!s) [[unlikely]]
    throw_no_memory(shape, dtype, bytes, function);
  return TensorAccess::adopt(s, s->data(bytes), shape, dtype);
}

Tensor Tensor::zeros(const Shape& shape, Dtype dtype) {
  Tensor t = make(shape, dtype, "zeros");
  std::memset(t.data_, 0, static_cast<std::size_t>(shape.size()) * size_of(dtype));
  return t;
}

Tensor Tensor::ones(const Shape& shape, Dtype dtype) { return full(shape, 1, dtype); }

Tensor Tensor::full(const Shape& shape, double value, Dtype dtype) {
  Tensor t = make(shape, dtype, "full");
  visit_dtype(dtype, [&]<class T> {
    std::fill_n(TensorAccess::data_as<T>(t), static_cast<std::size_t>(shape.size()),
                element<T>(value, "full"));
  });
  return t;
}

Tensor Tensor::arange(double start, double stop, double step, Dtype dtype) {
  if (!(std::isfinite(start) && std::isfinite(stop) && std::isfinite(step)) || step == 0 ||
      (stop - start) / step < 0)
    throw ArgumentError(fmt::format("arange: no way from {} to {} in steps of {}", start, stop, step));
  const double count = std::ceil((stop - start) / step);
  if (count > 9e15) throw ArgumentError(fmt::format("arange: {} elements are too many", count));
  Tensor t = make({static_cast<std::int64_t>(count)}, dtype, "arange");
  visit_dtype(dtype, [&]<class T> {
    T* out = TensorAccess::data_as<T>(t);
    // start + i * step, not repeated addition: the error does not accumulate.
    for (std::int64_t i = 0; i < t.size(); ++i)
      out[i] = element<T>(start + static_cast<double>(i) * step, "arange");
  });
  return t;
}

Tensor Tensor::linspace(double start, double stop, std::int64_t count, Dtype dtype) {
  if (!(std::isfinite(start) && std::isfinite(stop)))
    throw ArgumentError(fmt::format("linspace: from {} to {}; both must be finite", start, stop));
  if (count < 0) throw ArgumentError(fmt::format("linspace: {} elements; there must be at least 0", count));
  Tensor t = detail::named("linspace", [&] { return make({count}, dtype, {}); });
  const auto gaps = static_cast<double>(std::max<std::int64_t>(count - 1, 1));
  const double width = stop - start;
  const double step = std::isfinite(width) ? width / gaps : stop / gaps - start / gaps;
  visit_dtype(dtype, [&]<class T> {
    T* out = TensorAccess::data_as<T>(t);
    const std::int64_t half = (count + 1) / 2;
    for (std::int64_t i = 0; i < count; ++i)
      out[i] = element<T>(
          i < half ? start + static_cast<double>(i) * step : stop - static_cast<double>(count - 1 - i) * step,
          "linspace");
  });
  return t;
}

Tensor Tensor::eye(std::int64_t n, Dtype dtype) {
  Tensor t = detail::named("eye", [&] { return make({n, n}, dtype, {}); });
  std::memset(t.data_, 0, static_cast<std::size_t>(t.size()) * size_of(dtype));
  visit_dtype(dtype, [&]<class T> {
    T* out = TensorAccess::data_as<T>(t);
    for (std::int64_t i = 0; i < n; ++i) out[i * (n + 1)] = T{1};
  });
  return t;
}

Tensor Tensor::from(std::initializer_list<double> values, Dtype dtype) {
  return from(values, Shape{static_cast<std::int64_t>(values.size())}, dtype);
}

Tensor Tensor::from(std::initializer_list<std::initializer_list<double>> rows, Dtype dtype) {
  const std::size_t columns = rows.size() ? rows.begin()->size() : 0;
  Tensor t =
      make({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(columns)}, dtype, "from");
  visit_dtype(dtype, [&]<class T> {
    T* out = TensorAccess::data_as<T>(t);
    for (const auto& row : rows) {
      if (row.size() != columns)
        throw ShapeError(fmt::format("from: rows of {} and {} values; all rows must be equally long", columns,
                                     row.size()));
      for (const double v : row) *out++ = element<T>(v, "from");
    }
  });
  return t;
}

Tensor Tensor::from(std::initializer_list<double> values, const Shape& shape, Dtype dtype) {
  const Tensor wide = copy_of(values.begin(), values.size(), shape, f64);
  if (dtype == f64) return wide;
  Tensor t = make(shape, dtype, "from");
  visit_dtype(dtype, [&]<class T> {
    std::transform(values.begin(), values.end(), TensorAccess::data_as<T>(t),
                   [](double v) { return element<T>(v, "from"); });
  });
  return t;
}

Tensor Tensor::copy_of(const void* values, std::size_t count, const Shape& shape, Dtype dtype) {
  if (static_cast<std::int64_t>(count) != shape.size())
    throw ShapeError(
        fmt::format("from: {} values given, shape {} holds {}", count, to_string(shape), shape.size()));
  Tensor t = make(shape, dtype, "from");
  if (count) std::memcpy(t.data_, values, count * size_of(dtype));
  return t;
}

double Tensor::item() const {
  require_elements("item");
  if (size() != 1)
    throw ShapeError(
        fmt::format("item: a tensor of shape {} has {} elements, not one", to_string(shape_), size()));
  note_read("item");
  return visit_dtype(dtype_,
                     [&]<class T> { return static_cast<double>(*reinterpret_cast<const T*>(data_)); });
}

Tensor Tensor::detach() const noexcept {
  Tensor t(*this);
  t.tag_ = {};
  return t;
}

Tensor Tensor::copy() const {
  require_elements("copy");
  note_read("copy");
  Tensor t = make(shape_, dtype_, "copy");
  std::memcpy(t.data_, data_, static_cast<std::size_t>(size()) * size_of(dtype_));
  t.tag_ = tag_.epoch ? detail::Tag::without_history(tag_.epoch) : tag_;
  return t;
}

void Tensor::require_elements(const char* function) const {
  if (!storage_) detail::throw_undefined_tensor(function, "the tensor");
}

void Tensor::require_dtype(Dtype dtype, const char* function) const {
  require_elements(function);
  if (dtype != dtype_)
    throw DtypeError(
        fmt::format("{}: the elements of a tensor of {} were asked as {}; use cast to convert them", function,
                    name_of(dtype_), name_of(dtype)));
}

bool Tensor::tracked() const noexcept {
  const detail::ThreadState* thread = detail::current_thread;
  return thread && thread->active && tag_.epoch != 0 && thread->active->is_live(tag_.epoch);
}

void Tensor::note_read(const char* function) const {
  if (Tape* tape = Tape::current(); tape && tape->records_everything()) [[unlikely]]
    tape->note_read(*this, function);
}

std::byte* Tensor::mutate() {
  if (tracked() && !tag_.node->leaf)
    throw MutatedSaved(
        fmt::format("a value of shape {} that the active tape recorded as the result of '{}' cannot be "
                    "changed; change a copy(), or change it after backward",
                    to_string(shape_), tag_.node->op->name));
  storage_->version.fetch_add(1, std::memory_order_relaxed);
  return data_;
}

}  // namespace tapegrad
