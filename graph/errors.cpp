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

std::string op_label(std::string_view op) {
  const std::size_t end = op.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_");
  if (end != std::string_view::npos && op[end] == '.') op = op.substr(0, end);
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
