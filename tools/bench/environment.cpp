#include "environment.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string_view>
#include <utility>

#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/matmul_engine.h>

#include <fmt/format.h>

#ifdef TAPEGRAD_BENCH_OPENBLAS
#include <cblas.h>
#endif

namespace tapegrad::bench {

namespace {

constexpr const char* kRestarted = "TAPEGRAD_BENCH_RESTARTED";
constexpr const char* kNames[] = {"OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS",
                                  "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"};

// OpenBLAS 0.3.21 takes a processor that came after it for one of the first with 64 bits.
bool blas_underrates_processor() {
#ifdef TAPEGRAD_BENCH_OPENBLAS
  return detail::best_isa() == detail::Isa::avx512 && std::string_view(openblas_get_corename()) == "Prescott";
#else
  return false;
#endif
}

std::vector<std::string> arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> all;
  for (std::string one; std::getline(file, one, '\0');) all.push_back(one);
  return all;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

}  // namespace

void restart_with_best_environment(int threads) {
  if (std::getenv(kRestarted)) return;
  setenv(kRestarted, "1", 1);
  if (blas_underrates_processor()) setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
  for (const char* name : {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"})
    setenv(name, std::to_string(threads).c_str(), 0);
  // glibc otherwise gives large blocks back to the system at once, and libtorch, which keeps none itself,
  // pays for fresh pages in each step.
  for (const char* name : {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"}) setenv(name, "1073741824", 0);
  std::vector<std::string> texts = arguments();
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  execv("/proc/self/exe", argv.data());  // where that fails, the measurements are made as things are
}

std::vector<std::string> environment_lines() {
  std::string set;
  for (const char* name : kNames)
    if (const char* value = std::getenv(name))
      set += fmt::format("{}{}={}", set.empty() ? "" : " ", name, value);
  std::vector<std::string> lines{set};
  std::string processor_line = fmt::format("{}, {} processors, tapegrad's kernels for {}", processor(),
                                           sysconf(_SC_NPROCESSORS_ONLN), detail::name_of(detail::isa()));
#ifdef TAPEGRAD_BENCH_OPENBLAS
  processor_line += fmt::format(", OpenBLAS's for {}", openblas_get_corename());
#endif
  lines.push_back(processor_line);
  lines.push_back("tapegrad's matrix products: " + matmul_engine_description());
  return lines;
}

}  // namespace tapegrad::bench
