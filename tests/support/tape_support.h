#pragma once

#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/elementwise/math.h>

#include <boost/test/unit_test.hpp>

#include "storage_support.h"
#include "support.h"

namespace tapegrad::test {

inline Tensor scalar(double v) { return Tensor::scalar(v, f64); }
inline Parameter parameter(double v) { return Parameter(scalar(v)); }
inline Parameter parameter(std::initializer_list<double> v) { return Parameter(Tensor::from(v, f64)); }

/// True where none but the parameter itself does.
inline bool unique(const Parameter& p) {
  const Tensor own = p.data();  // a reference beside the parameter's
  const detail::Storage* s = detail::TensorAccess::storage(own);
  return s->owner.load() == detail::current_thread && s->local == 2 && s->shared.load() == 0;
}

inline bool shares_elements(const Tensor& a, const Tensor& b) {
  return detail::TensorAccess::storage(a) == detail::TensorAccess::storage(b);
}

inline void check_equal(const Tensor& t, const std::vector<double>& expected) {
  BOOST_TEST(t.to_vector<double>() == expected, boost::test_tools::per_element());
}

inline void check_close(const Tensor& t, const std::vector<double>& expected, double tolerance = 1e-12) {
  BOOST_TEST(t.to_vector<double>() == expected, boost::test_tools::tolerance(tolerance)
                                                    << boost::test_tools::per_element());
}

}  // namespace tapegrad::test
