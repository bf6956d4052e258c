#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/memory_budget.h>

/// Zip files (PKWARE: .ZIP File Format Specification 6.3), as far as NumPy's and PyTorch's archives need them: stored
/// and deflated entries, sizes of 64 bits. Not part of the library's interface.
///
/// On zlib alone, which is here for other files anyway. Of Debian's libraries minizip 1.1 takes bytes behind
/// a file's end for zeros, so that a truncated archive can pass for an empty one, and does not understand
/// sizes of 64 bits; libzip would have every program load libcrypto, for encryption.
namespace tapegrad::nn::zip {

/// How a zip file starts, and one without entries.
inline constexpr std::string_view kMagic = "PK\3\4";
inline constexpr std::string_view kMagicOfNone = "PK\5\6";
/// Of a name and of the comment.
inline constexpr std::size_t kLongestText = 65'535;

struct Entry {
  std::string name;
  std::uint64_t method = 0;  ///< of compression; 8 is deflate
  std::string unreadable;    ///< why its content cannot be read, where it is encrypted or of another method
  std::uint32_t crc = 0;
  std::uint64_t packed = 0;    ///< bytes in the file
  std::uint64_t size = 0;      ///< bytes of the content
  std::uint64_t position = 0;  ///< of its local header at first, of its data in Reader::entries()
};

/// What a zip file holds. All bounds have been checked: every entry's data lies in the file, no two overlap,
/// and none announces more than deflate could have packed into its bytes. That bounds the time that unpacking takes by
/// 1032 times the file's size; memory is bounded by what is announced before it is taken.
class Reader {
 public:
  /// Throws FileError for anything but a whole zip file. Its entries may be such that their content cannot be read.
  /// `refusal`: the message where memory is announced for more than a compressed file may take (MemoryBudget).
  Reader(const std::string& path, std::string refusal);

  /// Bytes of the file.
  std::uint64_t size() const { return file_.size(); }
  const std::vector<Entry>& entries() const { return entries_; }
  const std::string& comment() const { return comment_; }
  /// To be called before so many bytes of memory are taken for the content of an entry. Throws FileError where those of
  /// compressed entries are too many together.
  void announce(const Entry& entry, std::uint64_t bytes);

 private:
  friend class Content;
  struct Directory;
  Directory find_directory();
  std::string bytes_at(std::uint64_t position, std::uint64_t count);
  void find_data(Entry& entry, std::uint64_t end);

  InputFile file_;
  files::MemoryBudget unpacked_;
  std::vector<Entry> entries_;
  std::string comment_;
};

/// The content of one entry, read from its first byte to its last. One at a time for each reader.
class Content final : public files::ByteSource {
 public:
  /// Throws FileError for an entry that cannot be read.
  Content(Reader& archive, const Entry& entry);
  ~Content() override;
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;

  std::uint64_t size() const override { return entry_.size; }
  void announce(std::uint64_t bytes) override { archive_.announce(entry_, bytes); }
  /// The next bytes, no more than are left. Throws FileError where the data is corrupt or ends early.
  void read(void* out, std::size_t bytes) override;
  /// Reads what is left, and throws FileError where more follows, or the checksum is another.
  void finish();

 private:
  struct Inflater;
  std::size_t inflate_some(char* out, std::size_t bytes);

  Reader& archive_;
  InputFile& file_;
  const Entry& entry_;
  std::uint64_t packed_left_;
  std::uint64_t left_;  ///< of the content
  std::uint32_t crc_ = 0;
  std::unique_ptr<Inflater> inflater_;
};

/// Writes a zip file of stored entries. They carry the first day that the format knows, not today's date: the
/// same content makes the same file.
class Writer {
 public:
  explicit Writer(AtomicFile& file) : file_(file) {}
  /// An entry of which `head` and `data` are the content, which begins at a multiple of `alignment` bytes, at most
  /// 64; the name is UTF-8.
  void add(const std::string& name, std::string_view head, std::string_view data,
           std::uint64_t alignment = 1);
  void finish(const std::string& comment);

 private:
  void write(std::string_view bytes);

  AtomicFile& file_;
  std::uint64_t position_ = 0;
  std::uint64_t count_ = 0;
  std::string directory_;
};

}  // namespace tapegrad::nn::zip
