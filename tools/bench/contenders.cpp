#include "runner.h"

namespace tapegrad::bench {

Contenders make_contenders() {
  Contenders all;
  all.push_back(make_tapegrad());
#ifdef TAPEGRAD_BENCH_OPENBLAS
  all.push_back(make_limit());
#endif
#ifdef TAPEGRAD_BENCH_LIBTORCH
  all.push_back(make_libtorch());
#endif
#ifdef TAPEGRAD_BENCH_ADOLC
  all.push_back(make_adolc());
#endif
#ifdef TAPEGRAD_BENCH_SACADO
  all.push_back(make_sacado());
#endif
#ifdef TAPEGRAD_BENCH_CERES
  all.push_back(make_ceres());
#endif
  return all;
}

std::vector<std::string> missing_contenders() {
  std::vector<std::string> all;
#ifndef TAPEGRAD_BENCH_OPENBLAS
  all.push_back("no limit (the hand-written program): OpenBLAS was not found");
#endif
#ifndef TAPEGRAD_BENCH_LIBTORCH
  all.push_back("no libtorch: not found, or built without -DTAPEGRAD_BENCH_CONTENDERS=ON");
#endif
#ifndef TAPEGRAD_BENCH_ADOLC
  all.push_back("no adolc: not found, or built without -DTAPEGRAD_BENCH_CONTENDERS=ON");
#endif
#ifndef TAPEGRAD_BENCH_SACADO
  all.push_back("no sacado: not found, or built without -DTAPEGRAD_BENCH_CONTENDERS=ON");
#endif
#ifndef TAPEGRAD_BENCH_CERES
  all.push_back("no ceres: not found, or built without -DTAPEGRAD_BENCH_CONTENDERS=ON");
#endif
  return all;
}

}  // namespace tapegrad::bench
