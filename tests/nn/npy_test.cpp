#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/npy.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "npy_support.h"
#include "support.h"

namespace npy_test {

using namespace tapegrad;
using nn::load_npy;
using nn::save_npy;
using test::array_file;
using test::dictionary;
using test::mentions;
using test::read_file;
using test::TemporaryFolder;
using test::write_file;

namespace {

/// The bytes of numbers, as they lie in memory or the other way round.
template <class T>
std::string raw(const std::vector<T>& values, bool big_endian = false) {
  std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  if (big_endian)
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(T))
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                   bytes.begin() + static_cast<std::ptrdiff_t>(i + sizeof(T)));
  return bytes;
}

struct Fixture {
  TemporaryFolder folder;
  const std::string path = folder / "a.npy";

  Tensor load(std::string_view bytes) {
    write_file(path, bytes);
    return load_npy(path);
  }
  void check_refused(std::string_view bytes, std::string_view part) {
    write_file(path, bytes);
    try {
      load_npy(path);
    } catch (const FileError& e) {
      const std::string_view what = e.what();
      BOOST_TEST((what.find(path) != what.npos && what.find(part) != what.npos),
                 what << " does not mention " << part);
      return;
    }
    BOOST_ERROR("accepted, expected a refusal that mentions " << part);
  }
  void check_header_refused(const std::string& header, std::string_view part) {
    check_refused(array_file(header, raw<float>({1, 2})), part);
  }
};

template <class T>
void check_values(const Tensor& t, const Shape& shape, const std::vector<T>& expected) {
  BOOST_TEST((t.shape() == shape), to_string(t.shape()));
  BOOST_REQUIRE((t.dtype() == dtype_of<T>));
  BOOST_TEST(t.to_vector<T>() == expected, boost::test_tools::per_element());
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(npy, Fixture)

BOOST_AUTO_TEST_CASE(a_tensor_comes_back_bit_for_bit) {
  const Tensor f = Tensor::from({{1, -2.5, 1e-40}, {std::nan(""), HUGE_VAL, -0.0}});
  save_npy(path, f);
  const Tensor back = load_npy(path);
  BOOST_TEST((back.shape() == f.shape()));
  BOOST_TEST(std::memcmp(back.values<float>().data(), f.values<float>().data(), 24) == 0);
  save_npy(path, Tensor::from({0.1, 1e300}, f64));
  check_values<double>(load_npy(path), {2}, {0.1, 1e300});
  const std::vector<std::int64_t> extremes{std::numeric_limits<std::int64_t>::min(), 7,
                                           std::numeric_limits<std::int64_t>::max()};
  save_npy(path, Tensor::from(extremes));
  check_values<std::int64_t>(load_npy(path), {3}, extremes);
  save_npy(path, Tensor::scalar(4, f64));
  check_values<double>(load_npy(path), {}, {4});
  save_npy(path, Tensor::zeros({3, 0, 2}));
  check_values<float>(load_npy(path), {3, 0, 2}, {});
  save_npy(path, Tensor::ones({1, 1, 1, 1, 1, 1, 1, 2}));
  check_values<float>(load_npy(path), {1, 1, 1, 1, 1, 1, 1, 2}, {1, 1});
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_CASE(the_file_has_the_npy_layout) {
  save_npy(path, Tensor::from({1, 2, 3}));
  const std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
  const std::string expected = std::string("\x93NUMPY\1\0\x76\0", 10) + text +
                               std::string(128 - 10 - text.size() - 1, ' ') + "\n" + raw<float>({1, 2, 3});
  BOOST_TEST((read_file(path) == expected));
  for (const auto& [tensor, shape] :
       {std::pair(Tensor::zeros({2, 3}, f64), "'<f8', 'fortran_order': False, 'shape': (2, 3), }"),
        std::pair(Tensor::scalar(1, i64), "'<i8', 'fortran_order': False, 'shape': (), }")}) {
    save_npy(path, tensor);
    BOOST_TEST(read_file(path).find(shape) != std::string::npos, shape);
  }
}

BOOST_AUTO_TEST_CASE(elements_that_tensors_do_not_have_are_widened) {
  const auto loaded = [&](const char* type, const std::string& data, std::int64_t count) {
    return load(array_file(dictionary(type, fmt::format("({},)", count)), data));
  };
  using Ints = std::vector<std::int64_t>;
  for (const bool big : {false, true}) {
    const auto type = [&](const char* t) { return (big ? ">" : "<") + std::string(t); };
    check_values<std::int64_t>(loaded(type("i2").c_str(), raw<std::int16_t>({-32768, 258}, big), 2), {2},
                               Ints{-32768, 258});
    check_values<std::int64_t>(loaded(type("i4").c_str(), raw<std::int32_t>({-70000, 1 << 30}, big), 2), {2},
                               Ints{-70000, 1 << 30});
    check_values<std::int64_t>(loaded(type("i8").c_str(), raw<std::int64_t>({-2, 1LL << 40}, big), 2), {2},
                               Ints{-2, 1LL << 40});
    check_values<std::int64_t>(loaded(type("u2").c_str(), raw<std::uint16_t>({65535, 1}, big), 2), {2},
                               Ints{65535, 1});
    check_values<std::int64_t>(loaded(type("u4").c_str(), raw<std::uint32_t>({4294967295U, 1}, big), 2), {2},
                               Ints{4294967295, 1});
    check_values<std::int64_t>(loaded(type("u8").c_str(), raw<std::uint64_t>({~0ULL >> 1, 1}, big), 2), {2},
                               Ints{std::numeric_limits<std::int64_t>::max(), 1});
    check_values<float>(loaded(type("f4").c_str(), raw<float>({1.5F, -3e38F}, big), 2), {2}, {1.5F, -3e38F});
    check_values<double>(loaded(type("f8").c_str(), raw<double>({0.1, -1e-310}, big), 2), {2},
                         {0.1, -1e-310});
    // binary16: 1, the least above 0, the largest subnormal, the largest, -2, infinity
    const std::vector<std::uint16_t> halves{0x3c00, 0x0001, 0x03ff, 0x7bff, 0xc000, 0x7c00};
    check_values<float>(loaded(type("f2").c_str(), raw(halves, big), 6), {6},
                        {1, 0x1p-24F, 0x1.ff8p-15F, 65504, -2, HUGE_VALF});
    BOOST_TEST(std::isnan(loaded(type("f2").c_str(), raw<std::uint16_t>({0x7e00}, big), 1).item()));
  }
  check_values<std::int64_t>(loaded("|i1", "\x80\x7f", 2), {2}, Ints{-128, 127});
  check_values<std::int64_t>(loaded("|u1", "\xff\x01", 2), {2}, Ints{255, 1});
  check_values<std::int64_t>(loaded("|b1", std::string("\0\1\2", 3), 3), {3}, Ints{0, 1, 1});
  check_refused(array_file(dictionary("<u8", "(1,)"), raw<std::uint64_t>({1ULL << 63})),
                "9223372036854775808");
  // More than one block of a conversion.
  std::vector<std::int32_t> many(100'000);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<std::int32_t>(i * 7919);
  check_values<std::int64_t>(loaded("<i4", raw(many), 100'000), {100'000}, Ints(many.begin(), many.end()));
}

BOOST_AUTO_TEST_CASE(it_is_told_what_they_were) {
  const auto converted = [&](const char* type, const std::string& data) {
    write_file(path, array_file(dictionary(type, "(1,)"), data));
    const nn::SavedState saved = nn::load_state_file(path);
    BOOST_TEST(saved.tensors.size() == 1u);
    BOOST_TEST(saved.tensors[0].first == "tensor");
    return saved.converted.empty() ? "" : to_string(saved.converted.at(0));
  };
  BOOST_TEST(converted("<f2", raw<std::uint16_t>({0x3c00})) == "'tensor' from f16 to f32");
  BOOST_TEST(converted(">i4", raw<std::int32_t>({7})) == "'tensor' from i32 to i64");
  BOOST_TEST(converted("|b1", "\1") == "'tensor' from bool to i64");
  BOOST_TEST(converted("<f8", raw<double>({7})) == "");
  BOOST_TEST(converted(">i8", raw<std::int64_t>({7})) == "");
}

BOOST_AUTO_TEST_CASE(floats_may_be_saved_in_16_bits) {
  save_npy(path, Tensor::from({1, 0.1, -65504}, f64), {.floats = nn::SavedFloats::f16});
  BOOST_TEST(read_file(path).find("'<f2'") != std::string::npos);
  check_values<float>(load_npy(path), {3}, {1, 0.0999755859375F, -65504});
  BOOST_CHECK_EXCEPTION(save_npy(path, Tensor::from({65520}), {.floats = nn::SavedFloats::f16}),
                        ArgumentError, mentions("save_npy: the tensor holds 65520, which is beyond f16"));
  BOOST_CHECK_EXCEPTION(save_npy(path, Tensor::ones({1}), {.floats = nn::SavedFloats::bf16}), ArgumentError,
                        mentions("save_npy: NumPy has no type for bf16"));
  check_values<float>(load_npy(path), {3}, {1, 0.0999755859375F, -65504});  // it stays
  save_npy(path, Tensor::from({7, -9}, i64), {.floats = nn::SavedFloats::f16});
  check_values<std::int64_t>(load_npy(path), {2}, {7, -9});
}

BOOST_AUTO_TEST_CASE(column_major_arrays_become_row_major) {
  const std::string header = dictionary("<f4", "(2, 3)", "True");
  check_values<float>(load(array_file(header, raw<float>({1, 4, 2, 5, 3, 6}))), {2, 3}, {1, 2, 3, 4, 5, 6});
  // [i, j, k] holds 100 i + 10 j + k and lies at i + 2 j + 6 k.
  std::vector<std::int32_t> column(24);
  std::vector<std::int64_t> row;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 4; ++k) {
        column[static_cast<std::size_t>(i + 2 * j + 6 * k)] = 100 * i + 10 * j + k;
        row.push_back(100 * i + 10 * j + k);
      }
  check_values<std::int64_t>(load(array_file(dictionary(">i4", "(2, 3, 4)", "True"), raw(column, true))),
                             {2, 3, 4}, row);
  check_values<float>(load(array_file(dictionary("<f4", "()", "True"), raw<float>({5}))), {}, {5});
  check_values<float>(load(array_file(dictionary("<f4", "(3, 0)", "True"), "")), {3, 0}, {});
}

BOOST_AUTO_TEST_CASE(headers_of_all_versions_and_writers_are_read) {
  const std::string data = raw<float>({1, 2});
  for (const int version : {1, 2, 3})
    check_values<float>(load(array_file(dictionary("<f4", "(2,)"), data, version)), {2}, {1, 2});
  for (const char* header : {"{'shape':(2,),'fortran_order':False,'descr':'<f4'}",
                             "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }\n",
                             "  { 'descr' : '<f4' ,'fortran_order':False, 'shape': ( 2 , ) , }   \n"})
    check_values<float>(load(array_file(header, data)), {2}, {1, 2});
}

BOOST_AUTO_TEST_CASE(what_is_not_numbers_is_refused) {
  check_header_refused(dictionary("|O", "(2,)"), "never unpickled");
  check_header_refused(dictionary("O", "(2,)"), "never unpickled");
  check_header_refused("{'descr': [('x', '<f4'), ('y', '<f4')], 'fortran_order': False, 'shape': (1,), }",
                       "structures");
  for (const char* type : {"<c8", "<U4", "|S8", "<M8[ns]", "<f16", "|V8", "<f3", "<", "", "f4", "<i16"})
    check_header_refused(dictionary(type, "(2,)"), "type '");
  for (const char* type : {"|f4", "=f4", "!f4"})
    check_header_refused(dictionary(type, "(2,)"), "order of the bytes");
}

BOOST_AUTO_TEST_CASE(damaged_headers_are_refused) {
  const std::string good = array_file(dictionary("<f4", "(2,)"), raw<float>({1, 2}));
  check_values<float>(load(good), {2}, {1, 2});
  for (std::size_t size = 0; size < good.size(); ++size) check_refused(good.substr(0, size), "");
  check_refused(good + "x", "9 bytes that follow");
  check_refused("", "0 bytes");
  check_refused("\x93NUMPZ" + good.substr(6), "NUMPY");
  check_refused(std::string("\x93NUMPY\0\0\x10\0", 10) + std::string(16, ' '), "version 0.0");
  check_refused(std::string("\x93NUMPY\4\0\x10\0", 10) + std::string(16, ' '), "version 4.0");
  check_refused(std::string("\x93NUMPY\1\1\x10\0", 10) + std::string(16, ' '), "version 1.1");
  check_refused(std::string("\x93NUMPY\1\0\xff\xff", 10) + std::string(16, ' '), "65535 bytes, 16 follow");
  check_refused(std::string("\x93NUMPY\2\0\xff\xff\xff\xff", 12) + std::string(16, ' '), "4294967295 bytes");
  for (const char* header : {"",
                             " ",
                             "{",
                             "{}",
                             "}",
                             "[]",
                             "()",
                             "{'descr'}",
                             "{'descr': }",
                             "{'descr': '<f4}",
                             "{'descr': '<f4' 'shape': (2,)}",
                             "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (0x2,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)",
                             "{'descr': 5, 'fortran_order': False, 'shape': (2,)}",
                             "__import__('os').system('true')"})
    check_header_refused(header, "header");
  check_header_refused("{'descr': '<f4', 'shape': (2,)}", "needs the keys");
  check_header_refused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
                       "'descr', unknown or given twice");
  check_header_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "'x', unknown");
}

BOOST_AUTO_TEST_CASE(impossible_shapes_are_refused) {
  check_header_refused(dictionary("<f4", "(-2,)"), "-2");
  check_header_refused(dictionary("<f4", "(3,)"), "3 elements of 4 bytes");
  check_header_refused(dictionary("<f4", "(0,)"), "0 elements");
  check_header_refused(dictionary("<f4", "(1, 1, 1, 1, 1, 1, 1, 1, 2)"), "9 axes");
  check_header_refused(dictionary("<f4", "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2)"), "12 axes");
  check_header_refused(dictionary("<f4", "(4611686018427387906,)"),
                       "impossible shape");  // times 4 wraps to 8
  check_header_refused(dictionary("<f4", "(4294967296, 4294967296)"), "impossible shape");  // wraps to 0
  check_header_refused(dictionary("<f4", "(18446744073709551618,)"), "above the largest i64");
  // Far larger than the file: no memory is taken.
  check_header_refused(dictionary("<f8", "(1099511627776,)"), "8 bytes that follow");
}

BOOST_AUTO_TEST_CASE(changed_bytes_are_refused_or_read_as_data) {
  const std::string good = array_file(dictionary("<f4", "(1, 2)"), raw<float>({1, 2}));
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int bit = 1; bit < 256; bit *= 2) {
      std::string changed = good;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      try {
        const Tensor t = load(changed);
        BOOST_TEST(t.size() <= 8);
      } catch (const FileError&) {
      }
    }
}

BOOST_AUTO_TEST_CASE(files_that_cannot_be_used_are_reported) {
  BOOST_CHECK_EXCEPTION(load_npy(folder / "none.npy"), FileError, mentions("none.npy", "No such file"));
  BOOST_CHECK_EXCEPTION(load_npy(folder.path().string()), FileError, mentions("no regular file"));
  BOOST_CHECK_EXCEPTION(save_npy(folder / "missing/a.npy", Tensor::ones({1})), FileError,
                        mentions("No such file"));
  BOOST_CHECK_EXCEPTION(save_npy(path, Tensor()), ArgumentError, mentions("undefined"));
  BOOST_TEST(folder.size() == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace npy_test
