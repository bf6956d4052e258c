#include <tapegrad/ops/scalar/scalar_record.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include <tapegrad/graph/errors.h>

namespace tapegrad::detail {

namespace {

constexpr std::size_t kFirstChunk = std::size_t{1} << 12;
constexpr std::size_t kLongestChunk = std::size_t{1} << 20;
/// Cells that a thread holds for its next evaluation.
constexpr std::size_t kMostHeld = std::size_t{1} << 24;

std::uint32_t next_epoch() noexcept {
  static constinit std::atomic<std::uint32_t> count{0};
  return count.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

constinit thread_local ScalarRecord* ScalarRecord::active_ = nullptr;

struct ScalarRecord::Memory {
  std::vector<Chunk> chunks;
  std::vector<double> derivatives;

  std::size_t cells() const {
    std::size_t all = 0;
    for (const Chunk& c : chunks) all += c.size;
    return all;
  }
};

std::unique_ptr<ScalarRecord::Memory>& ScalarRecord::spare() {
  static thread_local std::unique_ptr<Memory> memory;
  return memory;
}

ScalarRecord::ScalarRecord(std::size_t inputs)
    : last_(static_cast<std::uint32_t>(inputs)), epoch_(next_epoch()), inputs_(inputs), outer_(active_) {
  if (inputs >= std::numeric_limits<std::uint32_t>::max())
    throw ArgumentError("a function of scalars takes fewer than 2^32 inputs");
  memory_ = std::move(spare());
  if (!memory_) memory_ = std::make_unique<Memory>();
  active_ = this;
}

ScalarRecord::~ScalarRecord() {
  active_ = outer_;
  if (memory_->cells() <= kMostHeld) spare() = std::move(memory_);
}

void ScalarRecord::next_chunk(std::size_t cells) {
  std::vector<Chunk>& chunks = memory_->chunks;
  if (chunk_ > 0) chunks[chunk_ - 1].used = at_;
  while (chunk_ < chunks.size() && chunks[chunk_].size < cells)
    chunks.erase(chunks.begin() + static_cast<std::ptrdiff_t>(chunk_));
  if (chunk_ == chunks.size()) {
    const std::size_t next = chunks.empty() ? kFirstChunk : std::min(2 * chunks.back().size, kLongestChunk);
    if (memory_->cells() + next + cells >= std::numeric_limits<std::uint32_t>::max())
      throw Error("a function of scalars has more than 2^32 operands; make it of several functions");
    const std::size_t size = std::max(next, cells);
    chunks.push_back({std::make_unique_for_overwrite<ScalarCell[]>(size), size});
  }
  at_ = chunks[chunk_].cells.get();
  end_ = at_ + chunks[chunk_].size;
  ++chunk_;
}

template <class F>
void ScalarRecord::for_each_chunk(const F& f) const {
  for (std::size_t c = 0; c < chunk_; ++c) {
    const Chunk& chunk = memory_->chunks[c];
    f(chunk.cells.get(), c + 1 == chunk_ ? at_ : chunk.used);
  }
}

std::size_t ScalarRecord::cells() const noexcept {
  std::size_t count = 0;
  for_each_chunk([&](const ScalarCell* first, const ScalarCell* last) {
    count += static_cast<std::size_t>(last - first);
  });
  return count;
}

void ScalarRecord::copy_cells(ScalarCell* to) const noexcept {
  for_each_chunk([&](const ScalarCell* first, const ScalarCell* last) { to = std::copy(first, last, to); });
}

std::uint32_t pass_back(const ScalarCell* first, const ScalarCell* last, std::uint32_t number,
                        double* d) noexcept {
  while (last != first) {
    const ScalarCell* const statement = last - last[-1].count;
    const double g = d[number--];
    if (g == 0)
      last = statement;
    else
      while (last != statement) {
        --last;
        d[last->operand] += g * last->partial;
      }
  }
  return number;
}

void ScalarRecord::add_gradients(std::uint32_t result, double weight, std::span<double> gradients) {
  if (result == 0) return;
  std::vector<double>& d = memory_->derivatives;
  d.assign(std::size_t{last_} + 1, 0.0);
  d[result] = weight;
  std::uint32_t number = last_;
  for (std::size_t c = chunk_; c-- > 0;) {
    const Chunk& chunk = memory_->chunks[c];
    number = pass_back(chunk.cells.get(), c + 1 == chunk_ ? at_ : chunk.used, number, d.data());
  }
  for (std::size_t i = 0; i < inputs_; ++i) gradients[i] += d[i + 1];
}

void throw_foreign_real(bool recording) {
  throw Error(
      recording
          ? "a Real of another evaluation is used here; it ends with the function that it was an argument "
            "of, or computed in. value() of it is a number that stays"
          : "a Real is used that has outlived its function; value() of it is a number that stays");
}

}  // namespace tapegrad::detail
