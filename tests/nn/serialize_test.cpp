#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>
#include <sys/resource.h>
#include <boost/test/unit_test.hpp>

#include "state_support.h"
#include "support.h"

namespace serialize_test {

using namespace tapegrad;
using nn::load_state_file;
using nn::save_state;
using nn::State;
using test::check_equal;
using test::check_skipped;
using test::for_each_change;
using test::mentions;
using test::read_file;
using test::write_file;

namespace {

State some_state() {
  return {{"fc1.weight", Tensor::from({{1, -2}, {0.5, 1e-30}})},
          {"steps", Tensor::scalar(1e15, i64)},
          {"empty", Tensor::zeros({0, 3}, f64)},
          {"fc1.bias", Tensor::from({std::nan(""), HUGE_VAL, -0.0})},
          {"mean \"quoted\" \xc3\xa4\n", Tensor::from({0.1, 1.0 / 3}, f64)}};
}

std::string file_of(std::string_view header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  file += header;
  return file += data;
}

/// One entry of a header.
std::string entry(const char* name, const char* dtype, const char* shape, const char* offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

struct Fixture : test::StateFile {
  Fixture() : StateFile("model.safetensors") {}
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(serialize, Fixture)

BOOST_AUTO_TEST_CASE(a_state_comes_back_bit_for_bit_and_in_order) {
  const nn::Metadata metadata{{"format", "pt"}, {"epoch", "17"}, {"", "\"\\"}};
  save_state(path, some_state(), metadata);
  const nn::SavedState saved = load_state_file(path);
  check_equal(saved.tensors, some_state());
  BOOST_TEST((saved.metadata == metadata));
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_CASE(an_empty_state_comes_back) {
  save_state(path, {});
  const nn::SavedState saved = load_state_file(path);
  BOOST_TEST(saved.tensors.empty());
  BOOST_TEST(saved.metadata.empty());
}

BOOST_AUTO_TEST_CASE(the_file_has_the_safetensors_layout) {
  save_state(path, {{"a", Tensor::from({1, 2, 3})}, {"b", Tensor::from({4}, i64)}}, {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[3],"data_offsets":[8,20]},)"
      R"("b":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})";
  const std::string file = read_file(path);
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  BOOST_TEST(length % 8 == 0U);
  BOOST_TEST(file.substr(8, header.size()) == header);
  BOOST_TEST(file.substr(8 + header.size(), length - header.size()) ==
             std::string(length - header.size(), ' '));
  const std::string data("\4\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40", 20);
  BOOST_TEST((file.substr(8 + length) == data));
}

BOOST_AUTO_TEST_CASE(files_of_other_writers_are_read) {
  // No padding, spaces, fields and entries in other orders, no metadata.
  const std::string header = R"({ "z" : {"shape" : [ ], "data_offsets":[4,12], "dtype":"F64"},
    "a":{"data_offsets":[0,4],"dtype":"F32","shape":[1,1]} }   )";
  std::string data(12, '\0');
  const float one = 1;
  const double two = 2;
  std::memcpy(data.data(), &one, 4);
  std::memcpy(data.data() + 4, &two, 8);
  write_file(path, file_of(header, data));
  const State state = load_state_file(path).tensors;
  BOOST_REQUIRE(state.size() == 2U);
  BOOST_TEST(state[0].first == "z");
  BOOST_TEST(state[0].second.item() == 2);
  BOOST_TEST((state[0].second.shape() == Shape{}));
  BOOST_TEST(state[1].second.item() == 1);
  BOOST_TEST((state[1].second.shape() == Shape{1, 1}));
}

BOOST_AUTO_TEST_CASE(elements_that_tensors_do_not_have_are_widened) {
  const struct {
    const char* dtype;
    std::string bytes;
    double first, second;
  } cases[] = {{"F16", std::string("\x00\x3c\x00\xc0", 4), 1, -2},
               {"BF16", std::string("\x80\x3f\x49\xc0", 4), 1, -3.140625},
               {"I8", "\x80\x7f", -128, 127},
               {"I16", std::string("\x00\x80\x02\x01", 4), -32768, 258},
               {"I32", std::string("\xff\xff\xff\xff\x00\x00\x01\x00", 8), -1, 65536},
               {"U8", "\xff\x01", 255, 1},
               {"U16", std::string("\xff\xff\x01\x00", 4), 65535, 1},
               {"U32", std::string("\xff\xff\xff\xff\x01\x00\x00\x00", 8), 4294967295, 1},
               {"U64", std::string("\x05\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0", 16), 5, 4294967296},
               {"BOOL", std::string("\0\1", 2), 0, 1}};
  for (const auto& c : cases) {
    write_file(path,
               file_of("{" + entry("w", c.dtype, "[2]", fmt::format("[0,{}]", c.bytes.size()).c_str()) + "}",
                       c.bytes));
    const nn::SavedState saved = load_state_file(path);
    const Tensor t = saved.tensors.at(0).second;
    BOOST_TEST((t.dtype() == (c.dtype[0] == 'F' || c.dtype[1] == 'F' ? f32 : i64)), c.dtype);
    std::string from = c.dtype;
    std::ranges::transform(from, from.begin(), [](char letter) { return static_cast<char>(letter | 32); });
    test::check_converted(saved.converted, {fmt::format("'w' from {} to {}", from, name_of(t.dtype()))});
    BOOST_TEST(select(t, 0, 0).item() == c.first, c.dtype);
    BOOST_TEST(select(t, 0, 1).item() == c.second, c.dtype);
  }
  check_refused(file_of("{" + entry("w", "U64", "[1]", "[0,8]") + "}", std::string(8, '\xff')),
                "'w': it holds 18446744073709551615");
  check_refused(file_of("{" + entry("w", "F16", "[2]", "[0,8]") + "}", std::string(8, '\0')), "need 4 bytes");
}

BOOST_AUTO_TEST_CASE(names_that_cannot_be_saved_are_refused_before_anything_is_written) {
  save_state(path, some_state());
  const Tensor t = Tensor::ones({2});
  BOOST_CHECK_EXCEPTION(save_state(path, {{"w", t}, {"w", t}}), ArgumentError, mentions("'w'", "twice"));
  BOOST_CHECK_EXCEPTION(save_state(path, {{"__metadata__", t}}), ArgumentError,
                        mentions("__metadata__", "reserved"));
  BOOST_CHECK_EXCEPTION(save_state(path, {{"w", Tensor()}}), ArgumentError, mentions("'w'", "undefined"));
  BOOST_CHECK_EXCEPTION(save_state(path, {{"\xff\xfe", t}}), ArgumentError, mentions("UTF-8"));
  BOOST_CHECK_EXCEPTION(save_state(path, {}, {{"k", "\xc3"}}), ArgumentError, mentions("UTF-8"));
  check_equal(load_state_file(path).tensors, some_state());
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_is_reported) {
  BOOST_CHECK_EXCEPTION(save_state(folder / "missing/m.safetensors", some_state()), FileError,
                        mentions("missing/m.safetensors", "No such file"));
  write_file(folder / "plain", "x");
  BOOST_CHECK_EXCEPTION(save_state(folder / "plain/m.safetensors", some_state()), FileError,
                        mentions("Not a directory"));
  std::filesystem::create_directory(folder.path() / "occupied");
  BOOST_CHECK_THROW(save_state(folder / "occupied", some_state()), FileError);
  BOOST_CHECK_THROW(save_state("/proc/m.safetensors", some_state()), FileError);
  BOOST_CHECK_THROW(save_state("", some_state()), FileError);
  BOOST_TEST(folder.size() == 2);  // no temporary file is left
}

BOOST_AUTO_TEST_CASE(a_full_disk_leaves_the_older_file_as_it_is) {
  save_state(path, some_state());
  // The limit on a file's size stands in for a full disk.
  rlimit old{};
  BOOST_REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, old.rlim_max};
  BOOST_REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    save_state(path, {{"large", Tensor::ones({10'000})}});
  } catch (const FileError& e) {
    message = e.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  BOOST_TEST(message.find("cannot be written") != std::string::npos);
  BOOST_TEST(message.find(path) != std::string::npos);
  check_equal(load_state_file(path).tensors, some_state());
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_CASE(an_atomic_file_appears_with_its_commit) {
  write_file(path, "old");
  {
    nn::AtomicFile file(path);
    file.write("new");
    BOOST_TEST(read_file(path) == "old");
    BOOST_TEST(folder.size() == 2);
  }
  BOOST_TEST(read_file(path) == "old");
  BOOST_TEST(folder.size() == 1);
  nn::AtomicFile file(path);
  nn::AtomicFile other(path);  // two at once do not disturb each other
  file.write("ne");
  other.write("other");
  file.write("w");
  file.commit();
  BOOST_TEST(read_file(path) == "new");
  other.commit();
  BOOST_TEST(read_file(path) == "other");
  BOOST_TEST(folder.size() == 1);
  // What cannot succeed in the end is refused at once.
  BOOST_CHECK_EXCEPTION(nn::AtomicFile(folder.path().string()), FileError, mentions("is a folder"));
  BOOST_CHECK_EXCEPTION(nn::AtomicFile(""), FileError, mentions("empty"));
}

BOOST_AUTO_TEST_CASE(missing_and_unreadable_files_are_reported) {
  BOOST_CHECK_EXCEPTION(load_state_file(folder / "none"), FileError, mentions("none", "No such file"));
  BOOST_CHECK_EXCEPTION(load_state_file(folder.path().string()), FileError, mentions("no regular file"));
}

BOOST_AUTO_TEST_CASE(truncated_files_are_refused) {
  save_state(path, some_state());
  const std::string whole = read_file(path);
  for (std::size_t size = 0; size < whole.size(); ++size)
    BOOST_TEST(refusal(std::string_view(whole).substr(0, size)) != "accepted", size << " bytes");
  check_refused("", "0 bytes");
  check_refused(std::string_view(whole).substr(0, whole.size() - 1), "truncated");
  check_refused(whole + "x", "1 bytes of data follow");
}

BOOST_AUTO_TEST_CASE(changed_bytes_are_refused_or_read_as_data) {
  save_state(path, {{"w", Tensor::from({1, 2, 3})}});
  const std::string whole = read_file(path);
  for_each_change(whole, [&](const std::string& changed) {
    write_file(path, changed);
    try {
      const State state = load_state_file(path).tensors;
      BOOST_TEST(state.size() <= 1U);
      if (!state.empty()) BOOST_TEST(state[0].second.size() * 4 <= 12);
    } catch (const FileError&) {
    }
  });
}

BOOST_AUTO_TEST_CASE(a_header_longer_than_the_file_is_refused) {
  for (const std::uint64_t length :
       {std::uint64_t{3}, std::uint64_t{100}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    std::string file(8, '\0');
    std::memcpy(file.data(), &length, 8);
    check_refused(file + "{}", length == 3 ? "3 bytes" : "announces");
  }
}

BOOST_AUTO_TEST_CASE(headers_that_are_no_json_objects_are_refused) {
  for (const char* header : {"",
                             " ",
                             "{",
                             "}",
                             "[]",
                             "5",
                             "-5",
                             "null",
                             "\"text\"",
                             "{}{}",
                             "{\"a\"}",
                             "{\"a\":}",
                             "{,}",
                             "{\"a\":1}",
                             "{\"a\":[]}",
                             "{\"a\":null}",
                             "{\"a\":true}",
                             "{\"a\":1.5}",
                             "{\"a\":\"b\"}",
                             "{\"\xff\":{}}",
                             "{\"a\":{}}"}) {
    BOOST_TEST(refusal(file_of(header, "")) != "accepted", header);
  }
  check_refused(file_of("{\"a\":", ""), "not valid JSON");
  check_refused(file_of("{\"a\":true}", ""), "a boolean in the wrong place, under 'a'");
}

BOOST_AUTO_TEST_CASE(deep_nesting_is_refused) {
  for (const char* open : {"[", "{\"a\":"}) {
    std::string header = R"({"w":)";
    for (int i = 0; i < 200'000; ++i) header += open;
    check_refused(file_of(header, ""), "damaged");
  }
  std::string shape = R"({"w":{"dtype":"F32","shape":)" + std::string(100'000, '[');
  check_refused(file_of(shape, ""), "a list in the wrong place");
}

BOOST_AUTO_TEST_CASE(wrong_fields_are_refused) {
  const std::string data(4, '\0');
  const auto with = [&](const std::string& fields) { return file_of(R"({"w":{)" + fields + "}}", data); };
  const std::string dtype = R"("dtype":"F32")";
  const std::string shape = R"("shape":[1])";
  const std::string offsets = R"("data_offsets":[0,4])";
  BOOST_TEST(refusal(with(dtype + "," + shape + "," + offsets)) == "accepted");
  check_refused(with(dtype + "," + shape), "needs");
  check_refused(with(dtype + "," + offsets), "needs");
  check_refused(with(shape + "," + offsets), "needs");
  check_refused(with(dtype + "," + dtype + "," + shape + "," + offsets), "given twice");
  check_refused(with(dtype + "," + shape + "," + shape + "," + offsets), "given twice");
  check_refused(with(dtype + "," + shape + "," + offsets + "," + offsets), "given twice");
  check_refused(with(dtype + "," + shape + "," + offsets + R"(,"extra":1)"), "'extra'");
  check_refused(with(R"("dtype":"F8_E4M3",)" + shape + "," + offsets), "'w': it has elements of F8_E4M3");
  check_refused(with(R"("dtype":1,)" + shape + "," + offsets), "a number");
  check_refused(with(R"("dtype":["F32"],)" + shape + "," + offsets), "a list");
  check_refused(with(dtype + R"(,"shape":1,)" + offsets), "a number");
  check_refused(with(dtype + R"(,"shape":["1"],)" + offsets), "a text");
  check_refused(with(dtype + R"(,"shape":{},)" + offsets), "an object");
  check_refused(with(dtype + "," + shape + R"(,"data_offsets":[0])"), "1 data_offsets");
  check_refused(with(dtype + "," + shape + R"(,"data_offsets":[])"), "0 data_offsets");
  check_refused(with(dtype + "," + shape + R"(,"data_offsets":[0,4,4])"), "3 data_offsets");
  check_refused(with(dtype + "," + shape + R"(,"data_offsets":[0.0,4])"), "0.0");
}

BOOST_AUTO_TEST_CASE(impossible_shapes_are_refused) {
  const std::string data(4, '\0');
  const auto with = [&](const char* shape, const char* offsets) {
    return file_of("{" + entry("w", "F32", shape, offsets) + "}", data);
  };
  check_refused(with("[-1]", "[0,4]"), "-1");
  check_refused(with("[2]", "[0,4]"), "need 8 bytes");
  check_refused(with("[0]", "[0,4]"), "need 0 bytes");
  check_refused(with("[1,1,1,1,1,1,1,1,1]", "[0,4]"), "'w': it has 9 axes");
  check_refused(with("[1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), "12 axes");
  check_refused(with("[4611686018427387905]", "[0,4]"), "impossible shape");    // times 4 wraps to 4
  check_refused(with("[4294967296,4294967296]", "[0,0]"), "impossible shape");  // wraps to 0
  check_refused(with("[18446744073709551615]", "[0,4]"), "18446744073709551615");
  check_refused(with("[18446744073709551616]", "[0,4]"), "18446744073709551616");
}

BOOST_AUTO_TEST_CASE(tensors_of_other_kinds_are_skipped_and_listed) {
  std::string data(52, '\0');
  const float two = 2;
  std::memcpy(data.data() + 3, &two, 4);
  std::memset(data.data() + 15, 255, 8);
  const std::int64_t five = 5;
  std::memcpy(data.data() + 40, &five, 8);
  write_file(
      path,
      file_of("{" + entry("tiny", "F8_E5M2", "[3]", "[0,3]") + "," +
                  entry("deep", "F32", "[1,1,1,1,1,1,1,1,1]", "[48,52]") + "," +
                  entry("a", "F32", "[1]", "[3,7]") + "," + entry("large", "U64", "[4]", "[7,39]") + "," +
                  entry("none", "F4", "[1]", "[39,40]") + "," + entry("b", "I64", "[1]", "[40,48]") + "}",
              data));
  const nn::SavedState saved = load_state_file(path);
  check_equal(saved.tensors, {{"a", Tensor::from({2})}, {"b", Tensor::from({5}, i64)}});
  check_skipped(saved, {{"tiny", "elements of F8_E5M2"},
                        {"deep", "9 axes; a tensor has at most 8"},
                        {"large", "above the largest i64"},
                        {"none", "elements of F4"}});
  // Where they lie is checked all the same; where nothing else is there, the first is named.
  check_refused(file_of("{" + entry("t", "F8_E5M2", "[3]", "[1,4]") + "}", "1234"), "'t' starts at 1");
  check_refused(file_of("{" + entry("t", "F8_E5M2", "[3]", "[3,1]") + "}", "123"), "'t' lies at [3, 1]");
  check_refused(file_of("{" + entry("u", "U64", "[1]", "[0,8]") + "}", std::string(8, '\xff')),
                "no tensor that can be read, of 1; 'u': it holds 18446744073709551615");
}

BOOST_AUTO_TEST_CASE(places_that_do_not_fill_the_data_are_refused) {
  const auto two = [&](const char* first, const char* second) {
    return file_of("{" + entry("a", "F32", "[1]", first) + "," + entry("b", "F32", "[1]", second) + "}",
                   std::string(8, '\0'));
  };
  BOOST_TEST(refusal(two("[0,4]", "[4,8]")) == "accepted");
  BOOST_TEST(refusal(two("[4,8]", "[0,4]")) == "accepted");
  check_refused(two("[0,4]", "[0,4]"), "'b' starts at 0, expected 4");
  check_refused(two("[0,4]", "[2,6]"), "'b' starts at 2");
  check_refused(two("[0,4]", "[8,12]"), "[8, 12] of 8 bytes");
  check_refused(two("[0,4]", "[5,9]"), "of 8 bytes");
  check_refused(two("[4,0]", "[4,8]"), "lies at [4, 0]");
  check_refused(two("[18446744073709551612,18446744073709551616]", "[4,8]"), "'a'");
  check_refused(two("[18446744073709551612,0]", "[4,8]"), "'a'");
  check_refused(two("[18446744073709551611,18446744073709551615]", "[4,8]"), "starts");
  check_refused(file_of("{" + entry("a", "F32", "[1]", "[4,8]") + "}", std::string(8, '\0')), "starts at 4");
  check_refused(file_of("{}", "1234"), "4 bytes of data follow");
}

BOOST_AUTO_TEST_CASE(a_shape_far_larger_than_the_file_takes_no_memory) {
  check_refused(file_of("{" + entry("w", "F64", "[1099511627776]", "[0,8796093022208]") + "}", "12345678"),
                "truncated");
}

BOOST_AUTO_TEST_CASE(repeated_names_are_refused) {
  check_refused(
      file_of("{" + entry("a", "F32", "[0]", "[0,0]") + "," + entry("a", "F32", "[0]", "[0,0]") + "}", ""),
      "'a' is given twice");
  check_refused(file_of(R"({"__metadata__":{"k":"v","k":"w"}})", ""), "'k' is given twice");
  check_refused(file_of(R"({"__metadata__":{},"__metadata__":{}})", ""), "given twice");
  check_refused(file_of(R"({"__metadata__":{"k":1}})", ""), "a number");
  check_refused(file_of(R"({"__metadata__":{"k":{}}})", ""), "an object");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serialize_test
