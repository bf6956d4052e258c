#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/ops/ops.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace errors_test {

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(errors)

BOOST_AUTO_TEST_CASE(operations_are_called_as_users_write_them) {
  const Tensor i = Tensor::from({1, 2}, i64);
  const auto called = [](const char* name) {
    return [=](const Error& e) { return std::string(e.what()).starts_with(name); };
  };
  BOOST_CHECK_EXCEPTION(i + 2.5, Error, called("add:"));
  BOOST_CHECK_EXCEPTION(i * 2.5, Error, called("mul:"));
  BOOST_CHECK_EXCEPTION(i / 2.5, Error, called("div:"));
  BOOST_CHECK_EXCEPTION(2.5 - i, Error, called("sub:"));
  BOOST_CHECK_EXCEPTION(2.5 / i, Error, called("div:"));
  BOOST_CHECK_EXCEPTION(pow(i, 2.5), Error, called("pow:"));
  NameScope scope("fc1");
  BOOST_CHECK_EXCEPTION(i * 2.5, Error, called("mul 'fc1':"));
  BOOST_TEST(op_label("'dropout:1.5'") == "'dropout:1.5' 'fc1'");  // no name of an operation
}

BOOST_AUTO_TEST_CASE(an_axis_that_does_not_broadcast_is_counted_as_users_count) {
  BOOST_CHECK_EXCEPTION(Tensor::zeros({2, 3}) + Tensor::zeros({4, 3}), ShapeError,
                        test::mentions("add: shapes [2, 3] and [4, 3]", "axis -2 has 2 and 4"));
  BOOST_CHECK_EXCEPTION(Tensor::zeros({3}) * Tensor::zeros({5, 4}), ShapeError,
                        test::mentions("axis -1 has 3 and 4"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace errors_test
