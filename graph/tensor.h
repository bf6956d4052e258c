#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/graph/storage.h>

namespace tapegrad {

namespace detail {
struct Node;

/// Ties a tensor to the tape that recorded it. Epoch 0: not recorded. The node is read only after the epoch
/// was found live.
struct Tag {
  std::uint64_t epoch = 0;
  Node* node = nullptr;

  /// Of values that depend on what a tape recorded in this epoch and have no node: gradients that were not recorded,
  /// copies, what another thread has computed, and what is computed from them. The epoch stands in the node's place.
  static Tag without_history(std::uint64_t epoch) noexcept {
    return {0, reinterpret_cast<Node*>(static_cast<std::uintptr_t>(epoch))};
  }
  /// That epoch; 0 for all other tensors.
  std::uint64_t lost_epoch() const noexcept { return epoch ? 0 : reinterpret_cast<std::uintptr_t>(node); }
};
struct TensorAccess;
}  // namespace detail

/// A cheap handle on reference-counted elements: always contiguous, row major. Copies share the elements.
///
/// A default-constructed tensor is undefined: it has no elements. Its shape, dtype and version are those of a scalar
/// of f32 that was never written, it is not tracked, and copying, assigning and detaching it give undefined tensors.
/// What takes elements throws ArgumentError: values, mutable_values, to_vector, item, copy, and all operations, but
/// for inputs documented as optional.
class TAPEGRAD_API Tensor {
 public:
  // Not defaulted: GCC would clear the whole object at once, with an instruction that takes longer than all
  // the rest.
  Tensor() noexcept {}
  Tensor(const Tensor& o) noexcept
      : storage_(o.storage_),
        data_(o.data_),
        tag_(o.tag_),
        shape_(o.shape_, Shape::Lean::copy),
        dtype_(o.dtype_) {
    if (storage_) detail::retain(storage_);
  }
  Tensor(Tensor&& o) noexcept
      : storage_(std::exchange(o.storage_, nullptr)),
        data_(o.data_),
        tag_(o.tag_),
        shape_(o.shape_, Shape::Lean::copy),
        dtype_(o.dtype_) {}
  Tensor& operator=(const Tensor& o) noexcept { return *this = Tensor(o); }
  Tensor& operator=(Tensor&& o) noexcept {
    detail::Storage* old = std::exchange(storage_, std::exchange(o.storage_, nullptr));
    data_ = o.data_;
    tag_ = o.tag_;
    shape_.assign(o.shape_);
    dtype_ = o.dtype_;
    if (old) detail::release(old);
    return *this;
  }
  ~Tensor() {
    if (storage_) detail::release(storage_);
  }

  /// Elements that nobody has written yet. Like all that makes a tensor, throws OutOfMemory where the system has no
  /// room for it.
  static Tensor empty(const Shape& shape, Dtype dtype = f32);
  /// Elements of 0, of 1, or of a value. Throw ArgumentError for a value that i64 is to hold and cannot: one with a
  /// fraction, or beyond its range. In f32 what is beyond the range is infinite, as where C++ converts a double.
  static Tensor zeros(const Shape& shape, Dtype dtype = f32);
  static Tensor ones(const Shape& shape, Dtype dtype = f32);
  static Tensor full(const Shape& shape, double value, Dtype dtype = f32);
  static Tensor scalar(double value, Dtype dtype = f32) { return full({}, value, dtype); }
  /// start, start + step, ... before stop. Throws ArgumentError for a step of 0 or one that leads away from
  /// stop, for what is not finite, for more elements than 9e15, and for values that i64 is to hold and cannot.
  static Tensor arange(double start, double stop, double step = 1, Dtype dtype = f32);
  static Tensor arange(std::int64_t count) { return arange(0, static_cast<double>(count), 1, i64); }
  /// `count` numbers from start to stop, both included, at equal distances; of one, start. The second half is counted
  /// back from stop, which is met exactly, as in PyTorch. Throws ArgumentError for a negative count, for what is not
  /// finite, and for values that i64 is to hold and cannot.
  static Tensor linspace(double start, double stop, std::int64_t count, Dtype dtype = f32);
  /// The identity matrix [n, n].
  static Tensor eye(std::int64_t n, Dtype dtype = f32);

  /// A vector, a matrix, or any shape from literal values: from({1, 2, 3}), from({{1, 2}, {3, 4}}).
  /// A matrix of one column has to name its shape, from({1, 2}, Shape{2, 1}): C++ cannot tell {{1}, {2}} from
  /// a vector. Throws ShapeError for rows of different lengths and for values that do not fill the shape,
  /// ArgumentError for a value that i64 is to hold and cannot.
  static Tensor from(std::initializer_list<double> values, Dtype dtype = f32);
  static Tensor from(std::initializer_list<std::initializer_list<double>> rows, Dtype dtype = f32);
  static Tensor from(std::initializer_list<double> values, const Shape& shape, Dtype dtype = f32);
  /// A copy of the values, with the dtype of T. Throws ShapeError where their number does not fill the shape.
  template <ElementType T>
  static Tensor from(std::span<const T> values, const Shape& shape) {
    return copy_of(values.data(), values.size(), shape, dtype_of<T>);
  }
  template <ElementType T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return copy_of(values.data(), values.size(), shape, dtype_of<T>);
  }
  template <ElementType T>
  static Tensor from(const std::vector<T>& values) {
    return from(values, Shape{static_cast<std::int64_t>(values.size())});
  }

  /// False for a default-constructed tensor, which has no elements.
  bool defined() const noexcept { return storage_ != nullptr; }
  /// The sizes of the axes, their number, and the number of elements.
  const Shape& shape() const& noexcept { return shape_; }
  Shape shape() const&& noexcept { return shape_; }
  std::size_t rank() const noexcept { return shape_.rank(); }
  std::int64_t size() const noexcept { return shape_.size(); }
  /// The size of an axis; a negative one counts from the end.
  std::int64_t dim(std::int64_t axis) const { return shape_.dim(axis); }
  /// The type of the elements.
  Dtype dtype() const noexcept { return dtype_; }

  /// The elements, valid as long as the tensor or another that shares them. Throws DtypeError where T is not the
  /// tensor's dtype. A temporary has none to give, as in `for (float v : (a * b).values<float>())`: its elements
  /// would be gone before the loop starts. Give it a name, or take to_vector().
  template <ElementType T>
  std::span<const T> values() const& {
    require_dtype(dtype_of<T>, "values");
    note_read("values");
    return {reinterpret_cast<const T*>(data_), static_cast<std::size_t>(shape_.size())};
  }
  template <ElementType T>
  std::span<const T> values() const&& = delete;
  /// The elements for writing: every tensor that shares them sees the change. Counts as a mutation: a
  /// backward that needs the old values throws MutatedSaved, and so does this call on a value (not a leaf)
  /// that the active tape has recorded.
  template <ElementType T>
  std::span<T> mutable_values() & {
    require_dtype(dtype_of<T>, "mutable_values");
    note_read("mutable_values");
    return {reinterpret_cast<T*>(mutate()), static_cast<std::size_t>(shape_.size())};
  }
  template <ElementType T>
  std::span<T> mutable_values() && = delete;
  /// A copy of the elements. Throws as values.
  template <ElementType T>
  std::vector<T> to_vector() const {
    const std::span<const T> v = values<T>();
    return std::vector<T>(v.begin(), v.end());
  }
  /// The value of a one-element tensor. Throws ShapeError for any other size.
  double item() const;

  /// Entry `index` of the leading axis, without that axis, as select(*this, 0, index): it shares the elements and is
  /// recorded; a negative index counts from the end. Throws ArgumentError for an index outside, and for a scalar.
  /// Constant, since an assignment to t[i] would change a handle that is gone after it, and no element of t.
  // C++ takes operator[] as a member alone. It is an operation: <tapegrad/ops/tensor/shape.h> documents select, and
  // the definition stands beside that one's.
  const Tensor operator[](std::int64_t index) const;

  /// The same elements without the history: a constant.
  Tensor detach() const noexcept;
  /// A copy of the elements, without the history, for one who changes or keeps them. Derivatives do not reach through
  /// it: where it meets tracked tensors of the same tape, Tape::grad and Tape::backward throw NotTracked, unless
  /// it is a copy of x.detach(). Throws ArgumentError for an undefined tensor.
  Tensor copy() const;
  /// True where the thread's active tape records what is computed from this tensor.
  bool tracked() const noexcept;
  /// How often the elements were opened for writing.
  std::uint32_t version() const noexcept {
    return storage_ ? storage_->version.load(std::memory_order_relaxed) : 0;
  }

 private:
  friend struct detail::TensorAccess;
  Tensor(detail::Storage* storage, std::byte* data, const detail::Tag& tag, Dtype dtype,
         const Shape& shape) noexcept
      : storage_(storage), data_(data), tag_(tag), shape_(shape, Shape::Lean::copy), dtype_(dtype) {}
  /// empty, for a function whose name a message starts with.
  static Tensor make(const Shape& shape, Dtype dtype, std::string_view function);
  static Tensor copy_of(const void* values, std::size_t count, const Shape& shape, Dtype dtype);
  void require_elements(const char* function) const;
  /// Tells a tape that records everything that a function has given elements to who may decide something by them.
  void note_read(const char* function) const;
  void require_dtype(Dtype dtype, const char* function) const;
  std::byte* mutate();

  detail::Storage* storage_ = nullptr;
  std::byte* data_ = nullptr;
  detail::Tag tag_;
  Shape shape_;
  Dtype dtype_ = f32;
};

namespace detail {

/// What the engine and the kernels may do with a tensor that users may not.
struct TensorAccess {
  static const Tag& tag(const Tensor& t) noexcept { return t.tag_; }
  static void set_tag(Tensor& t, Tag tag) noexcept { t.tag_ = tag; }
  static Storage* storage(const Tensor& t) noexcept { return t.storage_; }
  static std::byte* data(const Tensor& t) noexcept { return t.data_; }
  /// Elements undefined; where there is no memory for them, the message starts with the name of the function.
  static Tensor make(const Shape& shape, Dtype dtype, std::string_view function) {
    return Tensor::make(shape, dtype, function);
  }
  /// Takes over one reference on `storage`.
  static Tensor adopt(Storage* storage, std::byte* data, const Shape& shape, Dtype dtype,
                      const Tag& tag = {}) noexcept {
    return Tensor(storage, data, tag, dtype, shape);
  }
  /// Hands the reference to the caller and leaves the tensor undefined.
  static Storage* disown(Tensor& t) noexcept { return std::exchange(t.storage_, nullptr); }
  /// Elements [offset, offset + shape.size()) under another shape, untracked, sharing storage.
  static Tensor view(const Tensor& t, std::int64_t offset, const Shape& shape) noexcept {
    retain(t.storage_);
    return adopt(t.storage_, t.data_ + static_cast<std::size_t>(offset) * size_of(t.dtype_), shape, t.dtype_);
  }
  template <class T>
  static T* data_as(const Tensor& t) noexcept {
    return reinterpret_cast<T*>(t.data_);
  }
};

}  // namespace detail
}  // namespace tapegrad
