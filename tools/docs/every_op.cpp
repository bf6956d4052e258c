/// Writes the guide's page of every operation, from the list of operations and their samples.
/// usage: every_op FUNCTIONS      a file of the names that functions.py lists; to the standard output
#include <cmath>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/graph/attributes.h>
#include <tapegrad/nn/io/onnx/op_rows.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

#include "gradcheck/check/samples.h"

using namespace tapegrad;
using Op = gradcheck::Catalog::Op;
using Sample = Samples::Sample;

namespace {

/// The sample's inputs in a dtype, integers as they are; in i64 ones stand for numbers.
std::vector<Tensor> inputs_of(const Sample& sample, Dtype dtype) {
  Generator generator(0);
  std::vector<Tensor> inputs;
  for (const SampleInput& from : sample.inputs) {
    const bool absent = from.kind == SampleInput::Kind::absent;
    const Tensor value = absent ? Tensor() : gradcheck::detail::drawn(from, "", generator).value;
    if (!value.defined() || !is_floating(value.dtype()))
      inputs.push_back(value);
    else if (dtype == i64)
      inputs.push_back(Tensor::ones(value.shape(), i64));
    else
      inputs.push_back(cast(value, dtype));
  }
  return inputs;
}

/// The result of the op for these inputs; none where it takes no such inputs.
std::optional<Tensor> run(const Sample& sample, const std::vector<Tensor>& inputs) {
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) pointers.push_back(&input);
  try {
    return sample.function(sample.attributes.data(), pointers.data(), pointers.size());
  } catch (const DtypeError&) {
    return {};
  } catch (const ArgumentError&) {
    // Attributes with fractions beside integers; a sample's own numbers are right.
    if (is_floating(inputs[0].dtype())) throw;
    return {};
  }
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator = ", ") {
  return fmt::format("{}", fmt::join(parts, separator));
}

/// The dtypes that are taken, with those of indices.
std::string dtypes_of(const Sample& sample) {
  std::vector<std::string> names;
  for (const DtypeInfo& dtype : kDtypes)
    if (run(sample, inputs_of(sample, dtype.dtype))) names.emplace_back(dtype.name);
  return joined(names);
}

/// "[2, 3], [3, 4] to [2, 4]": a sample that shows how shapes go together, the first one of several elements.
std::string shapes_of(const Op& op, const Sample& sample) {
  const std::vector<Tensor> inputs = inputs_of(sample, f64);
  std::vector<std::string> shapes;
  for (const Tensor& input : inputs)
    shapes.push_back(input.defined() ? to_string(input.shape()) + (input.dtype() == i64 ? " i64" : "")
                                     : "none");
  const std::optional<Tensor> result = run(sample, inputs);
  if (!result)
    throw Error(fmt::format("every_op: {} takes no f64, so that its page cannot show shapes", op.name));
  return joined(shapes) + " to " + to_string(result->shape());
}

std::string attributes_of(const Op& op, const Sample& sample) {
  if (!op.table->describe || sample.attributes.empty()) return {};
  AttributeText text;
  op.table->describe(sample.attributes.data(), text);
  return text.text();
}

/// Which values of the forward pass the gradients read.
std::string saved_by(const Op& op, std::size_t inputs) {
  if (op.max_order == 0) return "-";
  detail::SaveMask all = 0;
  for (std::size_t i = 0; i < inputs; ++i) all |= op.table->saves_for_input(i);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < detail::kOutputBit; ++i)
    if (all >> i & 1u) names.push_back(inputs == 1 ? "input" : fmt::format("input {}", i));
  if (all >> detail::kOutputBit & 1u) names.emplace_back("output");
  for (std::size_t i = 0; i < detail::kMaxResiduals; ++i)
    if (all >> (detail::kResidualBit + i) & 1u) names.push_back(fmt::format("residual {}", i));
  return names.empty() ? "nothing" : joined(names);
}

std::string derivatives_of(const Op& op, std::size_t inputs) {
  if (op.max_order == 0) return "none";
  std::string text =
      op.max_order == detail::kAnyOrder ? "any order" : fmt::format("to order {}", op.max_order);
  for (std::size_t i = 0; i < inputs; ++i)
    if (op.nondifferentiable_inputs >> i & 1u) text += fmt::format(", none for input {}", i);
  if (op.waiver) text += fmt::format("; from order {}: {}", op.waiver->from_order, op.waiver->reason);
  return text;
}

/// Points without a derivative, or at the end of a domain, with the gradients that the op gives there.
void write_conventions(const Op& op, const std::vector<Sample>& samples) {
  for (const Sample& sample : samples) {
    if (sample.gradients.empty()) continue;
    std::vector<std::string> at, gradients;
    for (const SampleInput& input : sample.inputs) at.push_back(fmt::format("{:.6g}", input.values));
    for (const Tensor& gradient : sample.gradients) gradients.push_back(fmt::format("{:.6g}", gradient));
    if (joined(at).find('\n') != std::string::npos) continue;  // of matrices: in the reference
    fmt::print("| {} | {} | {} | {} |\n", op.name, attributes_of(op, sample), joined(at, "; "),
               joined(gradients, "; "));
  }
}

/// The first sample of several elements, else the first.
const Sample& shown(const std::vector<Sample>& samples) {
  for (const Sample& sample : samples) {
    const std::vector<Tensor> inputs = inputs_of(sample, f64);
    if (sample.gradients.empty() && inputs[0].size() > 1 && inputs[0].size() < 1000) return sample;
  }
  return samples.front();
}

struct Entry {
  const Op* op;
  std::vector<Sample> samples;
};

void write_row(const Entry& entry, const std::set<std::string>& functions) {
  const Op& op = *entry.op;
  const Sample& sample = shown(entry.samples);
  const std::size_t inputs = sample.inputs.size();
  const nn::onnx::OpRow* onnx = nn::onnx::row_of(*op.table);
  const std::string name = functions.contains(op.name) ? fmt::format("tapegrad::{}()", op.name) : op.name;
  const std::string attributes = attributes_of(op, sample);
  fmt::print("| {} | {}{}{} | {} | {} | {} | {} |\n", name,
             op.formula ? (inputs == 1 ? "elementwise" : fmt::format("elementwise, {} operands", inputs))
                        : shapes_of(op, sample),
             attributes.empty() ? "" : "; ", attributes, dtypes_of(sample), derivatives_of(op, inputs),
             saved_by(op, inputs), onnx && onnx->emit ? "yes" : "no");
}

void write_table(std::string_view title, std::string_view about, const std::vector<const Entry*>& entries,
                 const std::set<std::string>& functions) {
  fmt::print("\n## {}\n\n{}\n\n", title, about);
  fmt::print(
      "| operation | shapes; attributes | dtypes | derivatives | gradients read | ONNX "
      "|\n|---|---|---|---|---|---|\n");
  for (const Entry* entry : entries) write_row(*entry, functions);
}

}  // namespace

int main(int argc, char** argv) {
  std::set<std::string> functions;
  std::ifstream names(argc > 1 ? argv[1] : "");
  for (std::string name; std::getline(names, name);) functions.insert(name);
  if (functions.empty()) {
    fmt::print(stderr, "usage: {} FUNCTIONS > every_op.md\n", argv[0]);
    return 2;
  }

  std::vector<Entry> entries;
  for (const Op& op : gradcheck::library_catalog().ops()) {
    Samples samples;
    op.samples(samples);
    entries.push_back({&op, samples.all()});
  }
  std::vector<const Entry*> elementwise, others, of_gradients;
  for (const Entry& entry : entries) {
    const nn::onnx::OpRow* row = nn::onnx::row_of(*entry.op->table);
    const bool internal = !functions.contains(entry.op->name) && (!row || !row->emit);
    (internal ? of_gradients : entry.op->formula ? elementwise : others).push_back(&entry);
  }

  fmt::print(
      "# Every operation\n\n"
      "The {} operations of the library, as the gradient checker knows them. What each computes and throws is "
      "said at its function. Shapes are those of one sample of the checker, with the attributes that it has "
      "there; elementwise operations take any shapes that broadcast. *Gradients read* names what a tape has "
      "to save for backward. ONNX says whether networks with it can be exported.\n",
      entries.size());
  write_table("Elementwise",
              "One formula for each element. Those whose name is no function are what functions and "
              "gradients are made of.",
              elementwise, functions);
  write_table("On whole tensors", "Those whose name is no function are what functions are made of.", others,
              functions);
  write_table("In gradients alone", "Operations that rules of derivatives apply.", of_gradients, functions);
  fmt::print(
      "\n## Where there is no derivative\n\n"
      "At kinks, ties and ends of domains the gradients are, by convention, those that the checker holds each "
      "operation to. Several operands, and their gradients, are separated by semicolons.\n\n"
      "| operation | attributes | at | gradients |\n|---|---|---|---|\n");
  for (const Entry& entry : entries) write_conventions(*entry.op, entry.samples);
}
