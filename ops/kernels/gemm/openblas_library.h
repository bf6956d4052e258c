#pragma once

#include <string>
#include <tuple>

#include <tapegrad/ops/loops/isa.h>

/// OpenBLAS as a library that is loaded while the program runs.
///
/// It is loaded by the first product that takes it, into a link namespace of its own (dlmopen): a copy that
/// nobody else in the process can see or set. A plain link starts a thread a core when the program starts; and
/// a copy shared with the program would have one thread setting for both, which a product would have to change
/// behind the program's back. The private copy is told to use one thread before it could start any, so the
/// library's own threads can call it side by side, with the same bits whatever the program does with its copy.
/// Measured (0.3.21, two cores): 2 ms to load, by dlmopen as by dlopen. A plain link adds them to every start of the
/// program, with a thread a core, and takes kernels for an older processor where this build does not know the
/// present one.
namespace tapegrad::detail {

struct OpenBlas {
  template <class T>
  using Gemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, T alpha, const T* a,
                        int lda, const T* b, int ldb, T beta, T* c, int ldc);
  template <class T>
  using Gemv = void (*)(int order, int transpose, int rows, int columns, T alpha, const T* matrix, int ld,
                        const T* x, int x_step, T beta, T* y, int y_step);

  template <class T>
  struct Functions {
    Gemm<T> gemm = nullptr;
    Gemv<T> gemv = nullptr;
  };
  template <class T>
  const Functions<T>& of() const {
    return std::get<Functions<T>>(functions);
  }

  std::tuple<Functions<float>, Functions<double>> functions;
  std::string version;     ///< "OpenBLAS 0.3.21"
  std::string core;        ///< the processor whose kernels it uses, in its own words: "SkylakeX"
  Isa isa = Isa::base;     ///< what those kernels are made of
  bool user_core = false;  ///< OPENBLAS_CORETYPE was set by the user, and stands
};

/// The library, loaded by the first call; null where there is none to load.
const OpenBlas* openblas();
/// Why openblas() is null, and what to do about it.
const std::string& openblas_absence();

/// A call into OpenBLAS. A fork waits until no call is under way, so that the child finds no lock held by a
/// thread that it does not have. Not to be nested.
class OpenBlasCall {
 public:
  OpenBlasCall() noexcept;
  ~OpenBlasCall();
  OpenBlasCall(const OpenBlasCall&) = delete;
  OpenBlasCall& operator=(const OpenBlasCall&) = delete;
};

}  // namespace tapegrad::detail
