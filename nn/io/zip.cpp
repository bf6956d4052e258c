#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/zip.h>

#include <fmt/format.h>
#include <zlib.h>

namespace tapegrad::nn::zip {

namespace {

constexpr std::string_view kLocalMark = kMagic;
constexpr std::string_view kEntryMark = "PK\1\2";
constexpr std::string_view kEndMark = kMagicOfNone;
constexpr std::string_view kEnd64Mark = "PK\6\6";
constexpr std::string_view kLocatorMark = "PK\6\7";
constexpr std::size_t kLocalBytes = 30;  // without what is of variable length
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::size_t kLocatorBytes = 20;
constexpr std::uint64_t kMost16 = 0xffff;  // these say: the number stands in a field of 64 bits elsewhere
constexpr std::uint64_t kMost32 = 0xffffffff;
constexpr std::uint64_t kExtra64 = 1;            // the tag of those fields
constexpr std::uint64_t kExtraPadding = 0x4246;  // the tag of bytes that mean nothing, as PyTorch has it
constexpr std::uint64_t kStored = 0;
constexpr std::uint64_t kDeflated = 8;
constexpr std::uint64_t kEncrypted = 1;
constexpr std::uint64_t kUtf8 = 1 << 11;

/// Little-endian numbers out of bytes; throws FileError at their end.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}
  std::string_view text(std::uint64_t bytes) {
    if (bytes > rest_.size()) throw FileError("a record of the archive ends early");
    const std::string_view out = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return out;
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    int shift = 0;
    for (const char c : text(bytes)) {
      value |= std::uint64_t{static_cast<unsigned char>(c)} << shift;
      shift += 8;
    }
    return value;
  }
  void skip(std::uint64_t bytes) { text(bytes); }
  void expect(std::string_view mark, const char* what) {
    if (rest_.size() < mark.size() || text(mark.size()) != mark)
      throw FileError(fmt::format("{} is missing or damaged", what));
  }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

std::string little(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i & 255);
  return out;
}

/// Replaces what the extra fields give in 64 bits.
void read_extra(std::string_view bytes, Entry& e) {
  Fields extra(bytes);
  while (!extra.empty()) {
    const std::uint64_t tag = extra.number(2);
    Fields field(extra.text(extra.number(2)));
    if (tag != kExtra64) continue;
    for (std::uint64_t* number : {&e.size, &e.packed, &e.position})
      if (*number == kMost32) *number = field.number(8);
  }
}

Entry read_entry(Fields& directory) {
  Entry e;
  directory.expect(kEntryMark, "its list of members");
  directory.skip(4);  // versions
  const std::uint64_t flags = directory.number(2);
  e.method = directory.number(2);
  directory.skip(4);  // time and date
  e.crc = static_cast<std::uint32_t>(directory.number(4));
  e.packed = directory.number(4);
  e.size = directory.number(4);
  const std::uint64_t name = directory.number(2);
  const std::uint64_t extra = directory.number(2);
  const std::uint64_t comment = directory.number(2);
  directory.skip(8);  // disk, attributes
  e.position = directory.number(4);
  e.name = directory.text(name);
  read_extra(directory.text(extra), e);
  directory.skip(comment);

  constexpr std::uint64_t kMostOfDeflate = 1032;  // 258 bytes from two bits
  if (flags & kEncrypted)
    e.unreadable = "it is encrypted";
  else if (e.method != kStored && e.method != kDeflated)
    e.unreadable =
        fmt::format("it is compressed by method {}; 0 (stored) and 8 (deflated) are supported", e.method);
  else if (e.method == kDeflated ? e.size / kMostOfDeflate > e.packed : e.size != e.packed)
    throw FileError(
        fmt::format("'{}' claims {} bytes, which cannot be unpacked from {}", e.name, e.size, e.packed));
  return e;
}

/// What is wrong with a file that does not end with the record that an archive ends with.
std::string why_no_end(std::string_view tail) {
  const std::size_t at =
      tail.size() < kEndBytes ? std::string_view::npos : tail.rfind(kEndMark, tail.size() - kEndBytes);
  if (at != std::string_view::npos) {
    const std::uint64_t rest = tail.size() - at - kEndBytes;
    const std::uint64_t comment = Fields(tail.substr(at + kEndBytes - 2)).number(2);
    if (comment < rest)
      return fmt::format(
          "{} bytes follow its end: something was appended, or it is damaged; cut them off, as "
          "head -c -{} does",
          rest - comment, rest - comment);
  }
  return "it has no list of members at its end: it is truncated, or no archive";
}

}  // namespace

// ---- reading ----

struct Reader::Directory {
  std::uint64_t position;
  std::uint64_t size;
  std::uint64_t count;
};

std::string Reader::bytes_at(std::uint64_t position, std::uint64_t count) {
  if (position > file_.size() || count > file_.size() - position)
    throw FileError(fmt::format("a record lies at [{}, {} more] of {} bytes: it is truncated or damaged",
                                position, count, file_.size()));
  std::string bytes(count, '\0');
  file_.seek(position);
  file_.read(bytes.data(), bytes.size());
  return bytes;
}

/// From the record at the file's end, which a comment of unknown length follows.
Reader::Directory Reader::find_directory() {
  const std::uint64_t tail_size = std::min<std::uint64_t>(file_.size(), kEndBytes + kLongestText);
  const std::uint64_t tail_position = file_.size() - tail_size;
  const std::string tail = bytes_at(tail_position, tail_size);
  std::size_t at = tail.rfind(kEndMark);
  const auto ends_file = [&] {
    if (tail.size() - at < kEndBytes) return false;
    return Fields(std::string_view(tail).substr(at + kEndBytes - 2)).number(2) ==
           tail.size() - at - kEndBytes;
  };
  while (at != std::string::npos && !ends_file())
    at = at == 0 ? std::string::npos : tail.rfind(kEndMark, at - 1);
  if (at == std::string::npos) throw FileError(why_no_end(tail));
  comment_ = tail.substr(at + kEndBytes);

  Fields end(std::string_view(tail).substr(at + kEndMark.size()));
  end.skip(6);  // disks
  Directory d{};
  d.count = end.number(2);
  d.size = end.number(4);
  d.position = end.number(4);
  std::uint64_t end_position = tail_position + at;
  const std::string locator_bytes =
      end_position < kLocatorBytes ? "" : bytes_at(end_position - kLocatorBytes, kLocatorBytes);
  // PyTorch writes the 64-bit record of every archive, with numbers that need none as well.
  if (d.count == kMost16 || d.size == kMost32 || d.position == kMost32 ||
      locator_bytes.starts_with(kLocatorMark)) {
    Fields locator(locator_bytes);
    locator.expect(kLocatorMark, "the place of its 64-bit record");
    locator.skip(4);
    end_position = locator.number(8);
    const std::string end64_bytes = bytes_at(end_position, kEnd64Bytes);
    Fields end64(end64_bytes);
    end64.expect(kEnd64Mark, "its 64-bit record");
    end64.skip(28);  // its size, versions, disks, entries on this disk
    d.count = end64.number(8);
    d.size = end64.number(8);
    d.position = end64.number(8);
  }
  if (d.size <= end_position && d.position < end_position - d.size) {
    const std::uint64_t before = end_position - d.size - d.position;
    throw FileError(
        fmt::format("{} bytes stand before it, as in an archive that extracts itself, or it is damaged; cut "
                    "them off, as tail -c +{} does",
                    before, before + 1));
  }
  if (d.position > end_position || d.size != end_position - d.position)
    throw FileError(fmt::format("its list of members at {} with {} bytes does not reach its end at {}",
                                d.position, d.size, end_position));
  return d;
}

/// Reads the entry's local header, which says where the data begins.
void Reader::find_data(Entry& e, std::uint64_t end) {
  const std::string bytes = bytes_at(e.position, kLocalBytes);
  Fields local(bytes);
  local.expect(kLocalMark, "its head");
  local.skip(4);  // version, flags
  const bool same_method = local.number(2) == e.method;
  local.skip(16);  // time, date, checksum and sizes, which may follow the data instead
  const std::uint64_t name = local.number(2);
  const std::uint64_t extra = local.number(2);
  if (!same_method || bytes_at(e.position + kLocalBytes, name) != e.name)
    throw FileError("its head does not agree with the archive's list");
  e.position += kLocalBytes + name + extra;
  if (e.position > end || e.packed > end - e.position)
    throw FileError(fmt::format("its {} bytes at {} are more than the {} up to the archive's list", e.packed,
                                e.position, end));
}

Reader::Reader(const std::string& path, std::string refusal)
    : file_(path), unpacked_(file_.size(), std::move(refusal), files::kOfCompressed) {
  const Directory directory = find_directory();
  const std::string bytes = bytes_at(directory.position, directory.size);
  Fields fields(bytes);
  while (!fields.empty()) entries_.push_back(read_entry(fields));
  if (entries_.size() != directory.count)
    throw FileError(fmt::format("it lists {} members, but says {}", entries_.size(), directory.count));

  std::vector<Entry*> in_file_order;
  for (Entry& e : entries_) in_file_order.push_back(&e);
  std::stable_sort(in_file_order.begin(), in_file_order.end(),
                   [](const Entry* a, const Entry* b) { return a->position < b->position; });
  std::uint64_t end = 0;
  for (Entry* e : in_file_order) {
    try {
      // Entries that share their data would let a small file take any amount of memory.
      if (e->position < end) throw FileError("its data overlaps that of another");
      find_data(*e, directory.position);
    } catch (const FileError& error) {
      throw FileError(fmt::format("'{}': {}", e->name, error.what()));
    }
    end = e->position + e->packed;
  }
}

void Reader::announce(const Entry& entry, std::uint64_t bytes) {
  if (entry.method == kDeflated) unpacked_.take(bytes);
}

struct Content::Inflater {
  Inflater() {
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
      throw OutOfMemory("there is no memory to unpack an archive");
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
  bool ended = false;
  std::array<Bytef, 65536> buffer;
};

Content::Content(Reader& archive, const Entry& entry)
    : archive_(archive), file_(archive.file_), entry_(entry), packed_left_(entry.packed), left_(entry.size) {
  if (!entry.unreadable.empty()) throw FileError(entry.unreadable);
  file_.seek(entry.position);
  if (entry.method == kDeflated) inflater_ = std::make_unique<Inflater>();
}

Content::~Content() = default;

void Content::read(void* out, std::size_t bytes) {
  auto* to = static_cast<char*>(out);
  if (!inflater_) {
    if (bytes > packed_left_) throw FileError("its data ends early");
    file_.read(to, bytes);
    packed_left_ -= bytes;
  } else {
    for (std::size_t done = 0; done < bytes;) {
      const std::size_t n = inflate_some(to + done, bytes - done);
      if (n == 0) throw FileError("its data ends early");
      done += n;
    }
  }
  crc_ = static_cast<std::uint32_t>(crc32_z(crc_, reinterpret_cast<const Bytef*>(to), bytes));
  left_ -= bytes;
}

/// At least one byte, or none at the end of the stream.
std::size_t Content::inflate_some(char* out, std::size_t bytes) {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // zlib counts in 32 bits
  const auto room = static_cast<uInt>(std::min(bytes, kMost));
  z_stream& stream = inflater_->stream;
  stream.next_out = reinterpret_cast<Bytef*>(out);
  stream.avail_out = room;
  while (stream.avail_out == room && !inflater_->ended) {
    if (stream.avail_in == 0 && packed_left_ > 0) {
      const std::size_t n = std::min<std::uint64_t>(packed_left_, inflater_->buffer.size());
      file_.read(inflater_->buffer.data(), n);
      packed_left_ -= n;
      stream.next_in = inflater_->buffer.data();
      stream.avail_in = static_cast<uInt>(n);
    }
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw OutOfMemory("there is no memory to unpack an archive");
    if (result == Z_STREAM_END)
      inflater_->ended = true;
    else if (result == Z_BUF_ERROR && packed_left_ == 0)
      throw FileError("its data ends early");
    else if (result != Z_OK)
      throw FileError(fmt::format("its data is corrupt: {}", stream.msg ? stream.msg : "no deflate stream"));
  }
  return room - stream.avail_out;
}

void Content::finish() {
  std::string block(std::min<std::uint64_t>(left_, 1 << 14), '\0');
  while (left_ > 0) read(block.data(), std::min<std::uint64_t>(left_, block.size()));
  char more = 0;
  const bool longer = inflater_
                          ? inflate_some(&more, 1) > 0 || inflater_->stream.avail_in > 0 || packed_left_ > 0
                          : packed_left_ > 0;
  if (longer) throw FileError("its data is longer than announced");
  if (crc_ != entry_.crc) throw FileError("its data is corrupt: the checksum is another");
}

// ---- writing ----

void Writer::write(std::string_view bytes) {
  file_.write(bytes);
  position_ += bytes.size();
}

void Writer::add(const std::string& name, std::string_view head, std::string_view data,
                 std::uint64_t alignment) {
  const auto crc_on = [](uLong crc, std::string_view bytes) {
    // zlib takes a null pointer for the wish to start anew.
    return bytes.empty() ? crc : crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  };
  const std::uint64_t crc = crc_on(crc_on(0, head), data);
  const std::uint64_t size = head.size() + data.size();
  const std::uint64_t at = position_;
  const bool large = size >= kMost32;
  const bool far = at >= kMost32;
  const auto extra = [&](bool with_position) {
    if (!large && !with_position) return std::string();
    const std::string numbers =
        (large ? little(size, 8) + little(size, 8) : "") + (with_position ? little(at, 8) : "");
    return little(kExtra64, 2) + little(numbers.size(), 2) + numbers;
  };
  // The version needed, and all that both records have in common.
  const auto about = [&](const std::string& extra_field) {
    constexpr std::uint64_t kFirstDay = 1 << 21 | 1 << 16;  // 1 January 1980
    const std::uint64_t size32 = large ? kMost32 : size;
    return little(extra_field.starts_with(little(kExtra64, 2)) ? 45 : 20, 2) + little(kUtf8, 2) +
           little(kStored, 2) + little(kFirstDay, 4) + little(crc, 4) + little(size32, 4) +
           little(size32, 4) + little(name.size(), 2) + little(extra_field.size(), 2);
  };
  std::string local_extra = extra(false);
  const std::uint64_t begin = at + kLocalBytes + name.size() + local_extra.size();
  if (begin % alignment != 0) {
    constexpr std::uint64_t kFieldHead = 4;
    const std::uint64_t padding = (alignment - (begin + kFieldHead) % alignment) % alignment;
    local_extra += little(kExtraPadding, 2) + little(padding, 2);
    local_extra.append(padding, '\0');
  }
  write(std::string(kLocalMark) + about(local_extra) + name + local_extra);
  write(head);
  write(data);

  constexpr std::uint64_t kMadeBy = 3 << 8 | 45;                    // Unix, version 4.5 of the format
  constexpr std::uint64_t kAttributes = std::uint64_t{0600} << 16;  // read and written by its owner
  directory_ += std::string(kEntryMark) + little(kMadeBy, 2) + about(extra(far)) + little(0, 6) +
                little(kAttributes, 4) + little(far ? kMost32 : at, 4) + name + extra(far);
  ++count_;
}

void Writer::finish(const std::string& comment) {
  const std::uint64_t at = position_;
  const std::uint64_t size = directory_.size();
  write(std::exchange(directory_, {}));
  if (count_ >= kMost16 || size >= kMost32 || at >= kMost32) {
    const std::uint64_t end64 = position_;
    write(std::string(kEnd64Mark) + little(kEnd64Bytes - 12, 8) + little(45, 2) + little(45, 2) +
          little(0, 8) + little(count_, 8) + little(count_, 8) + little(size, 8) + little(at, 8));
    write(std::string(kLocatorMark) + little(0, 4) + little(end64, 8) + little(1, 4));
  }
  const std::string count = little(std::min(count_, kMost16), 2);
  write(std::string(kEndMark) + little(0, 4) + count + count + little(std::min(size, kMost32), 4) +
        little(std::min(at, kMost32), 4) + little(comment.size(), 2) + comment);
}

}  // namespace tapegrad::nn::zip
