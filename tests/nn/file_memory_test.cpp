// What files take of memory that are made to take much.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/io/onnx.h>
#include <tapegrad/nn/io/serialize.h>

#include <boost/test/unit_test.hpp>

#include "memory_support.h"
#include "state_support.h"
#include "torch_support.h"

namespace file_memory_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(file_memory)

#if TAPEGRAD_COUNT_ALLOCATIONS

namespace {

constexpr std::size_t kSize = 8'000'000;
constexpr std::size_t kSizeOfMany = 4'000'000;  // each part takes its time

/// Texts of numbered parts that together have about so many bytes.
std::string many(const std::function<std::string(int)>& part) {
  std::string text;
  for (int i = 0; text.size() < kSizeOfMany; ++i) text += part(i);
  return text;
}
std::string many(const std::string& part) {
  return many([&](int) { return part; });
}

/// Three bytes that are a different number each time, or five.
std::string p_number(int i) {
  return i < 65'536 ? std::string{'M', static_cast<char>(i & 255), static_cast<char>(i >> 8)}
                    : std::string{'J', static_cast<char>(i & 255), static_cast<char>(i >> 8 & 255),
                                  static_cast<char>(i >> 16 & 255), '\0'};
}

void check(const StateFile& file, const char* what, const std::string& bytes, double most = 16) {
  write_file(file.path, bytes);
  const double times = peak_of([&] { nn::load_state_file(file.path); }) / static_cast<double>(bytes.size());
  BOOST_TEST_MESSAGE(what << ": " << times << " times the size");
  BOOST_TEST(times <= most, what << " takes " << times << " times the size of the file");
}

}  // namespace

BOOST_AUTO_TEST_CASE(pickles) {
  const StateFile file("model.pt");
  const auto check_pickle = [&](const char* what, const std::string& pickle) {
    check(file, what, torch_archive(p_file(pickle), {bytes_of_numbers<float>({1, 2, 3, 4, 5, 6})}));
  };
  const std::string tensor = p_tensor(p_storage("FloatStorage", 6), 0, {6}, {1});
  check_pickle("a list of None", "](" + many("N") + "e");
  check_pickle("a tuple of None", "(" + many("N") + "t");
  check_pickle("a list of None, one by one", "]" + many("Na"));
  check_pickle("None on the stack", many("N"));
  check_pickle("marks", many("("));
  check_pickle("a list of numbers", "](" + many("K\1") + "e");
  check_pickle("a list of reals", "](" + many(std::string("G\x3f\xf0\0\0\0\0\0\0", 9)) + "e");
  check_pickle("a list of large integers", "](" + many("\x8a\x06\1\2\3\4\5\6") + "e");
  check_pickle("lists", "](" + many("]") + "e");
  check_pickle("lists of one", "](" + many("]Na") + "e");
  check_pickle("lists in lists", many("]") + many("a"));
  check_pickle("dictionaries", "](" + many("}") + "e");
  check_pickle("empty tuples", "](" + many(")") + "e");
  check_pickle("tuples in tuples", "N" + many("\x85"));
  check_pickle("ordered dictionaries", p_global("collections", "OrderedDict") + "q\1" + many("h\1)R"));
  check_pickle("persistent identities", many("NQ"));
  check_pickle("values that are numbered", "N" + many("\x94"));
  check_pickle("a value of a high number", "N" + std::string("r\0\x09\x3d\0", 5) + many("N"));
  check_pickle("a large tuple called again and again",
               "((" + std::string(1000, 'N') + "tq\1" + p_global("torch", "Size") + "q\2" + many("h\2h\1R"));
  check_pickle("numbers by number", "}(" + many([](int i) { return p_number(i) + "N"; }) + "u");
  check_pickle("texts by number",
               "}(" + many([](int i) { return p_number(i) + p_text("sixteen letters."); }) + "u");
  check_pickle("bytes by number", "}(" + many([](int i) { return p_number(i) + "C\1x"; }) + "u");
  check_pickle("one tensor by many numbers",
               tensor + "q\1}(" + many([](int i) { return p_number(i) + "h\1"; }) + "ue");
  check_pickle("one tensor by many numbers, and nothing else",
               "}(" + p_text("w") + tensor + "q\1" + many([](int i) { return p_number(i) + "h\1"; }) + "u");
  check_pickle("tensors of their own", "}(" + many([&](int i) { return p_number(i) + tensor; }) + "u");
  check_pickle("dictionaries by number", "}(" + many([](int i) { return p_number(i) + "}K\1Ns"; }) + "u");
  check_pickle("odd keys", "}(" + many(")N") + "u");
  check_pickle("a text", "}" + p_text("text") + p_text(std::string(kSize, 't')) + "s");
}

// As torch.save writes them: what is said of each is as short as it can be.
BOOST_AUTO_TEST_CASE(many_small_tensors_of_pytorch_are_no_hostile_file) {
  const StateFile file("model.pt");
  constexpr int kCount = 20'000;
  const std::string names = "(" + p_text("storage") + "q\1" + p_global("torch", "FloatStorage") + "q\2" +
                            p_global("torch._utils", "_rebuild_tensor_v2") + "q\3" + p_text("cpu") + "q\4" +
                            p_global("collections", "OrderedDict") + "q\5";
  std::string items;
  std::vector<std::string> storages;
  for (int i = 0; i < kCount; ++i) {
    items += p_text("t" + std::to_string(i)) + "h\3((h\1h\2" + p_text(std::to_string(i)) +
             std::string("h\4K\1tQK\0))\x89h\5)RtR", 17);
    storages.push_back(bytes_of_numbers<float>({1}));
  }
  const nn::SavedState saved =
      file.load(torch_archive(p_file("](" + names + "t}(" + items + "ue"), storages));
  BOOST_TEST(saved.tensors.size() == static_cast<std::size_t>(kCount));
}

// An integer takes eight bytes, also of a storage of bytes, which is there while a view of it is copied.
BOOST_AUTO_TEST_CASE(small_elements_of_pytorch) {
  const StateFile file("model.pt");
  const auto size = static_cast<std::int64_t>(kSize);
  const std::string storage = p_storage("ByteStorage", size);
  const std::vector<std::string> bytes{std::string(kSize, '\1')};
  check(file, "bytes", torch_archive(p_file(p_dict({{"a", p_tensor(storage, 0, {size}, {1})}})), bytes));
  std::vector<std::pair<std::string, std::string>> views;
  for (const char* name : {"a", "b", "c", "d"})
    views.emplace_back(name, p_tensor(storage, 1, {size - 1}, {1}));
  check(file, "views of bytes", torch_archive(p_file(p_dict(views)), bytes), 17);
}

namespace {

/// A field of a protobuf message.
std::string p_field(unsigned number, const std::string& content) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  for (std::size_t n = content.size();; n >>= 7) {
    out += static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
    if (n <= 0x7f) break;
  }
  return out + content;
}
std::string onnx_of(const std::string& graph, const std::string& more = "") {
  return p_field(8, std::string("\x10\x11", 2)) + more + p_field(7, graph);
}
std::string name_of_number(int i) {
  std::string name;
  for (int k = 0; k < 4; ++k, i /= 64) name += static_cast<char>('0' + i % 64);
  return name;
}

}  // namespace

BOOST_AUTO_TEST_CASE(onnx_models) {
  const TemporaryFolder folder;
  const std::string path = folder / "model.onnx";
  const auto check_model = [&](const char* what, const std::string& bytes) {
    write_file(path, bytes);
    const double times = peak_of([&] { nn::load_onnx(path); }) / static_cast<double>(bytes.size());
    BOOST_TEST_MESSAGE(what << ": " << times << " times the size");
    BOOST_TEST(times <= 16, what << " takes " << times << " times the size of the file");
  };
  const std::string y = p_field(2, "y"), abs = p_field(4, "Abs");
  check_model("attributes", onnx_of(p_field(1, y + abs + many(p_field(5, "")))));
  check_model("inputs of a node", onnx_of(p_field(1, y + abs + many(p_field(1, "")))));
  check_model("outputs of a node", onnx_of(p_field(1, abs + many(p_field(2, "")))));
  check_model("integers of an attribute", onnx_of(p_field(1, y + abs + p_field(5, p_field(8, many("\1"))))));
  check_model("integers of an attribute, two by two",
              onnx_of(p_field(1, y + abs + p_field(5, many(p_field(8, "\1\1"))))));
  check_model("nodes", onnx_of(many(p_field(1, y))));
  check_model("inputs", onnx_of(many(p_field(11, ""))));
  check_model("outputs", onnx_of(many(p_field(12, ""))));
  check_model(
      "sizes of an input",
      onnx_of(p_field(11, p_field(1, "x") + p_field(2, p_field(1, p_field(2, many(p_field(1, ""))))))));
  check_model("sizes of a tensor", onnx_of(p_field(5, p_field(1, many("\1")))));
  check_model(
      "metadata",
      onnx_of("", many([](int i) { return p_field(14, p_field(1, name_of_number(i)) + p_field(2, "")); })));
  check_model("scalars", onnx_of(many([](int i) {
                return p_field(5,
                               std::string("\x10\1", 2) + p_field(9, "1234") + p_field(8, name_of_number(i)));
              })));
  // Complete ones, which are computed.
  const std::string input = p_field(11, p_field(1, "x"));
  const auto chain = [&](const std::string& more) {
    return onnx_of(input + many([&](int i) {
                     return p_field(1, p_field(1, i == 0 ? "x" : name_of_number(i - 1)) +
                                           p_field(2, name_of_number(i)) + p_field(4, "Abs") + more);
                   }) +
                   p_field(12, p_field(1, "x")));
  };
  check_model("a chain of nodes", chain(""));
  check_model("a chain of nodes with names", chain(p_field(3, std::string(60, 'n'))));
  BOOST_CHECK_NO_THROW(nn::load_onnx(path));
  const auto vector_of = [](const std::string& type, const std::string& elements) {
    std::string size(1, '\x08');
    for (std::size_t n = kSize;; n >>= 7) {
      size += static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
      if (n <= 0x7f) break;
    }
    return p_field(5, size + type + p_field(8, "w") + elements);
  };
  const std::string as_is = input + p_field(12, p_field(1, "x"));
  check_model("integers of a byte each",
              onnx_of(as_is + vector_of(std::string("\x10\7", 2), p_field(7, std::string(kSize, '\1')))));
  check_model("bytes",
              onnx_of(as_is + vector_of(std::string("\x10\2", 2), p_field(9, std::string(kSize, '\1')))));
  nn::load_onnx(path);
}

BOOST_AUTO_TEST_CASE(safetensors_headers) {
  const StateFile file("model.safetensors");
  const auto check_header = [&](const char* what, const std::string& header) {
    check(file, what, little(header.size(), 8) + header);
  };
  check_header("empty tensors", "{" + many([](int i) {
                                  return "\"" + std::to_string(i) +
                                         R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)";
                                }) + R"("w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})");
  check_header("tensors of an unknown type", "{" + many([](int i) {
                                               return "\"" + std::to_string(i) +
                                                      R"(":{"dtype":"","shape":[],"data_offsets":[0,0]},)";
                                             }) + R"("w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})");
  check_header("metadata", R"({"__metadata__":{)" + many([](int i) {
                             return "\"" + std::to_string(i) + R"(":"",)";
                           }) + R"("w":""}})");
  check_header("sizes", R"({"w":{"dtype":"F32","data_offsets":[0,0],"shape":[)" + many("0,") + "0]}}");
  check_header("lists in lists", R"({"w":)" + many("["));
  check_header("a long name",
               "{\"" + std::string(kSize, 'w') + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})");
}

// Each array has a head of 128 bytes, and its name twice.
BOOST_AUTO_TEST_CASE(archives_of_numpy) {
  const StateFile file("arrays.npz");
  std::vector<Member> members;
  for (int i = 0; i < 50'000; ++i)
    members.push_back(stored(std::to_string(i) + ".npy", array_file(dictionary("|u1", "()"), "x")));
  check(file, "scalars", zip_of(members));
  for (Member& m : members) m.name.resize(m.name.size() - 4);
  for (Member& m : members) m = stored(m.name, "");
  members.push_back(stored("w.npy", array_file(dictionary("|u1", "()"), "x")));
  check(file, "empty members", zip_of(members));
  const std::string bytes(kSize, '\1');
  check(file, "bytes", zip_of({stored("w.npy", array_file(dictionary("|u1", "(8000000,)"), bytes))}));
}

#endif

BOOST_AUTO_TEST_SUITE_END()

}  // namespace file_memory_test
