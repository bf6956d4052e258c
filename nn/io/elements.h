#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/serialize.h>

/// The elements of files, some of which are of types that tensors do not have. Not part of the library's
/// interface.
namespace tapegrad::nn::files {

/// What a file holds beside what tensors hold: other elements, more axes, integers beyond i64. Such an array is intact,
/// and others beside it can be read.
class Unrepresentable final : public FileError {
 public:
  using FileError::FileError;
};

enum class Element : std::uint8_t { f16, bf16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, boolean };

std::size_t size_of(Element element);
/// The type that holds what tensors of this dtype hold.
Element element_of(Dtype dtype);
/// As in messages: "bf16".
std::string_view name_of(Element element);
/// The type of the tensors that read_elements makes of them.
Dtype widened_dtype(Element element);
/// The least and the largest integer of this type that i64 holds; those of i64 for types that are not of integers.
std::pair<std::int64_t, std::int64_t> integer_limits(Element element);
/// Notes in `saved` that a tensor of it was of these elements, where they are of another type.
void note_conversion(SavedState& saved, const std::string& name, Element from);
/// The type in which save_state writes them.
Element saved_element(Dtype dtype, const SaveOptions& options);

/// Bytes that are read once, from the first to the last.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// How many there are in all.
  virtual std::uint64_t size() const = 0;
  /// To be called before so many bytes of memory are taken for what is read. Throws FileError where they are too many.
  virtual void announce(std::uint64_t /*bytes*/) {}
  /// The next ones; throws FileError where they cannot be had.
  virtual void read(void* out, std::size_t bytes) = 0;
};

class FileSource : public ByteSource {
 public:
  explicit FileSource(InputFile& file) : file_(file) {}
  std::uint64_t size() const override { return file_.size(); }
  void read(void* out, std::size_t bytes) override { file_.read(out, bytes); }

 private:
  InputFile& file_;
};

/// As many elements as the shape has, widened without loss to a type that tensors have: f16 and bf16 to f32;
/// booleans (0, 1) and all integers to i64. Throws Unrepresentable for an integer above the largest i64; elements are
/// left in the source then.
Tensor read_elements(ByteSource& source, const Shape& shape, Element element, bool big_endian = false);

/// The bytes of a tensor's elements in this type, which is that of its dtype or f16 or bf16: those in memory, or
/// those that are put into `converted`. Rounds to the nearest, of two as near to the even one. NaN stays NaN.
std::string_view elements_of(const Tensor& tensor, Element element, std::string& converted);

/// Throws ArgumentError of this function, naming the tensor, where a finite element would become infinite in this type.
void require_representable(std::string_view function, const std::string& name, const Tensor& tensor,
                           Element element);

}  // namespace tapegrad::nn::files
