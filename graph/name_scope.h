#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/storage.h>

namespace tapegrad {

namespace detail {
struct ScopePath;
using PoolString = std::basic_string<char, std::char_traits<char>, PoolAllocator<char>>;
}  // namespace detail

/// Names what is computed while it lives, for messages: errors and Tape::check_finite then speak of
/// `affine 'net.fc2'`. Modules open one around their forward. The name must outlive the scope.
class TAPEGRAD_API NameScope {
 public:
  explicit NameScope(std::string_view name) : NameScope(name, nullptr, nullptr) {}
  /// Appends the name of `subject` as seen from `outer`: the subject of the nearest scope around that has the
  /// same function, or null.
  using FindName = void (*)(const void* subject, const void* outer, detail::PoolString& name);
  /// A scope about an object. Where `name` is empty, `find` is asked when the name is needed: for a message,
  /// and when a tape first records inside.
  NameScope(std::string_view name, const void* subject, FindName find);
  ~NameScope();
  NameScope(const NameScope&) = delete;
  NameScope& operator=(const NameScope&) = delete;

  /// The names from the outermost scope of this thread inward, joined by dots; empty outside any scope.
  static std::string path();

 private:
  friend class Tape;
  void append_to(detail::PoolString& path) const;

  std::string_view name_;
  const void* subject_;
  FindName find_;
  NameScope* outer_;
  // The path as the tape of this epoch has interned it.
  std::uint64_t epoch_ = 0;
  const detail::ScopePath* interned_ = nullptr;
};

}  // namespace tapegrad
