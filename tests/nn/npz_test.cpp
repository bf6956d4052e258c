#include <csignal>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/npy.h>
#include <tapegrad/nn/io/serialize.h>

#include <fmt/format.h>
#include <sys/resource.h>
#include <boost/test/unit_test.hpp>

#include "npy_support.h"
#include "state_support.h"
#include "support.h"
#include "zip_support.h"

namespace npz_test {

using namespace tapegrad;
using nn::load_state_file;
using nn::save_state;
using nn::State;
using test::array_file;
using test::check_converted;
using test::check_equal;
using test::check_skipped;
using test::deflated;
using test::dictionary;
using test::for_each_change;
using test::little;
using test::Member;
using test::mentions;
using test::read_file;
using test::stored;
using test::write_file;
using test::zip_of;

namespace {

std::string floats(const std::vector<float>& values) {
  return array_file(dictionary("<f4", fmt::format("({},)", values.size())),
                    {reinterpret_cast<const char*>(values.data()), values.size() * 4});
}

State some_state() {
  return {{"fc1.weight", Tensor::from({{1, -2}, {0.5, 1e-30}})},
          {"steps", Tensor::scalar(1e15, i64)},
          {"empty", Tensor::zeros({0, 3}, f64)},
          {"m\xc3\xa4 n/x", Tensor::from({0.1, 1.0 / 3}, f64)}};
}

struct Fixture : test::StateFile {
  Fixture() : StateFile("model.npz") {}
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(npz, Fixture)

BOOST_AUTO_TEST_CASE(a_state_comes_back_with_names_order_and_metadata) {
  const nn::Metadata metadata{{"model", "784-50-10 \"relu\""}, {"", "PK\5\6"}};
  save_state(path, some_state(), metadata);
  const nn::SavedState saved = load_state_file(path);
  check_equal(saved.tensors, some_state());
  BOOST_TEST((saved.metadata == metadata));
  BOOST_TEST(folder.size() == 1);
  const std::string first = read_file(path);
  save_state(path, some_state(), metadata);
  BOOST_TEST((read_file(path) == first));  // no date of today
  save_state(path, {});
  BOOST_TEST(load_state_file(path).tensors.empty());
  save_state(path, {}, metadata);
  BOOST_TEST((load_state_file(path).metadata == metadata));
}

BOOST_AUTO_TEST_CASE(the_content_tells_the_format_whatever_the_name) {
  save_state(path, some_state(), {{"k", "v"}});
  std::filesystem::rename(path, folder / "model.safetensors");
  check_equal(load_state_file(folder / "model.safetensors").tensors, some_state());
  save_state(folder / "other.safetensors", some_state());
  std::filesystem::rename(folder / "other.safetensors", path);
  check_equal(load_state_file(path).tensors, some_state());
  nn::save_npy(folder / "a.npy", Tensor::ones({2}));
  check_equal(load_state_file(folder / "a.npy").tensors, {{"tensor", Tensor::ones({2})}});
  std::filesystem::rename(folder / "a.npy", folder / "a.pt");
  check_equal(load_state_file(folder / "a.pt").tensors, {{"tensor", Tensor::ones({2})}});
  write_file(folder / "c.npy", "no array");
  BOOST_CHECK_EXCEPTION(load_state_file(folder / "c.npy"), FileError, mentions("c.npy", "no .npy file"));
  BOOST_CHECK_EXCEPTION(save_state(folder / "b.npy", some_state()), ArgumentError,
                        mentions("b.npy", "save_npy"));
  BOOST_CHECK_EXCEPTION(nn::load_npy(path), FileError, mentions("NUMPY"));
}

BOOST_AUTO_TEST_CASE(members_are_the_files_that_save_npy_writes) {
  save_state(path, {{"w", Tensor::from({1, 2, 3})}});
  nn::save_npy(folder / "w.npy", Tensor::from({1, 2, 3}));
  const std::string zip = read_file(path);
  BOOST_TEST(zip.substr(0, 4) == "PK\3\4");
  BOOST_TEST(zip.find("w.npy" + read_file(folder / "w.npy")) == 30U);
}

BOOST_AUTO_TEST_CASE(stored_deflated_and_zip64_members_are_read) {
  const std::string a = floats({1, 2, 3});
  const std::string b =
      array_file(dictionary(">i4", "(2, 2)", "True"), std::string("\0\0\0\1\0\0\0\3\0\0\0\2\0\0\0\4", 16));
  for (const bool zip64 : {false, true}) {
    const nn::SavedState saved = load(zip_of({stored("a.npy", a), deflated("b.npy", b)}, zip64));
    check_equal(saved.tensors, {{"a", Tensor::from({1, 2, 3})}, {"b", Tensor::from({{1, 2}, {3, 4}}, i64)}});
    BOOST_TEST(saved.metadata.empty());
  }
  BOOST_TEST(load(zip_of({stored("a.npy", a)}, false, "made by hand")).metadata.empty());
  const std::vector<float> zeros(1'000'000);
  const State state = load(zip_of({deflated("z.npy", floats(zeros))})).tensors;  // near deflate's best ratio
  BOOST_TEST(state[0].second.size() == 1'000'000);
}

BOOST_AUTO_TEST_CASE(more_arrays_than_16_bits_count_are_written_and_read) {
  State state;
  for (int i = 0; i < 66'000; ++i) state.emplace_back(std::to_string(i), Tensor::scalar(i));
  save_state(path, state, {{"k", "v"}});
  const nn::SavedState saved = load_state_file(path);
  BOOST_REQUIRE(saved.tensors.size() == 66'000U);
  BOOST_TEST(saved.tensors[65'999].first == "65999");
  BOOST_TEST(saved.tensors[65'999].second.item() == 65'999);
  BOOST_TEST(saved.metadata.at("k") == "v");
  const std::string file = read_file(path);
  const std::size_t locator = file.rfind("PK\6\7");
  for (const std::size_t at : {locator, locator + 8, file.rfind("PK\6\6"), file.rfind("PK\6\6") + 40}) {
    std::string changed = file;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    BOOST_TEST(refusal(changed) != "accepted", "byte " << at);
  }
}

BOOST_AUTO_TEST_CASE(names_and_metadata_that_cannot_be_saved_are_refused_before_anything_is_written) {
  save_state(path, some_state());
  const Tensor t = Tensor::ones({2});
  BOOST_CHECK_EXCEPTION(save_state(path, {{"w", t}, {"w", t}}), ArgumentError, mentions("'w'", "twice"));
  BOOST_CHECK_EXCEPTION(save_state(path, {{"w", Tensor()}}), ArgumentError, mentions("'w'", "undefined"));
  BOOST_CHECK_EXCEPTION(save_state(path, {{"\xff\xfe", t}}), ArgumentError, mentions("UTF-8"));
  BOOST_CHECK_EXCEPTION(save_state(path, {{std::string("a\0b", 3), t}}), ArgumentError,
                        mentions("no byte 0"));
  BOOST_CHECK_EXCEPTION(save_state(path, {{std::string(70'000, 'n'), t}}), ArgumentError, mentions("65531"));
  BOOST_CHECK_EXCEPTION(save_state(path, {}, {{"k", "\xc3"}}), ArgumentError, mentions("UTF-8"));
  BOOST_CHECK_EXCEPTION(save_state(path, {}, {{"k", std::string(70'000, 'x')}}), ArgumentError,
                        mentions(".safetensors"));
  check_equal(load_state_file(path).tensors, some_state());
  const State longest{{std::string(65'531, 'n'), t}};
  save_state(path, longest, {{"k", std::string(60'000, 'x')}});
  check_equal(load_state_file(path).tensors, longest);
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_leaves_the_older_one) {
  BOOST_CHECK_EXCEPTION(save_state(folder / "missing/m.npz", some_state()), FileError,
                        mentions("No such file"));
  save_state(path, some_state());
  // The limit on a file's size stands in for a full disk.
  rlimit old{};
  BOOST_REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100'000, old.rlim_max};
  BOOST_REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    save_state(path, {{"large", Tensor::ones({100'000})}});
  } catch (const FileError& e) {
    message = e.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  BOOST_TEST(message.find("cannot be written") != std::string::npos, message);
  check_equal(load_state_file(path).tensors, some_state());
  BOOST_TEST(folder.size() == 1);
}

BOOST_AUTO_TEST_CASE(truncated_and_changed_archives_are_refused) {
  const std::string whole =
      zip_of({stored("a.npy", floats({1, 2})), deflated("b.npy", floats(std::vector<float>(50, 3)))});
  BOOST_TEST(refusal(whole) == "accepted");
  for (std::size_t size = 0; size < whole.size(); ++size)
    BOOST_TEST(refusal(std::string_view(whole).substr(0, size)) != "accepted", size << " bytes");
  const State expected{{"a", Tensor::from({1, 2})}, {"b", Tensor::full({50}, 3)}};
  for_each_change(whole, [&](const std::string& changed) {
    write_file(path, changed);
    try {
      // What is not needed may change: dates, attributes, the bits that fill a last byte.
      check_equal(load_state_file(path).tensors, expected);
    } catch (const FileError&) {
    }
  });
}

BOOST_AUTO_TEST_CASE(wrong_checksums_and_sizes_are_refused) {
  const Member good = stored("a.npy", floats({1, 2}));
  Member m = good;
  m.crc ^= 1;
  check_refused(zip_of({m}), "'a': its data is corrupt: the checksum");
  m = deflated("a.npy", floats({1, 2}));
  m.crc ^= 1;
  check_refused(zip_of({m}), "the checksum");
  m = good;
  m.size += 4;
  check_refused(zip_of({m}), "cannot be unpacked");
  m = deflated("a.npy", floats({1, 2}));
  m.size += 4;
  check_refused(zip_of({m}), "2 elements of 4 bytes");
  m.size -= 8;
  check_refused(zip_of({m}), "2 elements of 4 bytes");
  m = deflated("a.npy", floats({1, 2}));
  m.packed.resize(m.packed.size() - 4);
  m.packed_size = m.packed.size();
  check_refused(zip_of({m}), "ends early");
}

BOOST_AUTO_TEST_CASE(absurd_sizes_are_refused_before_memory_is_taken) {
  // A terabyte announced alike by the archive and by the array's header.
  const std::string header = array_file(dictionary("<f4", "(274877906944,)"), "");
  const std::uint64_t claimed = (std::uint64_t{1} << 40) + header.size();
  Member bomb = deflated("bomb.npy", header + std::string(1000, '\0'));
  bomb.size = claimed;
  check_refused(zip_of({bomb}, true), "cannot be unpacked from");
  bomb = stored("bomb.npy", header);
  bomb.size = bomb.packed_size = claimed;
  check_refused(zip_of({bomb}, true), "bytes at 58 are more than");
  bomb.packed_size = ~std::uint64_t{0};
  check_refused(zip_of({stored("a.npy", floats({1})), bomb}, true), "'bomb.npy'");
  // An array's header that claims more than the archive says there is.
  check_refused(zip_of({stored("a.npy", header)}), "274877906944 elements");
  // Arrays that share their data, of which each alone is sound.
  const std::string zip = zip_of({stored("a.npy", floats(std::vector<float>(100)))});
  std::string list = zip.substr(zip.find("PK\1\2"), zip.find("PK\5\6") - zip.find("PK\1\2"));
  std::string shared = zip.substr(0, zip.find("PK\1\2"));
  const std::size_t start = shared.size();
  std::string entries;
  for (int i = 0; i < 10; ++i) entries += list;
  shared += entries + "PK\5\6" + little(0, 4) + little(10, 2) + little(10, 2) + little(entries.size(), 4) +
            little(start, 4) + little(0, 2);
  check_refused(shared, "overlaps");
}

// Zeros, a thousand times as large as they are packed, and eight times as large again as tensors.
BOOST_AUTO_TEST_CASE(archives_that_are_made_to_fill_memory_are_refused) {
  const auto zeros = [](const std::string& name, int megabytes) {
    const std::size_t count = std::size_t{1'000'000} * static_cast<std::size_t>(megabytes);
    return deflated(name,
                    array_file(dictionary("|b1", fmt::format("({},)", count)), std::string(count, '\0')));
  };
  check_refused(
      zip_of({zeros("large.npy", 40)}),
      "'large': its arrays would take more memory than 256 MiB and 100 times the bytes of the compressed file");
  // Each of them would do, and both together not.
  BOOST_TEST(load(zip_of({zeros("a.npy", 20)})).tensors[0].second.size() == 20'000'000);
  check_refused(zip_of({zeros("a.npy", 20), zeros("b.npy", 20)}), "'b': its arrays would take more");
  // What is stored takes as much as it is there.
  const std::string stored_zeros =
      array_file(dictionary("|b1", "(12000000,)"), std::string(12'000'000, '\0'));
  BOOST_TEST(load(zip_of({stored("a.npy", stored_zeros)})).tensors[0].second.size() == 12'000'000);
}

BOOST_AUTO_TEST_CASE(members_that_are_no_arrays_are_skipped_and_listed) {
  Member secret = stored("secret", "who knows");
  secret.flags = 1;
  Member packed = stored("packed.txt", "other method");
  packed.method = 14;
  const nn::SavedState saved =
      load(zip_of({stored("layer/", ""), stored("layer/w.npy", floats({1, 2})), stored("README.txt", "hello"),
                   deflated("long.txt", std::string(100'000, 'x')), stored("short", "\x93NUM"),
                   stored("empty", ""), secret, packed, stored("__MACOSX/._w.npy", "Mac OS X"),
                   stored("bare", floats({3})), deflated("bare.dat", floats({4}))}));
  check_equal(
      saved.tensors,
      {{"layer/w", Tensor::from({1, 2})}, {"bare", Tensor::from({3})}, {"bare.dat", Tensor::from({4})}});
  check_skipped(saved,
                {{"layer/", "it is a folder"},
                 {"README.txt", "it does not start as an array does"},
                 {"long.txt", "it does not start as an array does"},
                 {"short", "it does not start as an array does"},
                 {"empty", "it does not start as an array does"},
                 {"secret", "it is encrypted"},
                 {"packed.txt", "it is compressed by method 14; 0 (stored) and 8 (deflated) are supported"},
                 {"__MACOSX/._w.npy", "it does not start as an array does"}});
  BOOST_TEST(load(zip_of({stored("a.npy", floats({1}))})).skipped.empty());
  check_refused(zip_of({stored("README.txt", "hello"), stored("layer/", "")}),
                "none of its 2 members is an array of numbers; 'README.txt': it does not start");
}

BOOST_AUTO_TEST_CASE(what_is_converted_is_listed) {
  const nn::SavedState saved = load(zip_of(
      {stored("w.npy", floats({1, 2})), deflated("half.npy", array_file(dictionary("<f2", "(1,)"), "\x01<")),
       stored("bytes", array_file(dictionary("|u1", "(2,)"), "ab"))}));
  check_converted(saved.converted, {"'half' from f16 to f32", "'bytes' from u8 to i64"});
}

BOOST_AUTO_TEST_CASE(arrays_of_other_types_are_skipped_and_listed) {
  const std::string text = array_file(dictionary("<U3", "(1,)"), std::string("a\0\0\0b\0\0\0c\0\0\0", 12));
  const std::string objects = array_file(dictionary("|O", "(1,)"), "\x80\4K\1.");
  const std::string fields =
      array_file("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234");
  const std::string deep = array_file(dictionary("<f4", "(1, 1, 1, 1, 1, 1, 1, 1, 2)"), "12345678");
  std::string many(8 << 15, '\0');  // more than is read at once, the first of them too large
  many[7] = '\x80';
  const std::string large = array_file(dictionary("<u8", "(32768,)"), many);
  for (const bool zip64 : {false, true}) {
    const nn::SavedState saved = load(zip_of(
        {stored("labels.npy", text), stored("w.npy", floats({1, 2})), deflated("o.npy", objects),
         deflated("bare", text), stored("f.npy", fields), stored("deep.npy", deep), deflated("deeper", deep),
         stored("large.npy", large), deflated("larger", large), deflated("v.npy", floats({3}))},
        zip64));
    check_equal(saved.tensors, {{"w", Tensor::from({1, 2})}, {"v", Tensor::from({3})}});
    check_skipped(saved, {{"labels.npy", "'<U3'"},
                          {"o.npy", "Python objects"},
                          {"bare", "'<U3'"},
                          {"f.npy", "structures"},
                          {"deep.npy", "9 axes; a tensor has at most 8"},
                          {"deeper", "9 axes"},
                          {"large.npy", "9223372036854775808, which is above the largest i64"},
                          {"larger", "above the largest i64"}});
  }
  // Damage is no type, and is refused wherever it is.
  const Member good = stored("w.npy", floats({1}));
  Member damaged = stored("labels.npy", text);
  damaged.crc ^= 1;
  check_refused(zip_of({good, damaged}), "'labels': its data is corrupt");
  damaged = deflated("labels.npy", text);
  damaged.packed.resize(damaged.packed.size() - 3);
  damaged.packed_size = damaged.packed.size();
  check_refused(zip_of({good, damaged}), "'labels': its data ends early");
}

BOOST_AUTO_TEST_CASE(bytes_before_and_after_an_archive_are_named_with_the_cure) {
  for (const std::string& comment : {std::string(), std::string("a comment")}) {
    const std::string whole = zip_of({stored("a.npy", floats({1, 2}))}, false, comment);
    BOOST_TEST(refusal(whole) == "accepted");
    check_refused("#!/bin/sh\nexit 0\n" + whole, "as a .npz file: 17 bytes stand before it");
    check_refused("#!/bin/sh\nexit 0\n" + whole, "tail -c +18");
    check_refused(whole + "more", "4 bytes follow its end");
    check_refused(whole + "more", "head -c -4");
    check_refused(whole + std::string(100, '\0'), "100 bytes follow its end");
    check_refused(whole.substr(0, whole.size() - 1), "truncated");
  }
  // What is of no format is taken for what it is called.
  check_refused("<html>404 Not Found</html>", "as a .npz file: it has no list of members");
  check_refused("PK", "as a .npz file");
  write_file(folder / "page.safetensors", "<html>404 Not Found</html>");
  BOOST_CHECK_EXCEPTION(load_state_file(folder / "page.safetensors"), FileError,
                        mentions("no safetensors file"));
}

BOOST_AUTO_TEST_CASE(other_members_are_refused) {
  const std::string a = floats({1});
  check_refused(zip_of({stored("a.npy", a), stored("a.npy", a)}), "'a': its name is given twice");
  check_refused(zip_of({stored("a.npy", a), stored("a", a)}), "'a': its name is given twice");
  // What is damaged may have been an array.
  Member damaged = stored("a", "hello, world");
  damaged.crc ^= 1;
  check_refused(zip_of({stored("b.npy", a), damaged}), "'a': its data is corrupt");
  check_refused(zip_of({stored("\xff.npy", a)}), "not UTF-8");
  check_refused(zip_of({stored("a.npy", "hello, world")}), "'a': it does not start with");
  check_refused(zip_of({stored("a.npy", "")}), "0 bytes");
  check_refused(zip_of({stored("o.npy", array_file(dictionary("|O", "(1,)"), "\x80\4K\1."))}),
                "none of its 1 members is an array of numbers; 'o.npy': it holds Python objects");
  Member m = stored("a.npy", a);
  m.flags = 1;
  check_refused(zip_of({m}), "encrypted");
  m = stored("a.npy", a);
  m.method = 14;
  check_refused(zip_of({m}), "method 14");
  check_refused(zip_of({stored("a.npy", a)}, false, "{\"__metadata__\":{\"k\":5}}"), "a number");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace npz_test
