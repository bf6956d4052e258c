#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <stack>
#include <valarray>
#include <vector>

#include <tapegrad/ops/map.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

namespace namespaces_test {

// Both namespaces at once, beside the header that knows the structs of all elementwise operations.
using namespace tapegrad;
using namespace tapegrad::nn;

BOOST_AUTO_TEST_SUITE(namespaces)

BOOST_AUTO_TEST_CASE(layers_and_functions_have_their_names_to_themselves) {
  Generator rng(0);
  Sequential net{Affine(3, 4, rng), Relu(),           LeakyRelu(0.2), Prelu(4), Tanh(),
                 BatchNorm(4),      Dropout(0.5, rng)};
  const Tensor x = randn({5, 3}, rng);
  BOOST_TEST((net(x).shape() == Shape{5, 4}));
  const Tensor y = map([](auto v) { return relu(v) + tanh(v) * mish(v); }, x);
  const Tensor same = relu(x) + tanh(x) * mish(x);
  for (std::size_t i = 0; i < 15; ++i)
    BOOST_TEST(y.values<float>()[i] == same.values<float>()[i], boost::test_tools::tolerance(1e-5F));
}

// Names that C has too, beside all names of the standard library.
BOOST_AUTO_TEST_CASE(functions_of_c_are_told_apart_by_their_arguments) {
  using namespace std;
  const Tensor x = Tensor::from({1.5, -2}), y = Tensor::from({2, 3});
  const Parameter p(x);
  const double two = hypot(0.0, 2.0) + fmod(5.0, 2.5);
  for (const Tensor& t :
       {atan2(x, y),
        atan2(x, 1.0),
        atan2(1, x),
        hypot(x, y),
        hypot(x, two),
        hypot(p, p),
        fmod(x, y),
        fmod(x, 1),
        remainder(x, y),
        remainder(1.0, x),
        log2(y),
        log10(y),
        exp2(p),
        cbrt(x),
        round(p),
        isfinite(x),
        isinf(p),
        isnan(x),
        logaddexp(x, y),
        xlogy(x, y),
        nan_to_num(x),
        tapegrad::map([](auto a, auto b) { return atan2(a, hypot(b, 2)) + fmod(a, b) + log2(b) + isnan(a); },
                      x, y)})
    BOOST_TEST((t.shape() == Shape{2}));
}

BOOST_AUTO_TEST_CASE(the_standard_library_may_have_its_names_beside_them) {
  using namespace std;
  const Tensor x = Tensor::from({1, 2, 3});
  const Tensor y = Tensor::from({3, 2, 1});
  BOOST_TEST((x < y).to_vector<float>() == (vector<float>{1, 0, 0}));
  BOOST_TEST((x >= y).to_vector<float>() == (vector<float>{0, 1, 1}));
  BOOST_TEST(tapegrad::greater(x, y).to_vector<float>() == (vector<float>{0, 0, 1}));
  BOOST_TEST(tapegrad::map([](auto v) { return v * v; }, x).to_vector<float>() == (vector<float>{1, 4, 9}));
  BOOST_TEST(equal(x, y).to_vector<float>() == (vector<float>{0, 1, 0}));
  BOOST_TEST(max(x).item() + min(x).item() + sum(sqrt(abs(exp(x) - exp(x)))).item() == 4);
  BOOST_TEST(sort(y).values.to_vector<float>() == (vector<float>{1, 2, 3}));
  BOOST_TEST(sort(x, 0, {.descending = true}).values.to_vector<float>() == (vector<float>{3, 2, 1}));
  BOOST_TEST(pow(2, x).to_vector<float>() == (vector<float>{2, 4, 8}));
}

// The names that are also those of classes, and std, have the spellings that math.h lists.
BOOST_AUTO_TEST_CASE(names_of_classes_of_the_standard_library_are_qualified) {
  using namespace std;
  const Tensor x = Tensor::from({1, 2, 3});
  BOOST_TEST(tapegrad::identity(x).to_vector<float>() == (vector<float>{1, 2, 3}));
  BOOST_TEST(tapegrad::slice(x, 0, 1, 3).to_vector<float>() == (vector<float>{2, 3}));
  BOOST_TEST((tapegrad::stack({x, x}).shape() == Shape{2, 3}));
  BOOST_TEST(stddev(x).item() == tapegrad::std(x).item());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace namespaces_test
