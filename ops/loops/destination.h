#pragma once

#include <cstdint>

#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/numbers/real.h>

namespace tapegrad::detail {

struct WriteTo {
  template <class T>
  void operator()(T& to, T value) const {
    to = value;
  }
};
struct AddTo {
  template <class T>
  void operator()(T& to, T value) const {
    to = wrapping_add(to, value);
  }
};

/// Where results go: they are written there, or added to what is there. All loops that may do either go
/// through this, so that a rule is written once for the first gradient of a value and for further ones.
template <class T>
struct Destination {
  T* data;
  bool add;

  /// What lies `by` elements further on.
  Destination operator+(std::int64_t by) const { return {data + by, add}; }

  /// f(put) once, where put(to, value) writes or adds: the choice is made outside of f's loop.
  template <class F>
  void choose(F&& f) const {
    if (add)
      f(AddTo{});
    else
      f(WriteTo{});
  }

  /// Element i is value(i), for i in [0, n). A part of a loop for an instruction set.
  template <class F>
  void put(std::int64_t n, const F& value) const {
    T* const to = data;
    choose([&](auto put_one) { simd_for(n, [&](std::int64_t i) { put_one(to[i], value(i)); }); });
  }

  /// f(out) writes n elements to `out`: in place, or to memory of its own where they are then added.
  template <class F>
  void through(std::int64_t n, F&& f) const {
    if (!add) return f(data);
    Workspace<T> terms(n);
    f(terms.data());
    const auto add_terms = [&] {
      put(n, [from = static_cast<const T*>(terms.data())](std::int64_t i) { return from[i]; });
    };
    if (n < kUnroll)
      add_terms();
    else
      dispatch_isa(add_terms);
  }

  /// Where nothing is there yet to add to, says so.
  void clear(std::int64_t n) const {
    if (!add)
      for (std::int64_t i = 0; i < n; ++i) data[i] = static_cast<T>(kNothing);
  }
};

}  // namespace tapegrad::detail
