#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>

#define TAPEGRAD_KERNEL

namespace tapegrad::detail {
namespace {

constexpr int kBytes = 16;
constexpr int kRows = 6;
constexpr int kWideRows = 4;
constexpr int kDepth = 256;
constexpr bool kFreeMasks = false;

template <class T>
using Vec = typename VecOf<T, kBytes>::type;

template <class T>
inline Vec<T> load_part(const T* p, std::int64_t count) {
  Vec<T> v{};
  for (int i = 0; i < kBytes / static_cast<int>(sizeof(T)); ++i)
    if (i < count) v[i] = p[i];
  return v;
}
template <class T, class V>
inline void store_part(T* p, V v, std::int64_t count) {
  for (int i = 0; i < kBytes / static_cast<int>(sizeof(T)); ++i)
    if (i < count) p[i] = v[i];
}

}  // namespace
}  // namespace tapegrad::detail

#define TAPEGRAD_IN_REGISTER(v) static_cast<void>(0)

#include <tapegrad/ops/kernels/gemm/builtin/tile.inc>

TAPEGRAD_DEFINE_GEMM_KERNELS(base)
