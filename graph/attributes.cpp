#include <tapegrad/graph/attributes.h>

#include <fmt/format.h>

namespace tapegrad {

AttributeVisitor::~AttributeVisitor() = default;

void AttributeText::append(std::string_view name, std::string_view value) {
  text_ += fmt::format("{}{}={}", text_.empty() ? "" : ", ", name, value);
}
void AttributeText::boolean(std::string_view name, bool value) { append(name, value ? "true" : "false"); }
void AttributeText::integer(std::string_view name, std::int64_t value) {
  append(name, fmt::format("{}", value));
}
void AttributeText::number(std::string_view name, double value) { append(name, fmt::format("{:g}", value)); }
void AttributeText::dtype(std::string_view name, Dtype value) { append(name, name_of(value)); }
void AttributeText::integers(std::string_view name, std::span<const std::int64_t> values) {
  append(name, fmt::format("[{}]", fmt::join(values, ", ")));
}

}  // namespace tapegrad
