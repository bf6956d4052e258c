#pragma once

#include <optional>
#include <string_view>

#include <tapegrad/nn/io/elements.h>

/// The classes, functions and types that PyTorch's state dicts name. Not part of the library's interface.
namespace tapegrad::nn::torch_file {

/// What a name stands for.
enum class Role {
  rebuild_tensor,     ///< (storage, offset, sizes, strides, requires_grad, hooks[, dtype][, properties])
  rebuild_parameter,  ///< (tensor, requires_grad, hooks[, attributes])
  rebuild_from_type,  ///< (one of these functions, class, its arguments, attributes)
  size,               ///< (tuple of sizes)
  device,             ///< (text[, index])
  bytes,              ///< (text, encoding), or () for none: as protocol 2 writes bytes
  tensor_class,       ///< a class that tensors may have
  storage_class,      ///< that tells the type of elements
  untyped_storage,    ///< whose size is in bytes
  dtype
};

struct Name {
  std::string_view module;
  std::string_view name;
  Role role;
  std::optional<files::Element> element{};  ///< none for types that no tensor can hold
};

/// The number of a name's row, or -1.
int find_name(std::string_view module, std::string_view name);
const Name& name_of_row(std::size_t row);

/// PyTorch's class of storages of these elements, as "FloatStorage"; empty for those of which it has none.
std::string_view storage_class_of(files::Element element);

}  // namespace tapegrad::nn::torch_file
