#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/onnx/composites.h>
#include <tapegrad/nn/io/onnx/op_rows.h>
#include <tapegrad/ops/op_info.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

namespace {

using Emit = std::function<Term(OpContext&)>;

/// One node of this operator with the operation's inputs.
Emit to(std::string_view type, std::vector<Attribute> attributes = {}) {
  return [=](OpContext& c) { return f(type, c.all_inputs(), attributes); };
}
/// A formula of the first input.
template <class F>
Emit unary(F formula) {
  return [=](OpContext& c) { return formula(c.input(0)); };
}
template <class F>
Emit binary(F formula) {
  return [=](OpContext& c) { return formula(c.input(0), c.input(1)); };
}
/// A formula of the first input and the number that the attribute is.
template <class F>
Emit with_number(F formula, std::string_view attribute = "c") {
  return [=](OpContext& c) { return formula(c.input(0), c.number(attribute)); };
}
/// A comparison, as a number of the operands' type.
Emit compare(std::string_view type) {
  return [=](OpContext& c) {
    return cast(f_of_type(type, ElementType::boolean, c.all_inputs()), c.output_type());
  };
}
Emit reduction(std::string_view type) {
  return [=](OpContext& c) { return reduce(type, c.input(0), c.integers("axes"), c.flag("keepdims")); };
}
Emit position(std::string_view type) {
  return [=](OpContext& c) { return emit_position(c, type); };
}
/// An operator with the attribute "axis".
Emit along_axis(std::string_view type) {
  return [=](OpContext& c) { return f(type, c.all_inputs(), {{"axis", c.integer("axis")}}); };
}
Emit scatter(std::string_view type) {
  return [=](OpContext& c) {
    return f(type, c.all_inputs(), {{"axis", c.integer("axis")}, {"reduction", std::string("add")}});
  };
}
Emit loss(std::string_view type, Term (*elements)(OpContext&), double factor = 1) {
  return [=](OpContext& c) {
    const Term total = over_all(c, type, elements(c));
    return factor == 1 ? total : factor * total;
  };
}

Term exp(const Term& x) { return f("Exp", {x}); }
Term log(const Term& x) { return f("Log", {x}); }
Term sqrt(const Term& x) { return f("Sqrt", {x}); }
Term abs(const Term& x) { return f("Abs", {x}); }
Term sigmoid(const Term& x) { return f("Sigmoid", {x}); }
Term pow(const Term& x, const Term& y) { return f("Pow", {x, y}); }
Term maximum(const Term& a, const Term& b) { return f("Max", {a, b}); }

constexpr std::string_view kOfGradients = "rules of gradients alone apply it, and a model has none";

/// The table: a row an operation, in the order of <tapegrad/ops/op_list.h>.
std::vector<OpRow> make_rows() {
  using std::numbers::ln2, std::numbers::ln10, std::numbers::sqrt2;
  return {
      // ---- arithmetic ----
      {"add", to("Add")},
      {"sub", to("Sub")},
      {"mul", to("Mul")},
      {"div", to("Div")},
      {"pow", to("Pow")},
      {"maximum", to("Max")},
      {"minimum", to("Min")},
      {"atan2", emit_atan2},
      {"hypot", emit_hypot},
      {"xlogy", binary([](const Term& x, const Term& y) { return where(x == 0, 0, x * log(y)); })},
      {"logaddexp",
       binary([](const Term& a, const Term& b) { return maximum(a, b) + log(1 + exp(-abs(a - b))); })},
      {"remainder", emit_remainder},
      {"fmod", to("Mod", {{"fmod", std::int64_t{1}}})},
      {"add.scalar", with_number([](const Term& x, double c) { return x + c; })},
      {"sub.scalar_left", with_number([](const Term& x, double c) { return c - x; })},
      {"mul.scalar", with_number([](const Term& x, double c) { return x * c; })},
      {"div.scalar", with_number([](const Term& x, double c) { return x / c; })},
      {"div.scalar_left", with_number([](const Term& x, double c) { return c / x; })},
      {"pow.scalar", with_number([](const Term& x, double c) { return pow(x, number(x, c)); })},
      {"power_log", emit_power_log},
      {"clamp", emit_clamp},
      {"where", [](OpContext& c) { return where(as_mask(c.input(0)), c.input(1), c.input(2)); }},
      {"gaussian", with_number([](const Term& x, double c) { return exp(-c * (x * x)); })},
      {"logit_residual", binary([](const Term& x, const Term& t) { return sigmoid(x) - t; })},
      {"undefined_where", nullptr, kOfGradients},
      {"contribution", nullptr, kOfGradients},
      {"nan_to_num", emit_nan_to_num},
      {"direction_cosine", binary([](const Term& a, const Term& b) {
         const Term h = hypotenuse(a, b);
         return where(h == 0, 0, a / h);
       })},
      {"cosine_over_root", binary([](const Term& a, const Term& b) {
         const Term h = hypotenuse(a, b);
         return a / h / sqrt(h);
       })},
      {"reciprocal_real", binary([](const Term& a, const Term& b) {
         const Term h = hypotenuse(a, b);
         return a / h / h;
       })},
      // ---- functions ----
      {"neg", to("Neg")},
      {"square", unary([](const Term& x) { return x * x; })},
      {"sqrt", to("Sqrt")},
      {"rsqrt", unary([](const Term& x) { return 1 / sqrt(x); })},
      {"cbrt", unary([](const Term& x) { return f("Sign", {x}) * pow(abs(x), number(x, 1. / 3)); })},
      {"exp", to("Exp")},
      {"exp2", unary([](const Term& x) { return pow(number(x, 2), x); })},
      {"expm1", unary([](const Term& x) { return exp(x) - 1; })},
      {"log", to("Log")},
      {"log2", unary([](const Term& x) { return log(x) * (1 / ln2); })},
      {"log10", unary([](const Term& x) { return log(x) * (1 / ln10); })},
      {"log1p", unary([](const Term& x) { return log(1 + x); })},
      {"abs", to("Abs")},
      {"sign", to("Sign")},
      {"round", to("Round")},
      {"sin", to("Sin")},
      {"cos", to("Cos")},
      {"tan", to("Tan")},
      {"asin", to("Asin")},
      {"acos", to("Acos")},
      {"atan", to("Atan")},
      {"sinh", to("Sinh")},
      {"cosh", to("Cosh")},
      {"erf", to("Erf")},
      {"erfc", unary([](const Term& x) { return 1 - f("Erf", {x}); })},
      {"step", unary([](const Term& x) { return cast(x > 0, x.type); })},
      {"isfinite", emit_is_finite},
      {"isinf", emit_is_inf},
      {"isnan",
       unary([](const Term& x) { return cast(f_of_type("Not", ElementType::boolean, {x == x}), x.type); })},
      {"sigmoid_slope", unary([](const Term& x) { return sigmoid(x) * sigmoid(-x); })},
      {"tanh_slope", unary([](const Term& x) { return 4 * (sigmoid(2 * x) * sigmoid(-2 * x)); })},
      {"asin_slope", unary([](const Term& x) { return 1 / sqrt((1 - x) * (1 + x)); })},
      {"atan_slope", unary([](const Term& x) { return 1 / (1 + x * x); })},
      {"equal", compare("Equal")},
      {"not_equal", binary([](const Term& a, const Term& b) {
         return cast(f_of_type("Not", ElementType::boolean, {a == b}), a.type);
       })},
      {"less", compare("Less")},
      {"less_equal", compare("LessOrEqual")},
      {"greater", compare("Greater")},
      {"greater_equal", compare("GreaterOrEqual")},
      // ---- activations ----
      {"relu", to("Relu")},
      {"relu6", unary([](const Term& x) {
         return f("Clip", {x, number(x, 0), number(x, 6)});
       })},
      {"gelu", unary([](const Term& x) { return 0.5 * x * (1 + f("Erf", {x * (1 / sqrt2)})); })},
      {"gelu_tanh", emit_gelu_tanh},
      {"silu", unary([](const Term& x) { return x * sigmoid(x); })},
      {"mish", unary([](const Term& x) { return x * f("Tanh", {f("Softplus", {x})}); })},
      {"hardswish", emit_hardswish},
      {"selu", emit_selu},
      {"sigmoid", to("Sigmoid")},
      {"log_sigmoid", unary([](const Term& x) { return -f("Softplus", {-x}); })},
      {"hardsigmoid", emit_hardsigmoid},
      {"tanh", to("Tanh")},
      {"softsign", to("Softsign")},
      {"leaky_relu", emit_leaky_relu},
      {"elu", emit_elu},
      {"softplus", emit_softplus},
      {"prelu", emit_prelu},
      // ---- tensors ----
      {"cast", [](OpContext& c) { return cast(c.input(0), element_type_of(c.dtype("to"))); }},
      {"sum", reduction("ReduceSum")},
      {"mean", reduction("ReduceMean")},
      {"prod", reduction("ReduceProd")},
      {"times_powers", nullptr, kOfGradients},
      {"max", reduction("ReduceMax")},
      {"min", reduction("ReduceMin")},
      {"argmax", position("ArgMax")},
      {"argmin", position("ArgMin")},
      {"var", emit_variance},
      {"std", [](OpContext& c) { return sqrt(emit_variance(c)); }},
      {"logsumexp", reduction("ReduceLogSumExp")},
      {"norm", reduction("ReduceL2")},
      {"vector_norm", emit_vector_norm},
      {"cumsum",
       [](OpContext& c) {
         const Term axis = c.builder().number(ElementType::i64, static_cast<double>(c.integer("axis")));
         return f("CumSum", {c.input(0), axis}, {{"reverse", std::int64_t{c.flag("reverse")}}});
       }},
      {"reshape", emit_reshape},
      {"permute", emit_permute},
      {"flip", emit_flip},
      {"slice", emit_slice},
      {"unslice", nullptr, kOfGradients},
      {"concat", along_axis("Concat")},
      {"pad", emit_pad},
      {"broadcast_to",
       [](OpContext& c) {
         return f("Expand", {c.input(0), c.builder().sizes(c.output_dims())});
       }},
      {"gather", along_axis("GatherElements")},
      {"scatter_add", scatter("ScatterElements")},
      {"index_select", along_axis("Gather")},
      {"index_add", emit_index_add},
      {"one_hot", emit_one_hot},
      {"argsort",
       [](OpContext& c) {
         return c.builder().node("TopK", {c.input(0), c.builder().sizes({c.size("count")})}, ElementType::i64,
                                 {{"axis", c.integer("axis")},
                                  {"largest", std::int64_t{c.flag("descending")}},
                                  {"sorted", std::int64_t{1}}},
                                 1);
       }},
      {"matmul", emit_matmul},
      {"affine", emit_affine},
      {"softmax", along_axis("Softmax")},
      {"log_softmax", along_axis("LogSoftmax")},
      // ---- losses ----
      {"mse_loss", loss("ReduceMean", squared_difference)},
      {"half_sum_squared_error", loss("ReduceSum", squared_difference, 0.5)},
      {"huber_loss", loss("ReduceMean", huber_elements)},
      {"mse_loss_elements", squared_difference},
      {"huber_loss_elements", huber_elements},
      {"binary_cross_entropy_with_logits_elements", cross_entropy_elements},
      {"binary_cross_entropy_with_logits", loss("ReduceMean", cross_entropy_elements)},
      {"cross_entropy", [](OpContext& c) { return class_loss(c, log(c.input(0) + 1e-7)); }},
      {"softmax_with_loss",
       [](OpContext& c) {
         return class_loss(c, f("LogSoftmax", {c.input(0)}, {{"axis", std::int64_t{-1}}}));
       }},
      {"softmax_residual", nullptr, kOfGradients},
      // ---- layers ----
      {"batch_norm", emit_batch_norm},
      {"dropout", nullptr, "it draws random numbers; in evaluation mode a Dropout layer applies nothing"},
      {"dropout2d", nullptr, "it draws random numbers; in evaluation mode a Dropout2d layer applies nothing"},
      {"upsample", emit_upsample},
      {"upsample_adjoint", nullptr, kOfGradients},
      {"max_pool2d", emit_max_pool},
      {"max_pool2d_scatter", nullptr, kOfGradients},
      {"max_pool2d_gather", nullptr, kOfGradients},
      {"avg_pool2d", emit_avg_pool},
      {"avg_pool2d_adjoint", nullptr, kOfGradients},
      {"adaptive_avg_pool2d", emit_adaptive_avg_pool},
      {"adaptive_avg_pool2d_adjoint", nullptr, kOfGradients},
      {"im2col", emit_im2col},
      {"col2im", emit_col2im},
      {"conv2d", emit_conv},
      {"conv2d_relu", [](OpContext& c) { return f("Relu", {emit_conv(c)}); }},
      {"conv2d_max_pool", emit_conv_max_pool},
      {"conv_transpose2d", emit_conv_transpose},
      {"conv_weight2d", nullptr, kOfGradients},
  };
}

}  // namespace

std::span<const OpRow> op_rows() {
  static const std::vector<OpRow> kRows = make_rows();
  return kRows;
}

const OpRow* row_of(const tapegrad::detail::OpTable& table) {
  // By the table, as a user's operation may have the name of one of the library's.
  const auto own = library_ops();
  if (std::ranges::find(own, &table, &OpInfo::table) == own.end()) return nullptr;
  const auto rows = op_rows();
  const auto row = std::ranges::find(rows, std::string_view(table.name), &OpRow::name);
  return row == rows.end() ? nullptr : &*row;
}

void require_counterparts(const Graph& graph) {
  for (const Operation& op : graph.operations) {
    const OpRow* const row = row_of(*op.table);
    if (!row)
      throw ArgumentError(fmt::format(
          "save_onnx: {} is an operation of the program's own, or a formula of its own (map, "
          "scalar_function), and there is nothing known in ONNX that computes it; express it in the "
          "library's operations",
          label(op)));
    if (!row->emit)
      throw ArgumentError(fmt::format("save_onnx: {} has no counterpart: {}", label(op), row->reason));
  }
}

}  // namespace tapegrad::nn::onnx
