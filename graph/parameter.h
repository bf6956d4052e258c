#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

/// A trainable tensor: a counted cell with an id that is never reused. Copies of the handle share the cell,
/// which is how weights are tied. Nothing of a tape is written to it, so tapes of several threads may read
/// one parameter.
class TAPEGRAD_API Parameter {
 public:
  Parameter() noexcept = default;
  /// Takes a copy of the values. Throws DtypeError for integers, which have no gradient.
  explicit Parameter(const Tensor& initial);
  Parameter(const Parameter& o) noexcept : cell_(o.cell_) {
    if (cell_) cell_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Parameter(Parameter&& o) noexcept : cell_(std::exchange(o.cell_, nullptr)) {}
  Parameter& operator=(Parameter o) noexcept {
    std::swap(cell_, o.cell_);
    return *this;
  }
  ~Parameter() {
    if (cell_ && cell_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(cell_);
  }

  /// False for a default-constructed parameter, which has no value.
  bool defined() const noexcept { return cell_ != nullptr; }
  /// The value, tracked by the thread's active tape unless frozen.
  Tensor value() const;
  operator Tensor() const { return value(); }
  /// The value as a constant. Shares elements with the parameter.
  Tensor data() const;
  /// The elements, as Tensor::values and Tensor::mutable_values, valid as long as the parameter or another handle of
  /// it.
  template <class T>
  std::span<const T> values() const {
    const Tensor value = data();
    return value.values<T>();
  }
  template <class T>
  std::span<T> mutable_values() {
    Tensor value = data();
    return value.mutable_values<T>();
  }
  /// Copies the elements of `value` in. Throws ShapeError or DtypeError where they do not fit.
  void assign(const Tensor& value);

  /// A frozen parameter is a constant: no gradient is computed for it.
  void freeze(bool frozen = true) { cell().frozen = frozen; }
  bool frozen() const { return cell().frozen; }
  /// What gradients know it by: no two parameters of a process have the same.
  std::uint64_t id() const { return cell().id; }
  /// Those of the value, and its number of elements.
  Shape shape() const;
  Dtype dtype() const;
  std::int64_t size() const;
  /// An independent parameter with the same values.
  Parameter clone() const;

  /// True where both are handles of one cell.
  friend bool operator==(const Parameter& a, const Parameter& b) noexcept { return a.cell_ == b.cell_; }

 private:
  /// Followed by the shape, as long as it is: there may be a million parameters of one element.
  struct Cell {
    detail::Storage* storage;
    std::byte* data;
    std::uint64_t id;
    std::atomic<std::uint32_t> references;
    bool frozen;
  };
  Cell& cell() const {
    if (!cell_) [[unlikely]]
      throw_undefined();
    return *cell_;
  }
  [[noreturn]] static void throw_undefined();
  static void destroy(Cell* cell) noexcept;
  static const detail::PackedShape& shape_of(const Cell& cell);

  Cell* cell_ = nullptr;
};

}  // namespace tapegrad
