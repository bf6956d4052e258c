#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/ops/elementwise/math.h>

#include <boost/test/unit_test.hpp>

#include "state_support.h"
#include "support.h"

namespace saved_floats_test {

// Floats that are saved in 16 bits.

using namespace tapegrad;
using namespace tapegrad::test;
using nn::load_state_file;
using nn::save_state;
using nn::SavedFloats;
using nn::State;

namespace {

struct Fixture {
  test::TemporaryFolder folder;

  /// What comes back of these numbers.
  Tensor saved(const Tensor& t, SavedFloats floats, const char* name = "a.safetensors") const {
    save_state(folder / name, {{"t", t}}, {}, {.floats = floats});
    return load_state_file(folder / name).tensors.at(0).second;
  }
  double saved(double value, SavedFloats floats) const {
    return saved(Tensor::scalar(value, f64), floats).item();
  }
};

/// A safetensors file of all patterns of 16 bits.
std::string all_patterns(const char* dtype) {
  std::string header =
      std::string(R"({"t":{"dtype":")") + dtype + R"(","shape":[65536],"data_offsets":[0,131072]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  std::string file(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(file.data(), &length, sizeof length);
  file += header;
  for (int i = 0; i < 65'536; ++i) {
    file += static_cast<char>(i & 255);
    file += static_cast<char>(i >> 8);
  }
  return file;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(saved_floats, Fixture)

BOOST_AUTO_TEST_CASE(every_number_of_16_bits_comes_back_as_it_is) {
  for (const auto& [dtype, floats] :
       {std::pair{"F16", SavedFloats::f16}, std::pair{"BF16", SavedFloats::bf16}}) {
    write_file(folder / "all.safetensors", all_patterns(dtype));
    const State all = load_state_file(folder / "all.safetensors").tensors;
    for (const Dtype dtype_in_memory : {f32, f64}) {
      const std::vector<double> values = cast(all[0].second, f64).to_vector<double>();
      save_state(folder / "again.safetensors", {{"t", cast(all[0].second, dtype_in_memory)}}, {},
                 {.floats = floats});
      const std::vector<double> back =
          cast(load_state_file(folder / "again.safetensors").tensors[0].second, f64).to_vector<double>();
      const std::string before = read_file(folder / "all.safetensors");
      const std::string after = read_file(folder / "again.safetensors");
      BOOST_REQUIRE(before.size() == after.size());
      const std::size_t start = before.size() - 131'072;
      for (std::size_t i = 0; i < 65'536; ++i) {
        std::uint16_t a = 0, b = 0;
        std::memcpy(&a, before.data() + start + 2 * i, 2);
        std::memcpy(&b, after.data() + start + 2 * i, 2);
        // NaNs stay some NaN.
        if (std::isnan(values[i]) ? !std::isnan(back[i]) : a != b)
          BOOST_ERROR(dtype << " pattern " << i << " became " << b);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(numbers_are_rounded_to_the_nearest_and_ties_to_even) {
  // f16: numbers from 1 on are 2^-10 apart, those below 2^-14 are 2^-24 apart.
  const double step = std::ldexp(1, -10);
  for (const double scale : {1.0, -1.0, 0x1p-14, 0x1p14}) {
    BOOST_TEST(saved(scale * (1 + 0.49 * step), SavedFloats::f16) == scale);
    BOOST_TEST(saved(scale * (1 + 0.5 * step), SavedFloats::f16) == scale);
    BOOST_TEST(saved(scale * (1 + 0.51 * step), SavedFloats::f16) == scale * (1 + step));
    BOOST_TEST(saved(scale * (1 + 1.49 * step), SavedFloats::f16) == scale * (1 + step));
    BOOST_TEST(saved(scale * (1 + 1.5 * step), SavedFloats::f16) == scale * (1 + 2 * step));
    BOOST_TEST(saved(scale * (2 - 0.5 * step), SavedFloats::f16) == scale * 2);  // a carry into the exponent
  }
  BOOST_TEST(saved(0x1p-25, SavedFloats::f16) == 0);
  BOOST_TEST(saved(std::nextafter(0x1p-25, 1), SavedFloats::f16) == 0x1p-24);
  BOOST_TEST(saved(1.5 * 0x1p-24, SavedFloats::f16) == 0x1p-23);
  BOOST_TEST(saved(2.5 * 0x1p-24, SavedFloats::f16) == 0x1p-23);
  BOOST_TEST(saved(0x1p-14 - 0x1p-26, SavedFloats::f16) == 0x1p-14);
  BOOST_TEST(saved(1e-300, SavedFloats::f16) == 0);
  BOOST_TEST(saved(std::numeric_limits<double>::denorm_min(), SavedFloats::f16) == 0);
  BOOST_TEST(std::signbit(saved(-1e-300, SavedFloats::f16)));
  BOOST_TEST(std::signbit(saved(-0.0, SavedFloats::f16)));
  BOOST_TEST(saved(1 + 0x1p-8, SavedFloats::bf16) == 1);
  BOOST_TEST(saved(1 + 0x1.8p-7, SavedFloats::bf16) == 1 + 0x1p-6);
  BOOST_TEST(saved(1e-40, SavedFloats::bf16) == std::round(1e-40 / 0x1p-133) * 0x1p-133);
  // By way of f32 this would be rounded twice, to 1.
  BOOST_TEST(saved(1 + 0x1p-11 + 0x1p-40, SavedFloats::f16) == 1 + 0x1p-10);
  BOOST_TEST(saved(1 + 0x1p-8 + 0x1p-40, SavedFloats::bf16) == 1 + 0x1p-7);
}

BOOST_AUTO_TEST_CASE(what_would_become_infinite_is_refused_and_the_older_file_stays) {
  BOOST_TEST(saved(65'519.99, SavedFloats::f16) == 65'504);
  BOOST_TEST(saved(HUGE_VAL, SavedFloats::f16) == HUGE_VAL);
  BOOST_TEST(saved(-HUGE_VAL, SavedFloats::bf16) == -HUGE_VAL);
  BOOST_TEST(std::isnan(saved(std::nan(""), SavedFloats::bf16)));
  const Tensor large = Tensor::from({1, -65'520});
  for (const char* name : {"a.safetensors", "a.npz", "a.pt"}) {
    save_state(folder / name, {{"t", large}});
    BOOST_CHECK_EXCEPTION(save_state(folder / name, {{"w", large}}, {}, {.floats = SavedFloats::f16}),
                          ArgumentError, mentions("'w' holds -65520, which is beyond f16; save it as bf16"));
    check_equal(load_state_file(folder / name).tensors, {{"t", large}});
  }
  BOOST_TEST(saved(-65'520, SavedFloats::bf16) == -65'536);
  BOOST_TEST(saved(std::numeric_limits<float>::max() * (1 - 0x1p-8), SavedFloats::bf16) < HUGE_VAL);
  BOOST_CHECK_EXCEPTION(saved(std::numeric_limits<float>::max(), SavedFloats::bf16), ArgumentError,
                        mentions("beyond bf16; save it as it is"));
  BOOST_CHECK_THROW(saved(1e300, SavedFloats::f16), ArgumentError);
}

BOOST_AUTO_TEST_CASE(floats_alone_are_converted_in_every_format) {
  const State state{{"w", Tensor::from({{1, -2.5}, {0.1, 0}})},
                    {"mean", Tensor::from({1.0 / 3}, f64)},
                    {"steps", Tensor::from({7, 0x1p40}, i64)},
                    {"none", Tensor::zeros({0, 3})}};
  for (const char* name : {"a.safetensors", "a.npz", "a.pt"}) {
    save_state(folder / name, state, {{"k", "v"}}, {.floats = SavedFloats::f16});
    const nn::SavedState back = load_state_file(folder / name);
    check_equal(back.tensors, {{"w", Tensor::from({{1, -2.5}, {0.0999755859375, 0}})},
                               {"mean", Tensor::from({0.333251953125})},
                               {"steps", Tensor::from({7, 0x1p40}, i64)},
                               {"none", Tensor::zeros({0, 3})}});
    BOOST_TEST(back.metadata.at("k") == "v");
  }
  save_state(folder / "b.npz", state);
  BOOST_CHECK_EXCEPTION(save_state(folder / "b.npz", state, {}, {.floats = SavedFloats::bf16}), ArgumentError,
                        mentions("NumPy has no type for bf16", ".safetensors or .pt"));
  check_equal(load_state_file(folder / "b.npz").tensors, state);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace saved_floats_test
