#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/matmul_engine.h>
#include <tapegrad/ops/threads.h>

#include <boost/test/unit_test.hpp>

#include "engine_support.h"

namespace gemm_engines_test {

using namespace tapegrad;
using namespace tapegrad::test;
using detail::ThreadLimit;

namespace {

std::vector<float> values(std::int64_t n, std::uint64_t seed) {
  Generator g(seed);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& x : v) x = static_cast<float>(2 * g.uniform() - 1);
  return v;
}

/// How many threads this process has, with the calling one.
std::int64_t threads_of_process() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

/// f() in a child of its own, which has no thread but this one; returns f's result, or -1 where the child failed.
template <class F>
int in_child(F&& f) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // a child that waits for a lock for ever
    _exit(f());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gemm_engines)

// The first case, and in a child: the library is loaded once.
BOOST_AUTO_TEST_CASE(loading_leaves_no_trace) {
  for (const char* core : {"", "Haswell"}) {
    const int same = in_child([&] {
      if (*core)
        setenv("OPENBLAS_CORETYPE", core, 1);
      else
        unsetenv("OPENBLAS_CORETYPE");
      setenv("OPENBLAS_NUM_THREADS", "7", 1);
      const auto variables = [] {
        std::vector<std::string> all;
        for (char** v = environ; *v; ++v) all.emplace_back(*v);
        return all;
      };
      const std::vector<std::string> before = variables();
      matmul_engine_description();
      const char* const after = std::getenv("OPENBLAS_CORETYPE");
      return variables() == before && std::string(after ? after : "") == core && threads_of_process() == 1
                 ? 0
                 : 1;
    });
    BOOST_TEST(same == 0);
  }
}

// In a child no thread runs yet, so that those which the product starts can be counted.
BOOST_AUTO_TEST_CASE(a_limit_limits_the_threads_of_a_product) {
  const std::int64_t m = 256, n = 2048, k = 300;
  const auto a = values(m * k, 1);
  const auto b = values(k * n, 2);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  for (const MatmulEngine engine : engines()) {
    const UseEngine use(engine);
    for (const int setting : {1, 4})
      for (const int count : {1, 2, 3}) {
        const int started = in_child([&] {
          set_threads(setting);
          const ThreadLimit limit(count);
          detail::gemm<float>({m, n, k}, 1, a.data(), b.data(), {}, c.data());
          return static_cast<int>(threads_of_process());
        });
        BOOST_TEST(started == count, name_of(engine)
                                         << ": " << started << " threads for a limit of " << count);
      }
  }
}

BOOST_AUTO_TEST_CASE(a_forked_child_multiplies_while_the_parent_does) {
  constexpr std::int64_t kSize = 40;
  const std::vector<float> a(kSize * kSize, 1);
  std::vector<std::vector<float>> results(3, std::vector<float>(a.size()));
  // It asks for no memory: the address sanitizer's allocator does not outlive a fork beside other threads.
  const auto product = [&](std::vector<float>& c) {
    detail::gemm<float>({kSize, kSize, kSize}, 1, a.data(), a.data(), {}, c.data());
    return c.back() == float{kSize};
  };
  for (const MatmulEngine engine : engines()) {
    const UseEngine use(engine);
    std::atomic<bool> stop{false};
    std::vector<std::thread> others;
    for (int i = 0; i < 2; ++i)
      others.emplace_back([&, i] {
        while (!stop) product(results[static_cast<std::size_t>(i)]);
      });
    int wrong = 0;
    for (int i = 0; i < 20; ++i)
      wrong += in_child([&] {
                 for (int k = 0; k < 20; ++k)
                   if (!product(results[2])) return 1;
                 return 0;
               }) != 0;
    stop = true;
    for (std::thread& t : others) t.join();
    BOOST_TEST(wrong == 0, name_of(engine));
  }
}

BOOST_AUTO_TEST_CASE(engines_by_name) {
  BOOST_TEST((matmul_engine() == MatmulEngine::automatic));
  for (const MatmulEngine engine : engines()) {
    const UseEngine use(engine);
    BOOST_TEST((matmul_engine() == engine));
    BOOST_TEST(matmul_engine_description().starts_with(name_of(engine)));
  }
  BOOST_TEST((matmul_engine() == MatmulEngine::automatic));
  if (openblas_is_there()) return;
  BOOST_CHECK_EXCEPTION(set_matmul_engine(MatmulEngine::openblas), ArgumentError, [](const ArgumentError& e) {
    return std::string(e.what()).starts_with("set_matmul_engine(openblas): ") &&
           std::string(e.what()).find("choose automatic or builtin") != std::string::npos;
  });
}

// A program with an OpenBLAS of its own keeps its threads, and changes no bit of ours.
BOOST_AUTO_TEST_CASE(beside_a_program_that_uses_openblas) {
  if (!openblas_is_there()) return;
  void* const library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  using Gemm =
      void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
  const auto sgemm = reinterpret_cast<Gemm>(dlsym(library, "cblas_sgemm"));
  const auto set = reinterpret_cast<void (*)(int)>(dlsym(library, "openblas_set_num_threads"));
  const auto get = reinterpret_cast<int (*)()>(dlsym(library, "openblas_get_num_threads"));
  const UseEngine use(MatmulEngine::openblas);
  const int m = 520, n = 530, k = 300;
  const auto a = values(std::int64_t{m} * k, 1);
  const auto b = values(std::int64_t{k} * n, 2);
  const auto product = [&] {
    std::vector<float> c(static_cast<std::size_t>(m) * n);
    detail::gemm<float>({m, n, k}, 1, a.data(), b.data(), {}, c.data());
    return c;
  };
  const std::vector<float> expected = product();
  set(2);
  std::atomic<bool> stop{false};
  std::thread program([&] {
    std::vector<float> c(static_cast<std::size_t>(m) * n);
    for (int i = 0; !stop; ++i) {
      set(1 + i % 2);
      sgemm(101, 111, 111, m, n, k, 1, a.data(), k, b.data(), n, 0, c.data(), n);
    }
    set(2);
  });
  for (const int count : {1, 2, 4})
    for (int i = 0; i < 3; ++i) {
      const ThreadLimit limit(count);
      BOOST_TEST((product() == expected));
    }
  stop = true;
  program.join();
  BOOST_TEST(get() == 2);
  product();
  BOOST_TEST(get() == 2);
  set(1);
  dlclose(library);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gemm_engines_test
