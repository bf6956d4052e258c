#include <atomic>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <tapegrad/graph/at_fork.h>
#include <tapegrad/graph/unlisted.h>

namespace tapegrad::detail {

namespace {

struct Notes {
  std::mutex mutex;
  std::unordered_map<std::uint64_t, UnlistedNote> of;
  /// So that those who ask where nothing is noted wait for no other thread.
  std::atomic<bool> any = false;
};

// Never destroyed: modules that are static variables outlive it otherwise.
Notes& notes() {
  static Notes& all = *new Notes;
  return all;
}
std::mutex& mutex_of_notes() noexcept { return notes().mutex; }

}  // namespace

void note_unlisted(std::uint64_t parameter, UnlistedNote note) {
  unlock_in_children<&mutex_of_notes>();
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  n.of.try_emplace(parameter, std::move(note));
  n.any = true;
}

void drop_unlisted(std::uint64_t parameter) noexcept {
  Notes& n = notes();
  if (!n.any) return;
  const std::lock_guard lock(n.mutex);
  n.of.erase(parameter);
  n.any = !n.of.empty();
}

bool any_unlisted() noexcept { return notes().any; }

UnlistedNote unlisted_note(std::uint64_t parameter) {
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  const auto at = n.of.find(parameter);
  return at == n.of.end() ? UnlistedNote() : at->second;
}

}  // namespace tapegrad::detail
