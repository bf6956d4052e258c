#include <algorithm>
#include <string>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/tensor/einsum_formula.h>

#include <fmt/format.h>

namespace tapegrad::detail {

namespace {

constexpr std::string_view kArrow = "->";
constexpr std::string_view kEllipsis = "...";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// The letters of an operand or of the result, and where "..." stands among them.
struct Term {
  std::string text;
  Labels before;
  Labels after;
  bool ellipsis = false;

  std::size_t named() const { return before.size() + after.size(); }
  /// With labels for so many unnamed axes.
  Labels labels(std::size_t unnamed) const {
    Labels all = before;
    for (std::size_t i = unnamed; i-- > 0;) all.push_back(kUnnamed + static_cast<Label>(i));
    all.insert(all.end(), after.begin(), after.end());
    return all;
  }
};

Term term_of(const std::string& label, std::string_view text) {
  Term term{std::string(text), {}, {}};
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with(kEllipsis)) {
      if (term.ellipsis)
        throw ArgumentError(
            fmt::format("{}: '{}' has '...' twice; it stands for all unnamed axes", label, text));
      term.ellipsis = true;
      i += kEllipsis.size() - 1;
    } else if (is_letter(text[i])) {
      (term.ellipsis ? term.after : term.before).push_back(text[i]);
    } else {
      throw ArgumentError(fmt::format(
          "{}: '{}' is no name of an axis; a formula has letters, '...', ',' between operands and one "
          "'->' before the result",
          label, text[i]));
    }
  }
  return term;
}

std::vector<Term> terms_of(const std::string& label, std::string_view text) {
  std::vector<Term> terms;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(',', begin);
    terms.push_back(term_of(label, text.substr(begin, end == text.npos ? end : end - begin)));
    if (end == text.npos) return terms;
    begin = end + 1;
  }
}

std::string name_of(Label axis) {
  if (axis < kUnnamed) return fmt::format("'{}'", static_cast<char>(axis));
  return fmt::format("axis {} of '...'", -1 - (axis - kUnnamed));
}

}  // namespace

EinsumFormula::EinsumFormula(std::string_view formula, std::span<const Tensor> tensors) {
  const std::string label = fmt::format("{} '{}'", op_label("einsum"), formula);
  std::string text(formula);
  std::erase(text, ' ');
  const std::string_view all = text;
  const std::size_t arrow = all.find(kArrow);
  const std::vector<Term> terms = terms_of(label, all.substr(0, arrow));
  if (terms.size() != tensors.size())
    throw ArgumentError(
        fmt::format("{}: the formula is of {} operands, {} are given", label, terms.size(), tensors.size()));

  std::size_t most_unnamed = 0;
  for (std::size_t p = 0; p < terms.size(); ++p) {
    const Term& term = terms[p];
    const std::size_t rank = tensors[p].rank();
    if (term.ellipsis ? rank < term.named() : rank != term.named())
      throw ShapeError(fmt::format("{}: '{}' names {} axes{}, operand {} is {}", label, term.text,
                                   term.named(), term.ellipsis ? " beside '...'" : "", p,
                                   to_string(tensors[p].shape())));
    operands.push_back(term.labels(rank - term.named()));
    most_unnamed = std::max(most_unnamed, rank - term.named());
  }
  set_sizes(label, tensors);

  if (arrow == all.npos) {
    std::map<Label, int> occurrences;
    for (const Labels& operand : operands)
      for (const Label axis : operand) ++occurrences[axis];
    result = Term{{}, {}, {}, true}.labels(most_unnamed);
    for (const auto& [axis, count] : occurrences)
      if (axis < kUnnamed && count == 1) result.push_back(axis);
    return;
  }
  const Term term = term_of(label, all.substr(arrow + kArrow.size()));
  result = term.labels(term.ellipsis ? most_unnamed : 0);
  for (auto axis = result.begin(); axis != result.end(); ++axis) {
    if (!sizes.contains(*axis))
      throw ArgumentError(fmt::format("{}: the result has {}, which no operand has", label, name_of(*axis)));
    if (std::find(result.begin(), axis, *axis) != axis)
      throw ArgumentError(fmt::format("{}: the result has {} twice", label, name_of(*axis)));
  }
}

void EinsumFormula::set_sizes(const std::string& label, std::span<const Tensor> tensors) {
  std::map<Label, std::size_t> found_in;  // the operand that a size is from
  for (std::size_t p = 0; p < operands.size(); ++p)
    for (std::size_t i = 0; i < operands[p].size(); ++i) {
      const Label axis = operands[p][i];
      const std::int64_t size = tensors[p].shape()[i];
      const auto require = [&](bool fits, std::size_t other, std::int64_t other_size) {
        if (!fits)
          throw ShapeError(fmt::format(
              "{}: {} is of size {} in operand {} {}, and of size {} in operand {} {}", label, name_of(axis),
              other_size, other, to_string(tensors[other].shape()), size, p, to_string(tensors[p].shape())));
      };
      const auto twin = static_cast<std::size_t>(std::ranges::find(operands[p], axis) - operands[p].begin());
      if (twin < i) {
        require(tensors[p].shape()[twin] == size, p, tensors[p].shape()[twin]);
        continue;
      }
      const auto [known, first] = sizes.try_emplace(axis, size);
      require(known->second == size || known->second == 1 || size == 1, found_in[axis], known->second);
      if (first || known->second == 1) {
        known->second = size;
        found_in[axis] = p;
      }
    }
}

}  // namespace tapegrad::detail
