#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/npy.h>
#include <tapegrad/nn/io/serialize.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "state_support.h"
#include "support.h"
#include "torch_support.h"

namespace torch_file_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::load_state_file;
using nn::save_state;
using nn::State;

namespace {

struct Fixture : test::StateFile {
  Fixture() : StateFile("model.pt") {}
};

State some_state() {
  return {{"fc1.weight", Tensor::from({{1, -2}, {0.5, 1e-30}})},
          {"steps", Tensor::scalar(1e15, i64)},
          {"empty", Tensor::zeros({0, 3}, f64)},
          {"m\xc3\xa4 n/x", Tensor::from({0.1, 1.0 / 3}, f64)},
          {"", Tensor::zeros({2, 1, 3})}};
}

void check_checkpoint(const nn::SavedState& saved) {
  check_equal(saved.tensors, {{"model.0.weight", Tensor::from({{0, 1, 2}, {3, 4, 5}})},
                              {"model.0.bias", Tensor::from({0.5, -2})},
                              {"turned", Tensor::from({{0, 3}, {1, 4}, {2, 5}})},
                              {"column", Tensor::from({1, 4})}});
  const nn::Metadata metadata{{"epoch", "3"},
                              {"lr", "0.001"},
                              {"betas", "(0.9, 0.999)"},
                              {"note",
                               "gr\xc3\xb6\xc3\x9f"
                               "e"}};
  BOOST_TEST((saved.metadata == metadata));
  BOOST_TEST(saved.skipped.empty());
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(torch_file, Fixture)

BOOST_AUTO_TEST_CASE(checkpoints_of_pytorch_are_read) {
  for (const std::string& pickle : {kCheckpoint2, kCheckpoint5}) {
    check_checkpoint(load(checkpoint_file(pickle)));
    // As another program packs it: deflated, in another order, without a folder.
    const std::vector<float> w{0, 1, 2, 3, 4, 5};
    check_checkpoint(
        load(zip_of({deflated("data/1", std::string("\x00\x38\x00\xc0", 4)), stored("byteorder", "little"),
                     deflated("data/0", bytes_of_numbers(w)), deflated("data.pkl", pickle)},
                    true)));
  }
}

BOOST_AUTO_TEST_CASE(a_state_comes_back_with_names_order_and_metadata) {
  const nn::Metadata metadata{
      {"model", "784-50-10 \"relu\""}, {"", "PK\5\6"}, {"long", std::string(100'000, 'x')}};
  for (const char* name : {"a.pt", "a.pth"}) {
    save_state(folder / name, some_state(), metadata);
    const nn::SavedState saved = load_state_file(folder / name);
    check_equal(saved.tensors, some_state());
    BOOST_TEST((saved.metadata == metadata));
    const std::string first = read_file(folder / name);
    save_state(folder / name, some_state(), metadata);
    BOOST_TEST((read_file(folder / name) == first));  // no date of today
  }
  save_state(path, {});
  BOOST_TEST(load_state_file(path).tensors.empty());
  BOOST_CHECK_EXCEPTION(save_state(path, {{"\xff", Tensor::ones({2})}}), ArgumentError, mentions("UTF-8"));
}

BOOST_AUTO_TEST_CASE(storages_are_aligned_for_programs_that_map_the_file) {
  save_state(path, {{"a", Tensor::from({1.5})}, {"b", Tensor::from({2.5, 3.5})}});
  const std::string file = read_file(path);
  for (const std::string& bytes : {bytes_of_numbers<float>({1.5F}), bytes_of_numbers<float>({2.5F, 3.5F})})
    BOOST_TEST(file.find(bytes) % 64 == 0U);
}

BOOST_AUTO_TEST_CASE(the_content_tells_the_format_whatever_the_name) {
  save_state(path, some_state());
  std::filesystem::rename(path, folder / "pytorch_model.npz");
  check_equal(load_state_file(folder / "pytorch_model.npz").tensors, some_state());
  save_state(folder / "a.npz", some_state());
  std::filesystem::rename(folder / "a.npz", path);
  check_equal(load_state_file(path).tensors, some_state());
  check_refused("<html>404 Not Found</html>", "as a PyTorch file");
  check_refused("", "as a PyTorch file");
}

BOOST_AUTO_TEST_CASE(views_are_read_as_the_tensors_that_they_are) {
  const std::string storage = p_storage("FloatStorage", 6);
  const nn::SavedState saved = load(
      torch_archive(p_file(p_dict({{"whole", p_tensor(storage, 0, {2, 3}, {3, 1})},
                                   {"again", p_tensor(storage, 0, {6}, {1})},
                                   {"transposed", p_tensor(storage, 0, {3, 2}, {1, 3})},
                                   {"part", p_tensor(storage, 1, {2, 2}, {3, 1})},
                                   {"expanded", p_tensor(storage, 2, {2, 3}, {0, 0})},
                                   {"windows", p_tensor(storage, 0, {3, 2, 2}, {1, 1, 2})},
                                   {"scalar", p_tensor(storage, 5, {}, {})},
                                   {"none", p_tensor(storage, 6, {3, 0}, {7, 1})},
                                   {"ones", p_tensor(storage, 0, {1, 6, 1}, {1000, 1, 1000})},
                                   {"far", p_tensor(storage, 1, {1, 2, 1}, {INT64_MAX, 3, INT64_MAX})}})),
                    {bytes_of_numbers<float>({0, 1, 2, 3, 4, 5})}));
  check_equal(saved.tensors, {{"whole", Tensor::from({{0, 1, 2}, {3, 4, 5}})},
                              {"again", Tensor::from({0, 1, 2, 3, 4, 5})},
                              {"transposed", Tensor::from({{0, 3}, {1, 4}, {2, 5}})},
                              {"part", Tensor::from({{1, 2}, {4, 5}})},
                              {"expanded", Tensor::from({{2, 2, 2}, {2, 2, 2}})},
                              {"windows", Tensor::from({0, 2, 1, 3, 1, 3, 2, 4, 2, 4, 3, 5}, Shape{3, 2, 2})},
                              {"scalar", Tensor::scalar(5)},
                              {"none", Tensor::zeros({3, 0})},
                              {"ones", Tensor::from({0, 1, 2, 3, 4, 5}, Shape{1, 6, 1})},
                              {"far", Tensor::from({1, 4}, Shape{1, 2, 1})}});
}

// torch.save writes so what is imag() of a conj(), say, since PyTorch 2.0.
BOOST_AUTO_TEST_CASE(negative_views_have_the_other_sign) {
  const auto tensor = [](const std::string& properties, const char* kind = "FloatStorage") {
    return p_tensor(p_storage(kind, 2, kind[0] == 'F' ? "0" : "1"), 0, {2}, {1}, properties);
  };
  const std::string yes = "\x88", no = "\x89";
  const nn::SavedState saved =
      load(torch_archive(p_file(p_dict({{"plain", tensor("")},
                                        {"negative", tensor(p_dict({{"neg", yes}}))},
                                        {"not", tensor(p_dict({{"neg", no}, {"conj", no}}))},
                                        {"integers", tensor(p_dict({{"neg", yes}}), "LongStorage")},
                                        {"narrow", tensor(p_dict({{"neg", yes}}), "CharStorage")},
                                        {"other", tensor(p_dict({{"conj", yes}}))},
                                        {"number", tensor(p_dict({{"neg", p_int(1)}}))}})),
                         {bytes_of_numbers<float>({1, -2}), bytes_of_numbers<std::int64_t>({3, INT64_MIN})}));
  check_equal(saved.tensors, {{"plain", Tensor::from({1, -2})},
                              {"negative", Tensor::from({-1, 2})},
                              {"not", Tensor::from({1, -2})},
                              {"integers", Tensor::from(std::vector<std::int64_t>{-3, INT64_MIN})}});
  check_skipped(saved, {{"narrow", "the negative of elements of i8"},
                        {"other", "the property 'conj', which is not known"},
                        {"number", "the property 'neg'"}});
}

BOOST_AUTO_TEST_CASE(all_elements_are_converted_in_both_orders_of_bytes) {
  struct Case {
    const char* storage;
    std::string bytes;  // of two elements, the lowest byte first
    Tensor expected;
    std::string converted{};  // from this type
  };
  const std::vector<Case> cases{
      {"HalfStorage", std::string("\x00\x3e\x00\xfc", 4), Tensor::from({1.5, -HUGE_VAL}), "f16"},
      {"BFloat16Storage", std::string("\xc0\x3f\x80\xff", 4), Tensor::from({1.5, -HUGE_VAL}), "bf16"},
      {"FloatStorage", bytes_of_numbers<float>({1.5F, -2}), Tensor::from({1.5, -2})},
      {"DoubleStorage", bytes_of_numbers<double>({0.1, -2}), Tensor::from({0.1, -2}, f64)},
      {"CharStorage", "\x80\x7f", Tensor::from({-128, 127}, i64), "i8"},
      {"ByteStorage", "\x80\x7f", Tensor::from({128, 127}, i64), "u8"},
      {"BoolStorage", std::string("\0\1", 2), Tensor::from({0, 1}, i64), "bool"},
      {"ShortStorage", bytes_of_numbers<std::int16_t>({-2, 300}), Tensor::from({-2, 300}, i64), "i16"},
      {"IntStorage", bytes_of_numbers<std::int32_t>({-2, 70'000}), Tensor::from({-2, 70'000}, i64), "i32"},
      {"LongStorage", bytes_of_numbers<std::int64_t>({-2, 1LL << 40}), Tensor::from({-2, 0x1p40}, i64)}};
  for (const Case& c : cases)
    for (const char* order : {"little", "big", ""}) {
      std::string bytes = c.bytes;
      const std::size_t size = bytes.size() / 2;
      if (*order == 'b')
        for (const std::size_t at : {std::size_t{0}, size})
          std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                       bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
      std::vector<Member> members =
          torch_members(p_file(p_dict({{"t", p_tensor(p_storage(c.storage, 2), 0, {2}, {1})}})), {bytes});
      if (*order) members.push_back(stored("model/byteorder", order));
      const nn::SavedState saved = load(zip_of(members));
      check_equal(saved.tensors, {{"t", c.expected}});
      if (c.converted.empty())
        check_converted(saved.converted, {});
      else
        check_converted(saved.converted,
                        {fmt::format("'t' from {} to {}", c.converted, name_of(c.expected.dtype()))});
    }
  std::vector<Member> members =
      torch_members(p_file(p_dict({{"t", p_tensor(p_storage("ByteStorage", 2), 0, {2}, {1})}})), {"ab"});
  members.push_back(stored("model/byteorder", "middle"));
  check_refused(zip_of(members), "says 'middle', expected little or big");
}

// What PyTorch since 2.1 writes of types that have no class of storages.
BOOST_AUTO_TEST_CASE(untyped_storages_have_the_type_of_the_tensor) {
  const auto tensor = [](const char* dtype, std::int64_t bytes, std::int64_t size,
                         const char* module = "torch.storage") {
    const std::string storage = "(" + p_text("storage") + p_global(module, "UntypedStorage") + p_text("0") +
                                p_text("cpu") + p_int(bytes) + "tQ";
    return p_global("torch._utils", "_rebuild_tensor_v3") + "(" + storage + p_int(1) + p_tuple({size}) +
           p_tuple({1}) + "\x89" + p_global("collections", "OrderedDict") + ")R" + p_global("torch", dtype) +
           "tR";
  };
  const auto load_one = [&](const std::string& t, const std::string& bytes) {
    return load(torch_archive(
        p_file(p_dict({{"t", t}, {"w", p_tensor(p_storage("FloatStorage", 1, "1"), 0, {1}, {1})}})),
        {bytes, bytes_of_numbers<float>({7})}));
  };
  const nn::SavedState small =
      load_one(tensor("uint16", 6, 2), bytes_of_numbers<std::uint16_t>({1, 2, 65'535}));
  check_equal(small.tensors, {{"t", Tensor::from({2, 65'535}, i64)}, {"w", Tensor::from({7})}});
  check_converted(small.converted, {"'t' from u16 to i64"});
  check_equal(
      load_one(tensor("uint32", 8, 1, "torch"), bytes_of_numbers<std::uint32_t>({1, 4'000'000'000})).tensors,
      {{"t", Tensor::from({4e9}, i64)}, {"w", Tensor::from({7})}});
  const nn::SavedState large =
      load_one(tensor("uint64", 16, 1), bytes_of_numbers<std::uint64_t>({1, std::uint64_t{1} << 63}));
  check_equal(large.tensors, {{"w", Tensor::from({7})}});
  check_converted(large.converted, {});
  check_skipped(large, {{"t", "9223372036854775808, which is above the largest i64"}});
  check_skipped(load_one(tensor("float8_e4m3fn", 6, 2), "123456"), {{"t", "torch.float8_e4m3fn"}});
  check_refused(torch_archive(p_file(p_dict({{"t", tensor("uint16", 7, 2)}})), {"1234567"}),
                "ends within an element");
}

BOOST_AUTO_TEST_CASE(what_is_no_tensor_is_metadata_or_skipped) {
  const std::string tensor = p_tensor(p_storage("FloatStorage", 1), 0, {}, {});
  const std::string parameter =
      p_global("torch._utils", "_rebuild_parameter_with_state") + "(" + tensor + "\x88)}tR";
  const std::string subclass = p_global("torch._tensor", "_rebuild_from_type_v2") + "(" +
                               p_global("torch._utils", "_rebuild_parameter") +
                               p_global("torch.nn.parameter", "Parameter") + "(" + tensor + "\x88)t}tR";
  const std::string axes = p_tensor(p_storage("FloatStorage", 1), 0, std::vector<std::int64_t>(9, 1),
                                    std::vector<std::int64_t>(9, 1));
  const nn::SavedState saved = load(torch_archive(
      p_file(
          p_dict({{"list", "](" + tensor + p_int(-5) + "](" + tensor + "Nee"},
                  {"p", parameter},
                  {"s", subclass},
                  {"none", "N"},
                  {"yes", "\x88"},
                  {"no", "\x89"},
                  {"small", std::string("\x8a\x00", 2)},
                  {"minus", std::string("\x8a\x02\x00\xff", 4)},
                  {"byte", "K\xff"},
                  {"short", "M\xff\xff"},
                  {"int", "J\xff\xff\xff\xff"},
                  {"one", std::string("G\x3f\xf0\0\0\0\0\0\0", 9)},
                  {"inf", std::string("G\xff\xf0\0\0\0\0\0\0", 9)},
                  {"texts", "](" + p_text("a") + p_text("b") + "e"},
                  {"single", "K\7\x85"},
                  {"nothing", "]"},
                  {"size", p_global("torch", "Size") + "((K\2K\3ttR"},
                  {"device", p_global("torch", "device") + "(" + p_text("cuda") + "K\1tR"},
                  {"dtype", p_global("torch", "bfloat16")},
                  {"python2", "U\2hi"},
                  {"huge",
                   "\x8a\x09"
                   "123456789"},
                  {"bytes", "C\3abc"},
                  {"bytes2", p_global("_codecs", "encode") + "(" + p_text("abc") + p_text("latin1") + "tR"},
                  {"no bytes", p_global("__builtin__", "bytes") + ")R"},
                  {"bad", p_text("\xff")},
                  {"class", p_global("torch", "FloatStorage")},
                  {"bare", p_storage("FloatStorage", 1)},
                  {"keys", "})" + p_int(1) + "s"},
                  {"complex", p_tensor(p_storage("ComplexFloatStorage", 1, "1"), 0, {1}, {1})},
                  {"axes", axes}})),
      {bytes_of_numbers<float>({7})}));
  check_equal(saved.tensors, {{"list.0", Tensor::scalar(7)},
                              {"list.2.0", Tensor::scalar(7)},
                              {"p", Tensor::scalar(7)},
                              {"s", Tensor::scalar(7)}});
  const nn::Metadata metadata{{"list.1", "-5"},        {"list.2.1", "None"}, {"none", "None"},
                              {"yes", "True"},         {"no", "False"},      {"small", "0"},
                              {"minus", "-256"},       {"byte", "255"},      {"short", "65535"},
                              {"int", "-1"},           {"one", "1.0"},       {"inf", "-inf"},
                              {"texts", "['a', 'b']"}, {"single", "(7,)"},   {"nothing", "[]"},
                              {"size", "(2, 3)"},      {"device", "cuda"},   {"dtype", "torch.bfloat16"},
                              {"python2", "hi"}};
  BOOST_TEST((saved.metadata == metadata));
  check_skipped(saved, {{"huge", "an integer of 9 bytes"},
                        {"bytes", "a text of 3 bytes"},
                        {"bytes2", "a text of bytes"},
                        {"no bytes", "a text of bytes"},
                        {"bad", "not UTF-8"},
                        {"class", "a class or function"},
                        {"bare", "a storage"},
                        {"keys", "one of its keys"},
                        {"complex", "torch.ComplexFloatStorage"},
                        {"axes", "9 axes; a tensor has at most 8"}});
  check_equal(load(torch_archive(p_file(tensor), {bytes_of_numbers<float>({7})})).tensors,
              {{"tensor", Tensor::scalar(7)}});
  check_refused(torch_archive(p_file(p_dict({{"b", "C\3abc"}})), {}),
                "no tensor that can be read; 'b': it is a text of 3");
  check_refused(torch_archive(p_file("K\1"), {}), "no tensor and no dictionary");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace torch_file_test
