#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include <tapegrad/graph/export.h>

namespace tapegrad::detail {

/// Members that a module was seen to use and that neither its visit() nor that of a module around it lists. Only ever
/// longer, by any thread. Not part of the library's interface.
class TAPEGRAD_API UnlistedMembers {
 public:
  struct Note {
    std::uint64_t parameter;  ///< 0: of a module that has none
    /// Then one that its user lists, by which optimizers find the note; 0 where it has none.
    std::uint64_t beside;
    std::string text;
    Note* next;
  };

  UnlistedMembers() noexcept = default;
  UnlistedMembers(UnlistedMembers&& o) noexcept : first_(o.first_.exchange(nullptr)) {}
  UnlistedMembers& operator=(UnlistedMembers&& o) noexcept {
    if (this != &o) {
      clear();
      first_ = o.first_.exchange(nullptr);
    }
    return *this;
  }
  ~UnlistedMembers() { clear(); }

  /// Does nothing for what is noted already.
  void add(std::uint64_t parameter, const std::string& text) { add(parameter, 0, text); }
  void add_without_parameters(std::uint64_t beside, const std::string& text) { add(0, beside, text); }
  const Note* first() const noexcept { return first_; }

 private:
  void add(std::uint64_t parameter, std::uint64_t beside, const std::string& text);
  void clear() noexcept;

  std::atomic<Note*> first_ = nullptr;
};

}  // namespace tapegrad::detail
