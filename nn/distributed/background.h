#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include <tapegrad/graph/export.h>

/// Not part of the library's interface.
namespace tapegrad::nn {

/// A thread that runs tasks 0, 1, 2, ... one after the other, each once it is told that the task is ready.
class Background {
 public:
  explicit Background(std::function<void(std::size_t)> run);
  /// Waits for the tasks that were ready.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Tasks below `count` are ready: what this thread has written before can be read by them.
  void ready(std::size_t count);
  /// Returns when all tasks that were ready have been run, and starts over with task 0. Throws what one has thrown;
  /// those behind it were not run.
  void wait();

 private:
  void work();

  std::function<void(std::size_t)> run_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t ready_ = 0;
  std::size_t done_ = 0;
  bool ends_ = false;
  std::exception_ptr failure_{};
  std::thread thread_;
};

}  // namespace tapegrad::nn
