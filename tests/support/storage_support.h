#pragma once

#include <cstdint>
#include <exception>
#include <thread>

#include <tapegrad/graph/storage.h>
#include <tapegrad/graph/tensor.h>

/// Tensors whose blocks are followed from one to the next.
namespace tapegrad::test {

inline const std::int64_t* address(const Tensor& t) { return t.values<std::int64_t>().data(); }

/// False in the address sanitizer's build, where every block goes back to the system at once.
inline bool pooled() {
  const std::int64_t* before = address(Tensor::empty({1000}, i64));
  return address(Tensor::empty({1000}, i64)) == before;
}

/// True where no other tensor, node or gradient holds a reference on the elements.
inline bool unique(const Tensor& t) { return detail::is_unique(detail::TensorAccess::storage(t)); }

/// A tensor that tells whether its elements are its own.
inline Tensor stamped(std::int64_t stamp, std::int64_t size) {
  Tensor t = Tensor::empty({size}, i64);
  for (std::int64_t& v : t.mutable_values<std::int64_t>()) v = stamp;
  return t;
}
inline bool intact(const Tensor& t) {
  const auto v = t.values<std::int64_t>();
  for (const std::int64_t x : v)
    if (x != v[0]) return false;
  return true;
}

/// Runs f in a thread of its own and passes on what it throws.
template <class F>
void in_thread(F&& f) {
  std::exception_ptr error;
  std::thread([&] {
    try {
      f();
    } catch (...) {
      error = std::current_exception();
    }
  }).join();
  if (error) std::rethrow_exception(error);
}

}  // namespace tapegrad::test
