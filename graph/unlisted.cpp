#include <atomic>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <tapegrad/graph/unlisted.h>

namespace tapegrad::detail {

namespace {

struct Notes {
  std::mutex mutex;
  std::unordered_map<std::uint64_t, std::string> texts;
  /// So that those who ask where nothing is noted, as in every correct program, wait for no other thread.
  std::atomic<bool> any = false;
};

// Never destroyed: modules that are static variables outlive it otherwise.
Notes& notes() {
  static Notes& all = *new Notes;
  return all;
}

}  // namespace

void note_unlisted(std::uint64_t parameter, std::string text) {
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  n.texts.try_emplace(parameter, std::move(text));
  n.any = true;
}

void drop_unlisted(std::uint64_t parameter) noexcept {
  Notes& n = notes();
  const std::lock_guard lock(n.mutex);
  n.texts.erase(parameter);
  n.any = !n.texts.empty();
}

std::string unlisted_text(std::uint64_t parameter) {
  Notes& n = notes();
  if (!n.any) return {};
  const std::lock_guard lock(n.mutex);
  const auto at = n.texts.find(parameter);
  return at == n.texts.end() ? std::string() : at->second;
}

}  // namespace tapegrad::detail
