#include <tapegrad/ops/kernels/gemm/openblas_library.h>

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

extern char** environ;

namespace tapegrad::detail {

namespace {

// ---- forks ----

constinit std::atomic<int> calls{0};
constinit std::atomic<int> forks{0};
constinit std::atomic<bool> forks_are_handled{false};

void before_fork() noexcept {
  forks.fetch_add(1, std::memory_order_seq_cst);
  while (calls.load(std::memory_order_seq_cst) != 0) sched_yield();
}
void after_fork_in_parent() noexcept { forks.fetch_sub(1, std::memory_order_seq_cst); }
// Other threads of the parent may have been about to call, or to fork; the child has none of them.
void after_fork_in_child() noexcept {
  calls.store(0, std::memory_order_relaxed);
  forks.store(0, std::memory_order_seq_cst);
}

// ---- the environment of the load ----

#ifdef TAPEGRAD_OPENBLAS_LIBRARY

/// While it lives, the process has other settings. OpenBLAS reads its environment once, while it is loaded.
///
/// The variables are those of a second array, which takes the place of the first for a while: a thread that
/// reads the environment meanwhile sees one or the other, both complete.
class LoadEnvironment {
 public:
  explicit LoadEnvironment(const std::vector<std::string>& settings) : before_(environ) {
    for (const std::string& s : settings) {
      std::string name = s.substr(0, s.find('='));
      const char* const value = std::getenv(name.c_str());
      olds_.push_back({std::move(name), value ? std::optional<std::string>(value) : std::nullopt});
    }
    // Never freed: the libraries loaded meanwhile keep this array as their environment.
    static auto* const arrays = new std::vector<std::vector<char*>>;
    std::vector<char*>& variables = arrays->emplace_back();
    for (const std::string& s : settings) {
      char* const copy = strdup(s.c_str());
      if (!copy) throw std::bad_alloc();
      variables.push_back(copy);
    }
    for (char** v = before_; v && *v; ++v)
      if (std::none_of(settings.begin(), settings.end(), [&](const std::string& s) { return same(*v, s); }))
        variables.push_back(*v);
    variables.push_back(nullptr);
    mine_ = variables.data();
    environ = mine_;
  }
  ~LoadEnvironment() {
    if (environ == mine_) {
      environ = before_;
      return;
    }
    // Another thread has set a variable meanwhile, which has made a third array out of the second. Ours are
    // taken out of it.
    for (const Old& o : olds_)
      if (o.value)
        setenv(o.name.c_str(), o.value->c_str(), 1);
      else
        unsetenv(o.name.c_str());
  }
  LoadEnvironment(const LoadEnvironment&) = delete;
  LoadEnvironment& operator=(const LoadEnvironment&) = delete;

 private:
  /// Of two "NAME=value".
  static bool same(std::string_view a, std::string_view b) {
    return a.substr(0, a.find('=')) == b.substr(0, b.find('='));
  }
  /// A variable as it was; without a value where it was not set.
  struct Old {
    std::string name;
    std::optional<std::string> value;
  };

  char** before_;
  std::vector<Old> olds_;  // made beforehand: a destructor must not run out of memory
  char** mine_ = nullptr;
};

// ---- loading ----

/// The instruction set of the kernels that OpenBLAS has for a processor.
Isa isa_of_core(std::string_view core) {
#if TAPEGRAD_X86
  for (const std::string_view name : {"SkylakeX", "Cooperlake", "SapphireRapids"})
    if (core == name) return Isa::avx512;
  for (const std::string_view name : {"Haswell", "Zen"})
    if (core == name) return Isa::avx2;
#else
  static_cast<void>(core);
#endif
  return Isa::base;
}

/// A core type that every OpenBLAS of the last years has kernels for.
const char* core_for(Isa isa) { return isa == Isa::avx512 ? "SkylakeX" : "Haswell"; }

struct Loaded {
  void* handle = nullptr;
  std::string error;
};

Loaded load(const std::vector<std::string>& settings) {
#ifdef LM_ID_NEWLM
  const LoadEnvironment environment(settings);
  std::string error;
  for (const char* name : {TAPEGRAD_OPENBLAS_LIBRARY}) {
    if (void* handle = dlmopen(LM_ID_NEWLM, name, RTLD_NOW | RTLD_LOCAL)) return {handle, {}};
    if (error.empty()) error = dlerror();
  }
  // No reason to do without it for the rest of the process.
  if (error.find("allocate memory") != std::string::npos || error.find("out of memory") != std::string::npos)
    throw std::bad_alloc();
  return {nullptr, error};
#else
  static_cast<void>(settings);
  return {nullptr, "this system cannot load a private copy of a library (dlmopen)"};
#endif
}

template <class F>
F symbol(void* handle, const char* name) {
  return reinterpret_cast<F>(dlsym(handle, name));
}

template <class T>
OpenBlas::Functions<T> functions(void* handle, const char* gemm, const char* gemv) {
  return {symbol<OpenBlas::Gemm<T>>(handle, gemm), symbol<OpenBlas::Gemv<T>>(handle, gemv)};
}

std::string core_of(void* handle) {
  const auto name = symbol<char* (*)()>(handle, "openblas_get_corename");
  return name ? name() : "";
}

std::string version_of(void* handle) {
  const auto config = symbol<char* (*)()>(handle, "openblas_get_config");
  const std::string text = config ? config() : "";
  const std::size_t end = text.find(' ', text.find(' ') + 1);
  return text.starts_with("OpenBLAS") ? text.substr(0, end) : "OpenBLAS";
}

/// What to set for the load. OpenMP's number is for OpenBLAS built with OpenMP: its threads are those of the
/// private copy of that library, too.
std::vector<std::string> settings_for(const char* core) {
  std::vector<std::string> all{"OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1"};
  if (core) all.push_back(fmt::format("OPENBLAS_CORETYPE={}", core));
  return all;
}

std::pair<OpenBlas, std::string> load_openblas() {
  Loaded library = load(settings_for(nullptr));
  if (!library.handle) return {{}, fmt::format("{}; install libopenblas0 (Debian)", library.error)};
  OpenBlas result;
  result.user_core = std::getenv("OPENBLAS_CORETYPE") != nullptr;
  // Where it does not know the processor it takes kernels for an older one.
  if (!result.user_core && isa_of_core(core_of(library.handle)) < best_isa()) {
    const Loaded better = load(settings_for(core_for(best_isa())));
    if (better.handle) {
      dlclose(library.handle);
      library = better;
    }
  }
  void* const handle = library.handle;
  result.functions = {functions<float>(handle, "cblas_sgemm", "cblas_sgemv"),
                      functions<double>(handle, "cblas_dgemm", "cblas_dgemv")};
  const auto complete = [](const auto&... f) { return ((f.gemm && f.gemv) && ...); };
  const auto threads = symbol<int (*)()>(handle, "openblas_get_num_threads");
  if (!std::apply(complete, result.functions) || !threads)
    return {{}, "the library has not the functions of OpenBLAS; install libopenblas0 (Debian)"};
  if (threads() != 1)
    return {{}, fmt::format("it starts {} threads although it was told to use one", threads())};
  result.version = version_of(handle);
  result.core = core_of(handle);
  result.isa = isa_of_core(result.core);
  return {std::move(result), {}};
}

#else

std::pair<OpenBlas, std::string> load_openblas() {
  return {{}, "the library was built without it; configure with -DTAPEGRAD_BLAS=openblas"};
}

#endif

struct Library {
  OpenBlas functions;
  std::string absence;
};

constinit std::atomic<const Library*> loaded_library{nullptr};

const Library& library() {
  if (const Library* l = loaded_library.load(std::memory_order_acquire)) return *l;
  const OpenBlasCall call;  // so that a fork waits for the end of the load, too
  // Never destroyed: what runs while the process exits may still multiply.
  static const Library* const loaded = [] {
    auto [functions, absence] = load_openblas();
    return new Library{std::move(functions), std::move(absence)};
  }();
  loaded_library.store(loaded, std::memory_order_release);
  return *loaded;
}

}  // namespace

OpenBlasCall::OpenBlasCall() noexcept {
  // Two threads may both register: the handlers count.
  if (!forks_are_handled.load(std::memory_order_acquire)) {
    if (pthread_atfork(&before_fork, &after_fork_in_parent, &after_fork_in_child) == 0)
      forks_are_handled.store(true, std::memory_order_release);
  }
  for (;;) {
    calls.fetch_add(1, std::memory_order_seq_cst);
    if (forks.load(std::memory_order_seq_cst) == 0) return;
    calls.fetch_sub(1, std::memory_order_seq_cst);
    while (forks.load(std::memory_order_seq_cst) != 0) sched_yield();
  }
}
OpenBlasCall::~OpenBlasCall() { calls.fetch_sub(1, std::memory_order_seq_cst); }

const OpenBlas* openblas() {
  const Library& l = library();
  return l.absence.empty() ? &l.functions : nullptr;
}
const std::string& openblas_absence() { return library().absence; }

}  // namespace tapegrad::detail
