#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "npy_support.h"
#include "zip_support.h"

/// PyTorch's files, made byte by byte.
namespace tapegrad::test {

/// The pickle that PyTorch 1.13 writes of a checkpoint, in protocols 2 and 5:
///
///     w = torch.arange(6.).reshape(2, 3)
///     state = OrderedDict([("0.weight", w), ("0.bias", torch.tensor([0.5, -2.]).half())])
///     state._metadata = OrderedDict([("", {"version": 1})])
///     torch.save({"model": state, "turned": torch.nn.Parameter(w.t()), "column": w[:, 1], "epoch": 3, "lr": 0.001,
///                 "betas": (0.9, 0.999), "note": "größe"}, path, pickle_protocol=protocol)
inline const std::string kCheckpoint2(
    "\200\2}q\0(X\5\0\0\0modelq\1ccollections\n"
    "OrderedDict\n"
    "q\2)Rq\3(X\10\0\0\0000.weightq\4ctorch._utils\n"
    "_rebuild_tensor_v2\n"
    "q\5((X\7\0\0\0storageq\6ctorch\n"
    "FloatStorage\n"
    "q\7X\1\0\0\0000q\10X\3\0\0\0cpuq\11K\6tq\n"
    "QK\0K\2K\3\206q\13K\3K\1\206q\14\211h\2)Rq\15tq\16Rq\17X\6\0\0\0000.biasq\20h\5((h\6ctorch\n"
    "HalfStorage\n"
    "q\21X\1\0\0\0001q\22h\11K\2tq\23QK\0K\2\205q\24K\1\205q\25\211h\2)Rq\26tq\27Rq\30u}q\31X\11\0\0\0_"
    "metadataq\32h\2)Rq\33X\0\0\0\0q\34}q\35X\7\0\0\0versionq\36K\1sssbX\6\0\0\0turnedq\37ctorch._utils\n"
    "_rebuild_parameter\n"
    "q "
    "h\5((h\6h\7h\10h\11K\6tq!QK\0K\3K\2\206q\"K\1K\3\206q#\211h\2)Rq$tq%Rq&\210h\2)Rq'\207q(Rq)"
    "X\6\0\0\0columnq*h\5((h\6h\7h\10h\11K\6tq+QK\1K\2\205q,K\3\205q-\211h\2)Rq.tq/"
    "Rq0X\5\0\0\0epochq1K\3X\2\0\0\0lrq2G\?PbM\322\361\251\374X\5\0\0\0betasq3G\?\354\314\314\314\314\314\315"
    "G\?\357\367\316\331\26\207+\206q4X\4\0\0\0noteq5X\7\0\0\0gr\303\266\303\237eq6u.",
    584);
inline const std::string kCheckpoint5(
    "\200\5\225\335\1\0\0\0\0\0\0}\224(\214\5model\224\214\13collections\224\214\13OrderedDict\224\223\224)"
    "R\224(\214\0100.weight\224\214\14torch._utils\224\214\22_rebuild_tensor_v2\224\223\224(("
    "\214\7storage\224\214\5torch\224\214\14FloatStorage\224\223\224\214\0010\224\214\3cpu\224K\6t\224QK\0K\2"
    "K\3\206\224K\3K\1\206\224\211h\4)R\224t\224R\224\214\0060.bias\224h\11((h\n"
    "h\13\214\13HalfStorage\224\223\224\214\0011\224h\17K\2t\224QK\0K\2\205\224K\1\205\224\211h\4)"
    "R\224t\224R\224u}\224\214\11_metadata\224h\4)R\224\214\0\224}"
    "\224\214\7version\224K\1sssb\214\6turned\224h\7\214\22_rebuild_parameter\224\223\224h\11((h\n"
    "h\15h\16h\17K\6t\224QK\0K\3K\2\206\224K\1K\3\206\224\211h\4)R\224t\224R\224\210h\4)"
    "R\224\207\224R\224\214\6column\224h\11((h\n"
    "h\15h\16h\17K\6t\224QK\1K\2\205\224K\3\205\224\211h\4)"
    "R\224t\224R\224\214\5epoch\224K\3\214\2lr\224G\?PbM\322\361\251\374\214\5betas\224G\?\354\314\314\314"
    "\314\314\315G\?\357\367\316\331\26\207+\206\224\214\4note\224\214\7gr\303\266\303\237e\224u.",
    488);

/// The bytes of these numbers.
template <class T>
std::string bytes_of_numbers(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// The members of an archive of PyTorch's: the pickle, and storages "0", "1", ...
inline std::vector<Member> torch_members(const std::string& pickle,
                                         const std::vector<std::string>& storages) {
  std::vector<Member> members{stored("model/data.pkl", pickle)};
  for (std::size_t i = 0; i < storages.size(); ++i)
    members.push_back(stored(fmt::format("model/data/{}", i), storages[i]));
  members.push_back(stored("model/version", "3\n"));
  return members;
}
inline std::string torch_archive(const std::string& pickle, const std::vector<std::string>& storages) {
  return zip_of(torch_members(pickle, storages));
}
inline std::string checkpoint_file(const std::string& pickle) {
  return torch_archive(pickle,
                       {bytes_of_numbers<float>({0, 1, 2, 3, 4, 5}), std::string("\x00\x38\x00\xc0", 4)});
}

// ---- pickles in pieces ----

inline std::string p_text(std::string_view text) { return "X" + little(text.size(), 4) + std::string(text); }
inline std::string p_int(std::int64_t value) {
  return "\x8a\x08" + little(std::bit_cast<std::uint64_t>(value), 8);
}
inline std::string p_tuple(const std::vector<std::int64_t>& values) {
  std::string out = "(";
  for (const std::int64_t v : values) out += p_int(v);
  return out + "t";
}
inline std::string p_global(std::string_view module, std::string_view name) {
  return fmt::format("c{}\n{}\n", module, name);
}
inline std::string p_storage(std::string_view kind, std::int64_t size, std::string_view key = "0") {
  return "(" + p_text("storage") + p_global("torch", kind) + p_text(key) + p_text("cpu") + p_int(size) + "tQ";
}
/// A call of _rebuild_tensor_v2. `properties`, a pickle, is a further argument.
inline std::string p_tensor(const std::string& storage, std::int64_t offset,
                            const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& strides,
                            const std::string& properties = "") {
  return p_global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + p_int(offset) + p_tuple(sizes) +
         p_tuple(strides) + "\x89" + p_global("collections", "OrderedDict") + ")R" + properties + "tR";
}
/// A dictionary of keys and values, which are pickles.
inline std::string p_dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string out = "}(";
  for (const auto& [key, value] : items) out += p_text(key) + value;
  return out + "u";
}
inline std::string p_file(const std::string& value) { return "\x80\x02" + value + "."; }

}  // namespace tapegrad::test
