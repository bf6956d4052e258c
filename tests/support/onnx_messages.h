#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/nn/io/onnx/protobuf.h>
#include <tapegrad/nn/io/onnx/schema.h>

/// Messages of ONNX files that other tools could have written.
namespace tapegrad::test {

using nn::onnx::Message;
namespace field = nn::onnx::field;
using Strings = std::vector<std::string>;

inline Message tensor_message(const std::string& name, const std::vector<std::int64_t>& dims,
                              std::int64_t type, std::string_view raw) {
  Message t;
  for (const std::int64_t d : dims) t.integer(field::tensor::dims, d);
  t.integer(field::tensor::type, type);
  t.text(field::tensor::name, name);
  t.text(field::tensor::raw_data, raw);
  return t;
}

inline Message info_message(const std::string& name, const std::vector<std::int64_t>& dims,
                            std::int64_t element = 1) {
  Message shape, tensor, type, info;
  for (const std::int64_t d : dims) {
    Message dim;
    dim.integer(field::dim::value, d);
    shape.message(field::shape::dim, dim);
  }
  tensor.integer(field::tensor_type::element, element);
  tensor.message(field::tensor_type::shape, shape);
  type.message(field::type::tensor, tensor);
  info.text(field::value_info::name, name);
  info.message(field::value_info::type, type);
  return info;
}

inline Message node_message(const std::string& type, const Strings& inputs, const Strings& outputs,
                            const Message& more = {}) {
  Message n;
  for (const std::string& i : inputs) n.text(field::node::input, i);
  for (const std::string& o : outputs) n.text(field::node::output, o);
  n.text(field::node::name, type + "_of_" + outputs.back());
  n.text(field::node::type, type);
  n.append(more);
  return n;
}

inline Message attribute_message(const std::string& name, std::int64_t type) {
  Message a;
  a.text(field::attribute::name, name);
  a.integer(field::attribute::type, type);
  return a;
}
inline void add_text(Message& node, const std::string& name, const std::string& value) {
  Message a = attribute_message(name, 3);
  a.text(field::attribute::s, value);
  node.message(field::node::attribute, a);
}
inline void add_integers(Message& node, const std::string& name, const std::vector<std::int64_t>& values) {
  Message a = attribute_message(name, 7);
  for (const std::int64_t v : values) a.integer(field::attribute::ints, v);
  node.message(field::node::attribute, a);
}

inline Message model_of(const Message& graph, std::int64_t opset = 17) {
  Message version, m;
  version.integer(field::opset::version, opset);
  m.integer(field::model::ir_version, 8);
  m.message(field::model::opset_import, version);
  m.message(field::model::graph, graph);
  return m;
}

}  // namespace tapegrad::test
