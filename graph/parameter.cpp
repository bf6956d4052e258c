#include <atomic>
#include <cstring>
#include <new>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/node.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tape.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::PackedShape;
using detail::TensorAccess;

namespace {
std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}
}  // namespace

Parameter::Parameter(const Tensor& initial) {
  if (!initial.defined()) detail::throw_undefined_tensor("parameter", "the initial value");
  if (!is_floating(initial.dtype()))
    throw DtypeError(fmt::format("parameter: values of {} have no gradient; cast them to f32 or f64 first",
                                 name_of(initial.dtype())));
  static_assert(sizeof(Cell) % alignof(PackedShape) == 0);
  Tensor value = initial.copy();
  void* const memory = ::operator new(sizeof(Cell) + PackedShape::bytes(value.shape()));
  std::byte* const data = TensorAccess::data(value);
  PackedShape::write(static_cast<std::byte*>(memory) + sizeof(Cell), value.shape(), value.dtype());
  cell_ = new (memory) Cell{TensorAccess::disown(value), data, next_id(), {1}, false};
}

void Parameter::throw_undefined() {
  throw ArgumentError("parameter: it is undefined; construct it from a tensor first");
}

void Parameter::destroy(Cell* cell) noexcept {
  detail::release(cell->storage);
  cell->~Cell();
  ::operator delete(cell);
}

const PackedShape& Parameter::shape_of(const Cell& cell) {
  return *reinterpret_cast<const PackedShape*>(&cell + 1);
}

Tensor Parameter::data() const {
  const Cell& c = cell();
  detail::retain(c.storage);
  return shape_of(c).tensor(c.storage, c.data);
}

Tensor Parameter::value() const {
  Tape* tape = Tape::current();
  return tape && !frozen() ? tape->track(data(), id()) : data();
}

Shape Parameter::shape() const { return shape_of(cell()).shape(); }
Dtype Parameter::dtype() const { return shape_of(cell()).dtype; }
std::int64_t Parameter::size() const { return shape_of(cell()).size(); }

void Parameter::assign(const Tensor& value) {
  Tensor own = data();
  if (!value.defined()) detail::throw_undefined_tensor("assign", "the value");
  if (value.shape() != own.shape())
    throw ShapeError(fmt::format("assign: a value of shape {} for a parameter of shape {}",
                                 to_string(value.shape()), to_string(own.shape())));
  if (value.dtype() != own.dtype())
    throw DtypeError(fmt::format("assign: a value of {} for a parameter of {}; cast it first",
                                 name_of(value.dtype()), name_of(own.dtype())));
  visit_floating(own.dtype(), [&]<class T> {
    const std::span<const T> from = value.values<T>();
    std::memmove(own.mutable_values<T>().data(), from.data(), from.size_bytes());
  });
}

Parameter Parameter::clone() const {
  Parameter p(data());
  p.cell_->frozen = cell_->frozen;
  return p;
}

}  // namespace tapegrad
