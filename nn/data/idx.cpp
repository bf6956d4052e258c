#include <algorithm>
#include <array>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/data_files.h>
#include <tapegrad/nn/data/idx.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/memory_budget.h>

#include <fmt/format.h>
#include <zlib.h>

namespace tapegrad::nn {

namespace {

/// The bytes of a file, decompressed where they are a gzip stream.
class Source {
 public:
  explicit Source(const std::string& path) : file_(path) {
    refill();
    gzip_ = stream_.avail_in >= 2 && buffer_[0] == 0x1f && buffer_[1] == 0x8b;
    constexpr int kGzipOnly = 16;
    if (gzip_ && inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK)
      throw OutOfMemory("read_idx: there is no memory to unpack a gzip stream");
  }
  ~Source() {
    if (gzip_) inflateEnd(&stream_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// As many bytes as asked, fewer only at the end of the data.
  std::size_t read(std::span<std::uint8_t> out) {
    std::size_t done = 0;
    while (done < out.size()) {
      const std::size_t n = gzip_ ? inflate_some(out.subspan(done)) : copy_some(out.subspan(done));
      if (n == 0) break;
      done += n;
    }
    return done;
  }

  /// How many of the bytes that the header announces there can be, so that no more memory is taken.
  std::size_t at_most(std::size_t announced) const {
    if (!gzip_) return std::min<std::size_t>(announced, file_.size());
    if (announced > files::kOfCompressed.of(file_.size()))
      fail(fmt::format("announces {} bytes of data: {}", announced,
                       files::refusal_of_compressed("elements", "unpack it with gunzip")));
    return announced;
  }

  [[noreturn]] void fail(const std::string& what) const { file_.fail(what); }

 private:
  bool refill() {
    const std::size_t n = file_.read_some(buffer_.data(), buffer_.size());
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<uInt>(n);
    return n > 0;
  }

  std::size_t copy_some(std::span<std::uint8_t> out) {
    if (stream_.avail_in == 0 && !refill()) return 0;
    const std::size_t n = std::min<std::size_t>(stream_.avail_in, out.size());
    std::copy_n(stream_.next_in, n, out.begin());
    stream_.next_in += n;
    stream_.avail_in -= static_cast<uInt>(n);
    return n;
  }

  /// 0 only at the end of the last gzip member, whose checksum has then been verified.
  std::size_t inflate_some(std::span<std::uint8_t> out) {
    constexpr std::size_t kMost = std::size_t{1} << 30;  // zlib counts in 32 bits
    const auto room = static_cast<uInt>(std::min(out.size(), kMost));
    stream_.next_out = out.data();
    stream_.avail_out = room;
    while (stream_.avail_out == room) {
      const bool more = stream_.avail_in > 0 || refill();
      if (member_ended_) {
        if (!more) return 0;
        if (*stream_.next_in != 0x1f) fail("has other data behind its gzip stream");
        inflateReset(&stream_);
        member_ended_ = false;
      }
      if (!more) fail("is a gzip stream that ends early: the file is truncated");
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        member_ended_ = true;
      } else if (result == Z_MEM_ERROR) {
        throw OutOfMemory("read_idx: there is no memory to unpack a gzip stream");
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        fail(
            fmt::format("is a corrupt gzip stream: {}", stream_.msg ? stream_.msg : "it needs a dictionary"));
      }
    }
    return room - stream_.avail_out;
  }

  InputFile file_;
  std::array<std::uint8_t, 65536> buffer_;
  z_stream stream_{};
  bool gzip_ = false;
  bool member_ended_ = false;
};

Shape read_shape(Source& source) {
  std::array<std::uint8_t, 4> magic;
  if (const std::size_t n = source.read(magic); n < magic.size())
    source.fail(fmt::format("is no IDX file: it holds {} bytes, the header alone has 4 and more", n));
  constexpr std::uint8_t kUnsignedByte = 8;
  if (magic[0] != 0 || magic[1] != 0)
    source.fail(fmt::format("is no IDX file: it starts with {:02x}, expected 00 00 08 and the number of axes",
                            fmt::join(magic, " ")));
  if (magic[2] != kUnsignedByte)
    source.fail(
        fmt::format("holds elements of IDX type {:02x}; only 08, unsigned bytes, is supported", magic[2]));
  const std::size_t rank = magic[3];
  if (rank < 1 || rank > 4) source.fail(fmt::format("has {} axes, expected 1 to 4", rank));

  std::array<std::int64_t, 4> dims{};
  for (std::size_t i = 0; i < rank; ++i) {
    std::array<std::uint8_t, 4> b;
    if (source.read(b) < b.size()) source.fail(fmt::format("ends within its header of {} sizes", rank));
    dims[i] =
        std::int64_t{b[0]} << 24 | std::int64_t{b[1]} << 16 | std::int64_t{b[2]} << 8 | std::int64_t{b[3]};
  }
  const std::span<const std::int64_t> given(dims.data(), rank);
  try {
    return Shape(given);
  } catch (const ShapeError&) {
    source.fail(fmt::format("announces [{}] elements, which no file holds", fmt::join(given, ", ")));
  }
}

IdxArray read(const std::string& path) {
  Source source(path);
  IdxArray array{read_shape(source), {}};
  const auto expected = static_cast<std::size_t>(array.shape.size());
  array.bytes.resize(source.at_most(expected));
  if (const std::size_t n = source.read(array.bytes); n < expected)
    source.fail(fmt::format("is truncated: its header announces {} = {} bytes of data, it holds {}",
                            to_string(array.shape), expected, n));
  std::array<std::uint8_t, 1> extra;
  if (source.read(extra) > 0)
    source.fail(fmt::format("holds more than the {} = {} bytes of data that its header announces",
                            to_string(array.shape), expected));
  return array;
}

}  // namespace

IdxArray read_idx(const std::string& path) {
  return files::reading("read_idx", path, [&] { return read(path); });
}

}  // namespace tapegrad::nn
