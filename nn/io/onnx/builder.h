#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/nn/io/onnx/model.h>
#include <tapegrad/nn/io/onnx/trace.h>

/// From a graph of the library's operations to nodes of ONNX. Not part of the library's interface.
namespace tapegrad::nn::onnx {

class Builder;

/// A value of the model, with operators that append nodes: formulas of composites read as they are written. A number
/// beside it takes its type.
struct Term {
  Builder* builder = nullptr;
  std::string name{};
  ElementType type = ElementType::f32;
};

/// A node of the operator `type` with one output, of the type of its first input.
Term f(std::string_view type, const std::vector<Term>& inputs, std::vector<Attribute> attributes = {});
/// The same of a first input that is not given, or of an output of another type.
Term f_of_type(std::string_view type, ElementType output, const std::vector<Term>& inputs,
               std::vector<Attribute> attributes = {});

/// A number of the type of `like`.
Term number(const Term& like, double value);

Term operator+(const Term& a, const Term& b);
Term operator-(const Term& a, const Term& b);
Term operator*(const Term& a, const Term& b);
Term operator/(const Term& a, const Term& b);
Term operator-(const Term& a);
inline Term operator+(const Term& a, double b) { return a + number(a, b); }
inline Term operator+(double a, const Term& b) { return number(b, a) + b; }
inline Term operator-(const Term& a, double b) { return a - number(a, b); }
inline Term operator-(double a, const Term& b) { return number(b, a) - b; }
inline Term operator*(const Term& a, double b) { return a * number(a, b); }
inline Term operator*(double a, const Term& b) { return number(b, a) * b; }
inline Term operator/(const Term& a, double b) { return a / number(a, b); }
inline Term operator/(double a, const Term& b) { return number(b, a) / b; }

/// Comparisons give booleans.
Term operator==(const Term& a, const Term& b);
Term operator<(const Term& a, const Term& b);
Term operator>(const Term& a, const Term& b);
inline Term operator==(const Term& a, double b) { return a == number(a, b); }
inline Term operator<(const Term& a, double b) { return a < number(a, b); }
inline Term operator>(const Term& a, double b) { return a > number(a, b); }

Term cast(const Term& x, ElementType to);
/// What is not 0.
Term as_mask(const Term& x);
Term where(const Term& mask, const Term& a, const Term& b);
inline Term where(const Term& mask, double a, const Term& b) { return where(mask, number(b, a), b); }
inline Term where(const Term& mask, const Term& a, double b) { return where(mask, a, number(a, b)); }

/// Reductions along these axes; none: x as it is.
Term reduce(std::string_view type, const Term& x, const std::vector<std::int64_t>& axes, bool keepdims);

class Builder {
 public:
  Builder(const Graph& graph, const OnnxOptions& options);

  const Graph& graph() const noexcept { return graph_; }
  /// Names of what is appended from here on start with the scope's, "net.fc2", and the operation's.
  void enter(const Operation& op);

  /// Appends a node, and gives its output `number`; nothing reads those before it.
  Term node(std::string_view type, const std::vector<Term>& inputs, ElementType output,
            std::vector<Attribute> attributes, std::size_t number = 0);
  /// A constant; of scalars and lists of whole numbers equal ones are stored once.
  Term constant(const Tensor& t, std::string_view hint);
  Term number(ElementType type, double value);
  Term integers(const std::vector<std::int64_t>& values);
  /// A vector of sizes, some of which may grow with the free ones.
  Term sizes(const Dims& dims);
  /// One of them as a scalar of a type.
  Term size(const Dim& dim, ElementType type);

  /// The value of the graph.
  Term term(std::size_t value);
  void define(std::size_t value, Term term);

  /// What a mask was cast to a number of; a term without a name where it was not.
  Term mask_behind(const Term& number) const;

  /// The model, with its outputs.
  Model finish() &&;

 private:
  std::string unique(std::string name);
  ElementType type_of(std::size_t value) const;
  ValueInfo info_of(std::size_t value, std::string name) const;
  Term free_size(std::size_t k);
  Term grown(const Dim& dim);
  Term expanded(const Value& value, Term one);

  const Graph& graph_;
  Model model_;
  std::string prefix_;
  std::map<std::string, int, std::less<>> names_;  ///< taken, with how often
  std::vector<Term> terms_;
  std::map<std::pair<ElementType, std::uint64_t>, Term> numbers_;
  std::map<std::vector<std::int64_t>, Term> integers_;
  std::map<std::string, Term> masks_;  ///< by the name of the number
  std::vector<Term> free_sizes_;       ///< [1] each
};

}  // namespace tapegrad::nn::onnx
