#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/storage.h>

namespace tapegrad {

class Shape;

namespace detail {
struct ScopePath;
using PoolString = std::basic_string<char, std::char_traits<char>, PoolAllocator<char>>;
}  // namespace detail

/// Names what is computed while it lives, for messages: errors and Tape::check_finite then speak of
/// `affine 'net.fc2'`. Modules open one around their forward. The name must outlive the scope.
class TAPEGRAD_API NameScope {
 public:
  /// A scope of this name, about no object.
  explicit NameScope(std::string_view name) : NameScope(name, nullptr, nullptr) {}
  /// What there is to ask about the subjects of scopes.
  struct Kind {
    /// Appends the name of the scope's subject. Asked when the name is needed: for a message, and when a tape first
    /// records inside.
    void (*find_name)(const NameScope& scope, detail::PoolString& name);
    /// A tape reads a parameter inside, for the first time.
    void (*reads_parameter)(const NameScope& scope, std::uint64_t parameter, const Shape& shape);
  };
  /// A scope about an object; where `name` is empty, its kind finds the name.
  NameScope(std::string_view name, const void* subject, const Kind* kind);
  ~NameScope();
  NameScope(const NameScope&) = delete;
  NameScope& operator=(const NameScope&) = delete;

  /// The object it is about, or null.
  const void* subject() const noexcept { return subject_; }
  /// The nearest scope around that is about an object of the same kind, or null.
  const NameScope* around() const noexcept;

  /// The names from the outermost scope of this thread inward, joined by dots; empty outside any scope.
  static std::string path();

 private:
  friend class Tape;
  void append_to(detail::PoolString& path) const;

  std::string_view name_;
  const void* subject_;
  const Kind* kind_;
  NameScope* outer_;
  // The path as the tape of this epoch has interned it.
  std::uint64_t epoch_ = 0;
  const detail::ScopePath* interned_ = nullptr;
};

}  // namespace tapegrad
