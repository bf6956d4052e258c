#include <cstring>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/flat_parameters.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// Throws DtypeError for a parameter whose dtype is another than that of what it goes to or comes from.
void require_dtype(const char* function, const std::string& name, const Parameter& p, std::string_view beside,
                   Dtype dtype) {
  if (p.dtype() != dtype)
    throw DtypeError(fmt::format("{}: '{}' is of {}, {} is of {}; one vector has one dtype", function, name,
                                 name_of(p.dtype()), beside, name_of(dtype)));
}

}  // namespace

Tensor parameters_to_vector(const optim::ParameterList& parameters) {
  constexpr const char* kName = "parameters_to_vector";
  std::vector<Tensor> parts;
  const auto first = parameters.begin();
  for (const auto& [name, p] : parameters) {
    require_dtype(kName, name, p, fmt::format("'{}'", first->first), first->second.dtype());
    parts.push_back(reshape(p.value(), Shape(p.size())));
  }
  if (parts.empty()) throw ArgumentError(fmt::format("{}: there are no parameters", kName));
  return detail::named(kName, [&] { return concat(parts); });
}

void vector_to_parameters(const Tensor& vector, const optim::ParameterList& parameters) {
  constexpr const char* kName = "vector_to_parameters";
  detail::require_defined(kName, vector, "the vector");
  std::int64_t size = 0;
  for (const auto& [name, p] : parameters) {
    require_dtype(kName, name, p, "the vector", vector.dtype());
    size += p.size();
  }
  if (vector.shape() != Shape(size))
    throw ShapeError(fmt::format("{}: the vector is {}, the parameters take {}", kName,
                                 to_string(vector.shape()), to_string(Shape(size))));
  const Tensor values = vector.detach();
  std::int64_t begin = 0;
  for (auto [name, p] : parameters) {
    p.assign(reshape(slice(values, 0, begin, begin + p.size()), p.shape()));
    begin += p.size();
  }
}

}  // namespace tapegrad::nn
