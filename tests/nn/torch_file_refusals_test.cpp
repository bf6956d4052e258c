#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/serialize.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "state_support.h"
#include "support.h"
#include "torch_support.h"

namespace torch_file_refusals_test {

// Files that are damaged, hostile or something else than a state dict.

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

struct Fixture : test::StateFile {
  Fixture() : StateFile("model.pt") {}

  /// Of a pickle whose archive is whole.
  void check_pickle_refused(const std::string& pickle, std::string_view part) const {
    check_refused(torch_archive(pickle, {bytes_of_numbers<float>({1, 2, 3, 4, 5, 6})}), part);
  }
  void check_tensor_refused(const std::string& tensor, std::string_view part) const {
    check_pickle_refused(p_file(p_dict({{"the.name", tensor}})), part);
    check_pickle_refused(p_file(p_dict({{"the.name", tensor}})), "the.name");
  }
};

const std::string kStorage = p_storage("FloatStorage", 6);
const std::string kTensor = p_tensor(kStorage, 0, {6}, {1});

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(torch_file_refusals, Fixture)

BOOST_AUTO_TEST_CASE(truncated_and_changed_archives_are_refused) {
  const std::string whole = checkpoint_file(kCheckpoint2);
  const nn::SavedState expected = load(whole);
  for (std::size_t size = 0; size < whole.size(); ++size)
    BOOST_TEST(refusal(std::string_view(whole).substr(0, size)) != "accepted", size << " bytes");
  for_each_change(whole, [&](const std::string& changed) {
    write_file(path, changed);
    try {
      // What is not needed may change: dates, attributes, the version.
      const nn::SavedState saved = nn::load_state_file(path);
      check_equal(saved.tensors, expected.tensors);
      BOOST_TEST((saved.metadata == expected.metadata));
    } catch (const FileError&) {
    }
  });
}

// Behind a checksum that is right.
BOOST_AUTO_TEST_CASE(truncated_and_changed_pickles_are_refused_or_mean_something_else) {
  for (const std::string& pickle : {kCheckpoint2, kCheckpoint5}) {
    for (std::size_t size = 0; size < pickle.size(); ++size)
      BOOST_TEST(refusal(checkpoint_file(pickle.substr(0, size))) != "accepted", size << " bytes");
    int accepted = 0;
    for (std::size_t at = 0; at < pickle.size(); ++at)
      for (int bit = 1; bit < 256; bit *= 2) {
        std::string changed = pickle;
        changed[at] = static_cast<char>(changed[at] ^ bit);
        accepted += refusal(checkpoint_file(changed)) == "accepted";
      }
    BOOST_TEST(accepted > 0);
    BOOST_TEST(static_cast<std::size_t>(accepted) < pickle.size() * 4);
  }
}

BOOST_AUTO_TEST_CASE(classes_and_functions_that_tensors_do_not_need_are_named) {
  const auto check = [&](const std::string& pickle, std::string_view name) {
    check_pickle_refused(pickle,
                         fmt::format("'{}', which a state dict does not need, and no code of a file", name));
  };
  check(p_file(p_global("posix", "system") + "(" + p_text("echo") + "tR"), "posix.system");
  check(p_file(p_dict({{"w", kTensor}, {"f", p_global("builtins", "eval") + "(" + p_text("1") + "tR"}})),
        "builtins.eval");
  check(p_file(p_global("__main__", "Net") + ")\x81}b"), "__main__.Net");
  check("\x80\x04\x8c\x05posix\x8c\x06system\x93.", "posix.system");
  check(p_file(p_global("torch", "load")), "torch.load");
  check(p_file(p_global("torch.FloatStorage", "x")), "torch.FloatStorage.x");
  check(p_file(p_global("collections", "OrderedDict.fromkeys")), "collections.OrderedDict.fromkeys");
}

BOOST_AUTO_TEST_CASE(known_names_are_refused_in_other_places) {
  check_pickle_refused(p_file(p_global("torch", "FloatStorage") + ")R"), "made in no way that is known");
  check_pickle_refused(p_file(p_global("torch", "FloatStorage") + "(K\1tR"), "a class that is called");
  check_pickle_refused(p_file(p_global("collections", "OrderedDict") + "(K\1tR"), "made of arguments");
  check_pickle_refused(p_file("K\1)R"), "called that is no class");
  check_pickle_refused(p_file(p_global("torch", "Size") + "K\1R"), "called that is no class");
  check_pickle_refused(p_file("]}b"), "attributes are set of what is no dictionary");
  check_pickle_refused(p_file("}K\1K\2e"), "a mark is missing");
  check_pickle_refused(p_file("}K\1a"), "no list");
  check_pickle_refused(p_file("]K\1K\2s"), "no dictionary");
  check_pickle_refused(p_file("}(K\1u"), "a key has no value");
  check_pickle_refused(p_file("K\1\x86"), "a value is missing");
  check_pickle_refused(p_file("K\1(\x85t"), "a value is missing");
  check_pickle_refused(p_file("K\1K\2"), "values are left");
  check_pickle_refused(p_file("(K\1"), "values are left");
  check_pickle_refused(p_file("}") + "more", "4 bytes follow its end");
  check_pickle_refused(p_file("h\5"), "value 5 is not there");
  check_pickle_refused(p_file("}r\xff\xff\xff\xff"), "numbers a value 4294967295");
  check_pickle_refused(p_file("cos\nsystem"), "ends early");
  check_pickle_refused("\x80\x01}.", "protocol 1; 2 to 5");
  check_pickle_refused("(dp0\n.", "does not start with a protocol");
  for (const char* opcode : {"0", "1", "2", "I", "i", "o", "P", "S", "\x82", "\x8f", "\x92", "\x96", "\x97"})
    check_pickle_refused(p_file(opcode), "is none that a state dict needs");
}

BOOST_AUTO_TEST_CASE(tensors_that_cannot_be_are_named) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  check_tensor_refused(p_tensor(kStorage, 0, {7}, {1}), "reaches beyond its storage of 6 elements");
  check_tensor_refused(p_tensor(kStorage, 1, {6}, {1}), "reaches beyond");
  check_tensor_refused(p_tensor(kStorage, 0, {2, 2}, {5, 1}), "reaches beyond");
  check_tensor_refused(p_tensor(kStorage, 7, {}, {}), "reaches beyond");
  check_tensor_refused(p_tensor(kStorage, 7, {0}, {1}), "reaches beyond");
  check_tensor_refused(p_tensor(kStorage, kMost, {2}, {kMost}), "reaches beyond");
  check_tensor_refused(p_tensor(kStorage, 0, {3, 3}, {kMost, kMost}), "reaches beyond");
  check_tensor_refused(p_tensor(kStorage, 0, {kMost, kMost}, {0, 0}), "impossible shape");
  check_tensor_refused(p_tensor(kStorage, -1, {1}, {1}), "its offset is no count");
  check_tensor_refused(p_tensor(kStorage, 0, {-1}, {1}), "its sizes is no count");
  check_tensor_refused(p_tensor(kStorage, 5, {2}, {-1}), "its strides is no count");
  check_tensor_refused(p_tensor(kStorage, 0, {2}, {}), "1 sizes and 0 strides");
  check_tensor_refused(p_tensor(kStorage, 0, std::vector<std::int64_t>(65, 1), {}), "65 sizes");
  check_tensor_refused(p_tensor("K\1", 0, {1}, {1}), "in no storage");
  check_tensor_refused(p_tensor("K\1Q", 0, {1}, {1}), "its storage is named in no way");
  check_tensor_refused(p_tensor(p_storage("Size", 6), 0, {1}, {1}), "of no class that is known");
  check_tensor_refused(p_tensor(p_storage("FloatStorage", -6), 0, {1}, {1}),
                       "its storage's size is no count");
  // What the archive has is something else.
  check_tensor_refused(p_tensor(p_storage("FloatStorage", 6, "1"), 0, {6}, {1}),
                       "its storage '1' is no member");
  check_tensor_refused(p_tensor(p_storage("FloatStorage", 5), 0, {5}, {1}), "5 elements of 4 bytes");
  check_tensor_refused(p_tensor(p_storage("DoubleStorage", 6), 0, {6}, {1}), "6 elements of 8 bytes");
  check_tensor_refused(p_tensor(p_storage("FloatStorage", 1LL << 50), 0, {1LL << 50}, {1}),
                       "1125899906842624 elements of 4 bytes");
  check_pickle_refused(
      p_file(p_dict({{"a", kTensor}, {"b", p_tensor(p_storage("FloatStorage", 8), 0, {8}, {1})}})),
      "'b': its storage has 8 elements, and 6 for 'a'");
  check_pickle_refused(p_file(p_dict({{"a", kTensor}, {"a", kTensor}})), "'a' is given twice");
  check_pickle_refused(p_file(p_dict({{"a.b", kTensor}, {"a", p_dict({{"b", kTensor}})}})),
                       "'a.b' is given twice");
  check_pickle_refused(p_file(p_dict({{"\xff", kTensor}})), "not UTF-8");
  std::vector<Member> members =
      torch_members(p_file(p_dict({{"w", kTensor}})), {bytes_of_numbers<float>({1, 2, 3, 4, 5, 6})});
  members[1].crc ^= 1;
  check_refused(zip_of(members), "'w': its data is corrupt: the checksum");
  members[1].crc ^= 1;
  members.push_back(members[1]);
  check_refused(zip_of(members), "two members 'model/data/0'");
}

BOOST_AUTO_TEST_CASE(other_files_of_pytorch_are_refused_with_advice) {
  check_refused(
      std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e\x80\x02M\xe9\x03.", 21),
      "before 1.6, which is no archive; save it again: in Python, torch.save(torch.load(path), other_path)");
  std::vector<Member> members = torch_members(p_file("}"), {});
  members.push_back(stored("model/constants.pkl", p_file(")")));
  check_refused(zip_of(members), "TorchScript program; save its tensors alone");
}

BOOST_AUTO_TEST_CASE(archives_that_are_made_to_fill_memory_are_refused) {
  const auto file = [](std::int64_t bytes, int copies) {
    const std::string storage = p_storage("ByteStorage", bytes);
    std::vector<std::pair<std::string, std::string>> items{{"w", p_tensor(storage, 0, {bytes}, {1})}};
    for (int i = 1; i < copies; ++i)
      items.emplace_back("v" + std::to_string(i), p_tensor(storage, 0, {bytes / 2}, {2}));
    return zip_of({stored("m/data.pkl", p_file(p_dict(items))),
                   deflated("m/data/0", std::string(static_cast<std::size_t>(bytes), '\0'))});
  };
  check_refused(file(40'000'000, 1), "'w': its tensors would take more memory than 256 MiB");
  check_refused(file(20'000'000, 4), "'v2': its tensors would take");  // copies of views
  write_file(path, file(20'000'000, 1));
  BOOST_TEST(nn::load_state_file(path).tensors[0].second.size() == 20'000'000);
}

BOOST_AUTO_TEST_CASE(small_files_do_not_take_much_memory_or_time) {
  // A pickle of many bytes, packed into few, and one that claims to be.
  const Member packed = deflated("m/data.pkl", p_file("](" + std::string(10'000'000, 'N') + "e"));
  check_refused(zip_of({packed}), "'m/data.pkl' claims 10000006 bytes");
  Member claimed = packed;
  claimed.size = claimed.packed_size = std::uint64_t{1} << 40;
  check_refused(zip_of({claimed}, true), "as a PyTorch file");
  // A view of one element that repeats it a trillion times, and many views that repeat all.
  check_tensor_refused(p_tensor(kStorage, 0, {1 << 20, 1 << 20}, {0, 0}),
                       "save copies: in Python, tensor.clone()");
  std::vector<std::pair<std::string, std::string>> views;
  for (int i = 0; i < 10; ++i)
    views.emplace_back(fmt::format("v{}", i), p_tensor(p_storage("FloatStorage", 100'000), 1, {99'999}, {1}));
  const std::string floats = bytes_of_numbers(std::vector<float>(100'000));
  check_refused(torch_archive(p_file(p_dict(views)), {floats}), "'v4': it and others share elements");
  views.resize(4);
  BOOST_TEST(refusal(torch_archive(p_file(p_dict(views)), {floats})) == "accepted");
  // Empty containers of one byte each.
  check_pickle_refused(p_file("](" + std::string(1'000'000, ']') + "e"), "makes more values");
  check_pickle_refused(p_file("](" + std::string(1'000'000, ')') + "e"), "makes more values");
  // Lists in lists, dictionaries in dictionaries, and what holds itself.
  const int deep = 10'000;
  check_pickle_refused(p_file(repeated("]q\1", deep) + std::string(deep - 1, 'a')), "more than 64 deep");
  check_pickle_refused(p_file(repeated("}" + p_text("k"), deep) + "N" + std::string(deep, 's')),
                       "more than 64 deep");
  check_pickle_refused(p_file("]q\1h\1a"), "one that holds itself");
  check_pickle_refused(p_file("}q\1" + p_text("k") + "h\1s"), "one that holds itself");
  check_pickle_refused(p_file(repeated(p_global("torch._utils", "_rebuild_parameter"), 1000) + "(" + kTensor +
                              "\x88)tR" + repeated("\x88)\x87R", 999)),
                       "made in no way that is known");
  // Each list holds the one before it twice.
  std::string doubling = "]" + kTensor + "aq\1";
  for (int i = 0; i < 50; ++i) doubling += "](h\1h\1eq\1";
  check_pickle_refused(p_file(doubling), "values are left");
  doubling = kTensor + "\x85q\1";
  for (int i = 0; i < 50; ++i) doubling += "h\1\x86q\1";
  check_pickle_refused(p_file(doubling), "than a state dict ");
  // Names and texts that are long, many times.
  std::string names = "}(" + p_text(std::string(100'000, 'n')) + "}(";
  for (int i = 0; i < 10'000; ++i) names += p_int(i) + "N";
  check_pickle_refused(p_file(names + "uu"), "than a state dict ");
  std::string texts = "](" + p_text(std::string(100'000, 't')) + "q\1";
  for (int i = 0; i < 10'000; ++i) texts += "h\1";
  check_pickle_refused(p_file(texts + "e"), "than a state dict ");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace torch_file_refusals_test
