#pragma once

#include <cstdint>
#include <memory>

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

  bool defined() const noexcept { return cell_ != nullptr; }
  /// The value, tracked by the thread's active tape unless frozen.
  Tensor value() const;
  operator Tensor() const { return value(); }
  /// The value as a constant. Shares elements with the parameter.
  const Tensor& data() const;
  /// The elements for writing, as Tensor::mutable_values.
  template <class T>
  std::span<T> mutable_values() {
    return cell().value.template mutable_values<T>();
  }
  /// Copies the elements of `value` in. Throws ShapeError or DtypeError where they do not fit.
  void assign(const Tensor& value);

  /// A frozen parameter is a constant: no gradient is computed for it.
  void freeze(bool frozen = true) { cell().frozen = frozen; }
  bool frozen() const { return cell().frozen; }
  std::uint64_t id() const { return cell().id; }
  const Shape& shape() const { return cell().value.shape(); }
  Dtype dtype() const { return cell().value.dtype(); }
  std::int64_t size() const { return cell().value.size(); }
  /// An independent parameter with the same values.
  Parameter clone() const;

  /// True where both are handles of one cell.
  friend bool operator==(const Parameter& a, const Parameter& b) noexcept { return a.cell_ == b.cell_; }

 private:
  struct Cell {
    Tensor value;
    std::uint64_t id;
    bool frozen;
  };
  Cell& cell() const;

  std::shared_ptr<Cell> cell_;
};

}  // namespace tapegrad
