#include <atomic>
#include <cstring>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tape.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {
std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}
}  // namespace

Parameter::Parameter(const Tensor& initial) {
  if (!initial.defined()) throw ArgumentError("parameter: the initial value is an undefined tensor");
  if (!is_floating(initial.dtype()))
    throw DtypeError("parameter: i64 values have no gradient; cast them to f32 or f64 first");
  cell_ = std::make_shared<Cell>(Cell{initial.copy(), next_id(), false});
}

Parameter::Cell& Parameter::cell() const {
  if (!cell_) throw ArgumentError("parameter: it is undefined; construct it from a tensor first");
  return *cell_;
}

Tensor Parameter::value() const {
  const Cell& c = cell();
  Tape* tape = Tape::current();
  return tape && !c.frozen ? tape->track(c.value, c.id) : c.value;
}

const Tensor& Parameter::data() const { return cell().value; }

void Parameter::assign(const Tensor& value) {
  Cell& c = cell();
  if (!value.defined()) throw ArgumentError("assign: the value is an undefined tensor");
  if (value.shape() != c.value.shape())
    throw ShapeError(fmt::format("assign: a value of shape {} for a parameter of shape {}",
                                 to_string(value.shape()), to_string(c.value.shape())));
  if (value.dtype() != c.value.dtype())
    throw DtypeError(fmt::format("assign: a value of {} for a parameter of {}; cast it first",
                                 name_of(value.dtype()), name_of(c.value.dtype())));
  visit_floating(c.value.dtype(), [&]<class T> {
    const std::span<const T> from = value.values<T>();
    std::memmove(c.value.mutable_values<T>().data(), from.data(), from.size_bytes());
  });
}

Parameter Parameter::clone() const {
  Parameter p(cell().value);
  p.cell_->frozen = cell_->frozen;
  return p;
}

}  // namespace tapegrad
