// The table of element types, and what is derived from it.
#include <cstdint>
#include <limits>
#include <string>

#include <tapegrad/graph/dtype.h>

#include <boost/test/unit_test.hpp>

namespace dtype_test {

using namespace tapegrad;

namespace {

struct Name {
  template <class T>
  std::string operator()() const {
    return std::string(name_of(dtype_of<T>));
  }
};

static_assert(ElementType<float> && ElementType<double> && ElementType<std::int64_t>);
static_assert(!ElementType<int> && !ElementType<bool> && !ElementType<const float>);
static_assert(dtype_of<float> == f32 && dtype_of<double> == f64 && dtype_of<std::int64_t> == i64);

}  // namespace

BOOST_AUTO_TEST_SUITE(dtype)

BOOST_AUTO_TEST_CASE(one_row_a_dtype_in_its_place) {
  BOOST_TEST(kDtypes.size() == 3u);
  for (std::size_t i = 0; i < kDtypes.size(); ++i)
    BOOST_TEST(static_cast<std::size_t>(kDtypes[i].dtype) == i);
  BOOST_TEST(name_of(f32) == "f32");
  BOOST_TEST(name_of(f64) == "f64");
  BOOST_TEST(name_of(i64) == "i64");
}

BOOST_AUTO_TEST_CASE(sizes_kinds_and_precisions) {
  BOOST_TEST(size_of(f32) == 4u);
  BOOST_TEST(size_of(f64) == 8u);
  BOOST_TEST(size_of(i64) == 8u);
  BOOST_TEST(is_floating(f32));
  BOOST_TEST(is_floating(f64));
  BOOST_TEST(!is_floating(i64));
  BOOST_TEST(epsilon_of(f32) == 0x1p-23);
  BOOST_TEST(epsilon_of(f64) == 0x1p-52);
  BOOST_TEST(epsilon_of(i64) == 0);
}

BOOST_AUTO_TEST_CASE(visiting_gives_the_type_of_the_row) {
  for (const DtypeInfo& row : kDtypes) {
    BOOST_TEST(visit_dtype(row.dtype, Name{}) == row.name);
    if (row.floating) BOOST_TEST(visit_floating(row.dtype, Name{}) == row.name);
    BOOST_TEST(visit_dtype(row.dtype, []<class T> { return sizeof(T); }) == row.size);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace dtype_test
