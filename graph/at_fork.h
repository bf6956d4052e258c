#pragma once

#include <mutex>
#include <new>

#include <pthread.h>

#include <tapegrad/graph/export.h>

namespace tapegrad::detail {

/// A child of fork gets the mutex that kMutex gives unlocked, whatever the parent's other threads were doing; kInChild
/// is called before, with the mutex locked. Called again it does nothing. Throws std::bad_alloc.
template <std::mutex& (*kMutex)() noexcept, void (*kInChild)() noexcept = nullptr>
void unlock_in_children() {
  [[maybe_unused]] static const bool prepared = [] {
    const auto in_child = [] {
      if constexpr (kInChild != nullptr) kInChild();
      kMutex().unlock();
    };
    if (pthread_atfork([] { kMutex().lock(); }, [] { kMutex().unlock(); }, in_child) != 0)
      throw std::bad_alloc();
    return true;
  }();
}

}  // namespace tapegrad::detail
