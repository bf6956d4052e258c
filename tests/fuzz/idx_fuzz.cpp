#include <cstdint>
#include <string>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/idx.h>

#include <zlib.h>

#include "fuzz.h"

using namespace tapegrad;

namespace {

void try_idx(std::string_view bytes) {
  nn::IdxArray loaded;
  try {
    loaded = nn::read_idx(fuzz::InputBytes(bytes).path());
  } catch (const FileError&) {
    return;
  }
  fuzz::require(loaded.bytes.size() == static_cast<std::size_t>(loaded.shape.size()),
                "as many bytes as the shape says");
  std::string again{'\0', '\0', '\x08', static_cast<char>(loaded.shape.rank())};
  for (const std::int64_t n : loaded.shape.dims())
    for (int shift = 24; shift >= 0; shift -= 8) again += static_cast<char>(n >> shift & 255);
  again.append(reinterpret_cast<const char*>(loaded.bytes.data()), loaded.bytes.size());
  const nn::IdxArray back = nn::read_idx(fuzz::InputBytes(again).path());
  fuzz::require(back.shape == loaded.shape && back.bytes == loaded.bytes, "the array comes back");
}

/// The bytes as the content of a gzip stream, whose checksum is right.
std::string compressed(std::string_view bytes) {
  constexpr int kGzip = 16;
  std::string out(compressBound(static_cast<uLong>(bytes.size())) + 64, '\0');
  z_stream stream{};
  fuzz::require(deflateInit2(&stream, 1, Z_DEFLATED, MAX_WBITS + kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK,
                "deflate");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  fuzz::require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "deflate");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

/// Images and labels: as they are, which a gzip stream may be, and as the content of a sound one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try_idx(bytes);
  try_idx(compressed(bytes));
  return 0;
}
