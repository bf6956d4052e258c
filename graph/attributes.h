#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/shape.h>

namespace tapegrad {

/// Is told the attributes of an operation, each by its name, in the order of Op::describe:
///
///     void describe(AttributeVisitor& v) const { v("axis", axis), v("keepdims", keepdims); }
///
/// Implemented by whatever prints, draws or exports a tape.
class TAPEGRAD_API AttributeVisitor {
 public:
  virtual ~AttributeVisitor();

  /// Tells the visitor an attribute and its value.
  void operator()(std::string_view name, bool value) { boolean(name, value); }
  template <std::integral I>
  void operator()(std::string_view name, I value) {
    integer(name, static_cast<std::int64_t>(value));
  }
  void operator()(std::string_view name, double value) { number(name, value); }
  void operator()(std::string_view name, Dtype value) { dtype(name, value); }
  void operator()(std::string_view name, const Shape& value) { integers(name, value.dims()); }
  void operator()(std::string_view name, std::span<const std::int64_t> values) { integers(name, values); }

 protected:
  /// Takes an attribute, by the kind of its value.
  virtual void boolean(std::string_view name, bool value) = 0;
  virtual void integer(std::string_view name, std::int64_t value) = 0;
  virtual void number(std::string_view name, double value) = 0;
  virtual void dtype(std::string_view name, Dtype value) = 0;
  virtual void integers(std::string_view name, std::span<const std::int64_t> values) = 0;
};

/// Collects attributes as text: "axis=1, keepdims=true".
class TAPEGRAD_API AttributeText final : public AttributeVisitor {
 public:
  const std::string& text() const noexcept { return text_; }  ///< What was collected.

 protected:
  void boolean(std::string_view name, bool value) override;
  void integer(std::string_view name, std::int64_t value) override;
  void number(std::string_view name, double value) override;
  void dtype(std::string_view name, Dtype value) override;
  void integers(std::string_view name, std::span<const std::int64_t> values) override;

 private:
  void append(std::string_view name, std::string_view value);
  std::string text_;
};

}  // namespace tapegrad
