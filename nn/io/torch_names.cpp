#include <algorithm>
#include <iterator>

#include <tapegrad/nn/io/torch_names.h>

namespace tapegrad::nn::torch_file {

namespace {

using files::Element;

constexpr Name kNames[] = {
    {"torch._utils", "_rebuild_tensor", Role::rebuild_tensor},
    {"torch._utils", "_rebuild_tensor_v2", Role::rebuild_tensor},
    {"torch._utils", "_rebuild_tensor_v3", Role::rebuild_tensor},
    {"torch._utils", "_rebuild_parameter", Role::rebuild_parameter},
    {"torch._utils", "_rebuild_parameter_with_state", Role::rebuild_parameter},
    {"torch._tensor", "_rebuild_from_type_v2", Role::rebuild_from_type},
    {"torch", "Size", Role::size},
    {"torch", "device", Role::device},
    {"_codecs", "encode", Role::bytes},
    {"__builtin__", "bytes", Role::bytes},
    {"torch", "Tensor", Role::tensor_class},
    {"torch.nn.parameter", "Parameter", Role::tensor_class},
    {"torch.nn.parameter", "Buffer", Role::tensor_class},
    {"torch", "HalfStorage", Role::storage_class, Element::f16},
    {"torch", "BFloat16Storage", Role::storage_class, Element::bf16},
    {"torch", "FloatStorage", Role::storage_class, Element::f32},
    {"torch", "DoubleStorage", Role::storage_class, Element::f64},
    {"torch", "CharStorage", Role::storage_class, Element::i8},
    {"torch", "ShortStorage", Role::storage_class, Element::i16},
    {"torch", "IntStorage", Role::storage_class, Element::i32},
    {"torch", "LongStorage", Role::storage_class, Element::i64},
    {"torch", "ByteStorage", Role::storage_class, Element::u8},
    {"torch", "BoolStorage", Role::storage_class, Element::boolean},
    {"torch", "ComplexFloatStorage", Role::storage_class},
    {"torch", "ComplexDoubleStorage", Role::storage_class},
    {"torch", "QInt8Storage", Role::storage_class},
    {"torch", "QUInt8Storage", Role::storage_class},
    {"torch", "QInt32Storage", Role::storage_class},
    {"torch", "UntypedStorage", Role::untyped_storage},
    {"torch.storage", "UntypedStorage", Role::untyped_storage},
    {"torch", "float16", Role::dtype, Element::f16},
    {"torch", "bfloat16", Role::dtype, Element::bf16},
    {"torch", "float32", Role::dtype, Element::f32},
    {"torch", "float64", Role::dtype, Element::f64},
    {"torch", "int8", Role::dtype, Element::i8},
    {"torch", "int16", Role::dtype, Element::i16},
    {"torch", "int32", Role::dtype, Element::i32},
    {"torch", "int64", Role::dtype, Element::i64},
    {"torch", "uint8", Role::dtype, Element::u8},
    {"torch", "uint16", Role::dtype, Element::u16},
    {"torch", "uint32", Role::dtype, Element::u32},
    {"torch", "uint64", Role::dtype, Element::u64},
    {"torch", "bool", Role::dtype, Element::boolean},
    {"torch", "complex64", Role::dtype},
    {"torch", "complex128", Role::dtype},
    {"torch", "float8_e4m3fn", Role::dtype},
    {"torch", "float8_e4m3fnuz", Role::dtype},
    {"torch", "float8_e5m2", Role::dtype},
    {"torch", "float8_e5m2fnuz", Role::dtype},
    {"torch", "float8_e8m0fnu", Role::dtype},
};

}  // namespace

int find_name(std::string_view module, std::string_view name) {
  const auto* found =
      std::ranges::find_if(kNames, [&](const Name& n) { return n.name == name && n.module == module; });
  return found == std::end(kNames) ? -1 : static_cast<int>(found - std::begin(kNames));
}

const Name& name_of_row(std::size_t row) { return kNames[row]; }

std::string_view storage_class_of(Element element) {
  const auto* found = std::ranges::find_if(
      kNames, [&](const Name& n) { return n.role == Role::storage_class && n.element == element; });
  return found == std::end(kNames) ? std::string_view() : found->name;
}

}  // namespace tapegrad::nn::torch_file
