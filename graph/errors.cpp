#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/name_scope.h>

#include <fmt/format.h>

namespace tapegrad {

// Defined here so that each type's identity lives in the library, whoever throws or catches it.
Error::~Error() = default;
ShapeError::~ShapeError() = default;
DtypeError::~DtypeError() = default;
ArgumentError::~ArgumentError() = default;
StaleTensor::~StaleTensor() = default;
ForeignTape::~ForeignTape() = default;
TapeSpent::~TapeSpent() = default;
MutatedSaved::~MutatedSaved() = default;
NotDifferentiable::~NotDifferentiable() = default;
NotTracked::~NotTracked() = default;
NonFinite::~NonFinite() = default;
OutOfMemory::~OutOfMemory() = default;
FileError::~FileError() = default;
detail::ImpossibleShape::~ImpossibleShape() = default;

namespace {

/// What a user writes for an operation that takes a number beside a tensor, and is told apart by its name.
std::string_view as_written(std::string_view op) {
  static constexpr std::pair<std::string_view, std::string_view> kOfNumbers[] = {
      {"add_scalar", "add"}, {"mul_scalar", "mul"}, {"div_scalar", "div"},
      {"pow_scalar", "pow"}, {"scalar_sub", "sub"}, {"scalar_div", "div"},
  };
  for (const auto& [name, written] : kOfNumbers)
    if (op == name) return written;
  return op;
}

}  // namespace

std::string op_label(std::string_view op) {
  op = as_written(op);
  const std::string path = NameScope::path();
  return path.empty() ? std::string(op) : fmt::format("{} '{}'", op, path);
}

void detail::throw_undefined_tensor(std::string_view label, std::string_view operand) {
  throw ArgumentError(fmt::format(
      "{}: {} is an undefined tensor; assign it the result of Tensor::zeros or of an operation first", label,
      operand));
}

void detail::rethrow_of(std::string_view function) {
  const auto words = [&](const Error& e) { return fmt::format("{}: {}", op_label(function), e.what()); };
  try {
    throw;
  } catch (const ShapeError& e) {
    throw ShapeError(words(e));
  } catch (const DtypeError& e) {
    throw DtypeError(words(e));
  } catch (const ArgumentError& e) {
    throw ArgumentError(words(e));
  } catch (const OutOfMemory& e) {
    throw OutOfMemory(words(e));
  }
}

}  // namespace tapegrad
