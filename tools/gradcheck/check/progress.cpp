#include <ctime>
#include <utility>

#include <tapegrad/gradcheck/check/progress.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {
thread_local Progress* current = nullptr;
}  // namespace

double processor_seconds() noexcept {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

std::string Progress::Activity::place() const {
  std::string text = fmt::format("order {}", order);
  for (const std::string& more : {part, input + index})
    if (!more.empty()) text += ", " + more;
  return text;
}

Progress::Activity Progress::activity() const {
  const std::lock_guard lock(mutex_);
  return activity_;
}

std::vector<Subject::Sample> Progress::finished() const {
  const std::lock_guard lock(mutex_);
  return finished_;
}

std::vector<MutationResult> Progress::finished_mutations() const {
  const std::lock_guard lock(mutex_);
  return finished_mutations_;
}

Progress::Watched::Watched(Progress& progress) : before_(std::exchange(current, &progress)) {}
Progress::Watched::~Watched() { current = before_; }

bool Progress::is_watched() noexcept { return current != nullptr; }

void Progress::begin(Subject::Sample sample, std::string mutation) {
  if (!current) return;
  const std::lock_guard lock(current->mutex_);
  current->activity_ = {.sample = std::move(sample), .mutation = std::move(mutation)};
}

void Progress::end(const Subject::Sample& sample) {
  if (!current) return;
  const std::lock_guard lock(current->mutex_);
  current->finished_.push_back(sample);
  current->activity_ = {};
}

void Progress::end(const MutationResult& mutation) {
  if (!current) return;
  const std::lock_guard lock(current->mutex_);
  current->finished_mutations_.push_back(mutation);
}

void Progress::at(int order, std::string_view part, std::string_view input, std::string_view index) {
  if (!current) return;
  const std::lock_guard lock(current->mutex_);
  current->activity_.order = order;
  current->activity_.part = part;
  current->activity_.input = input;
  current->activity_.index = index;
}

}  // namespace tapegrad::gradcheck::detail
