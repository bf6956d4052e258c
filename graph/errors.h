#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include <tapegrad/graph/export.h>

namespace tapegrad {

/// Base of everything this library throws on purpose. The message says what was asked, what was given and
/// what to do.
class TAPEGRAD_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~Error() override;
};

#define TAPEGRAD_DECLARE_ERROR(Name)       \
  class TAPEGRAD_API Name : public Error { \
   public:                                 \
    using Error::Error;                    \
    ~Name() override;                      \
  }

/// Shapes that do not fit each other or the operation.
TAPEGRAD_DECLARE_ERROR(ShapeError);
/// Element types that are mixed, or that the operation does not take (a gradient of integers, for one).
TAPEGRAD_DECLARE_ERROR(DtypeError);
/// An argument outside its domain: an axis, an index, a probability, a batch size.
TAPEGRAD_DECLARE_ERROR(ArgumentError);
/// A tensor of a tape that was reset, rewound or destroyed was used in a recorded operation.
TAPEGRAD_DECLARE_ERROR(StaleTensor);
/// A tensor recorded by another thread's tape or by an outer tape was used in a recorded operation.
TAPEGRAD_DECLARE_ERROR(ForeignTape);
/// A second backward on a tape that has released what it saved.
TAPEGRAD_DECLARE_ERROR(TapeSpent);
/// A value that backward needs was changed after it was recorded.
TAPEGRAD_DECLARE_ERROR(MutatedSaved);
/// A derivative was asked of an operation, or at an order, that has none.
TAPEGRAD_DECLARE_ERROR(NotDifferentiable);
/// A gradient was asked of, or for, a tensor that no tape tracks.
TAPEGRAD_DECLARE_ERROR(NotTracked);
/// Tape::check_finite() found a NaN or an infinity.
TAPEGRAD_DECLARE_ERROR(NonFinite);
/// The system does not give the memory that a tensor, or work on one, needs: the message says how much, and for what.
TAPEGRAD_DECLARE_ERROR(OutOfMemory);
/// A file that is missing, damaged or cannot be written.
TAPEGRAD_DECLARE_ERROR(FileError);

#undef TAPEGRAD_DECLARE_ERROR

/// "affine 'fc2'" inside the scope of a module named fc2, else "affine": the start of an operation's message. Of
/// "mul.scalar" it is "mul": what stands behind a point tells apart operations that users write alike.
TAPEGRAD_API std::string op_label(std::string_view op);

namespace detail {
/// Throws ArgumentError: an operation or function (`label`) was given an undefined tensor as `operand`.
[[noreturn]] TAPEGRAD_API void throw_undefined_tensor(std::string_view label, std::string_view operand);

/// A shape that no tensor can have. Whoever makes one does not know for which operation; who runs that adds its name.
class TAPEGRAD_API ImpossibleShape final : public ShapeError {
 public:
  using ShapeError::ShapeError;
  ~ImpossibleShape() override;
};

/// Within a handler: rethrows a ShapeError, DtypeError, ArgumentError or OutOfMemory with the name of `function` before
/// its message, any other exception as it is.
[[noreturn]] TAPEGRAD_API void rethrow_of(std::string_view function);

/// What `work` returns. For functions that are made of others and not of user code: an error names the function that
/// was called, and then the one that refused, as in "outer: matmul of [3, 1], [1, 4]: there is no memory for ...".
template <class Work>
auto named(std::string_view function, const Work& work) {
  try {
    return work();
  } catch (const Error&) {
    rethrow_of(function);
  }
}
}  // namespace detail

}  // namespace tapegrad
