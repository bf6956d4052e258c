#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/onnx/free_sizes.h>
#include <tapegrad/nn/io/onnx/op_context.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

std::vector<Term> OpContext::all_inputs() const {
  std::vector<Term> all;
  for (std::size_t i = 0; i < inputs(); ++i) all.push_back(input(i));
  return all;
}

ElementType OpContext::output_type() const {
  return element_type_of(builder_.graph().values[op_.output].value.dtype());
}

template <class T>
const T& OpContext::attribute(std::string_view name) const {
  const auto found = std::ranges::find(op_.attributes, name, &OpAttribute::name);
  const T* const value = found == op_.attributes.end() ? nullptr : std::get_if<T>(&found->value);
  if (!value)
    throw Error(fmt::format("save_onnx: {} describes no attribute '{}' of that kind", label(op_), name));
  return *value;
}

double OpContext::number(std::string_view name) const { return attribute<double>(name); }
bool OpContext::flag(std::string_view name) const { return attribute<bool>(name); }
Dtype OpContext::dtype(std::string_view name) const { return attribute<Dtype>(name); }
Dim OpContext::size(std::string_view name) const { return attribute<Dim>(name); }
Dims OpContext::sizes(std::string_view name) const { return attribute<Dims>(name); }
std::int64_t OpContext::integer(std::string_view name) const { return fixed(size(name), name); }

std::vector<std::int64_t> OpContext::integers(std::string_view name) const {
  std::vector<std::int64_t> all;
  for (const Dim& d : attribute<Dims>(name)) all.push_back(fixed(d, name));
  return all;
}

std::int64_t OpContext::fixed(const Dim& size, std::string_view what) const {
  if (size.is_free()) {
    const std::vector<FreeSize> sizes = sizes_in(size, builder_.graph().free_sizes);
    throw ArgumentError(fmt::format("save_onnx: {} of {} grows with {}, which a model cannot express; {}",
                                    what, label(op_), names_of(sizes), advice(sizes)));
  }
  return size.constant;
}

void OpContext::refuse(std::string_view reason) const {
  throw ArgumentError(fmt::format("save_onnx: {} has no counterpart in ONNX: {}", label(op_), reason));
}

}  // namespace tapegrad::nn::onnx
