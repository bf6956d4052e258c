#include <tapegrad/ops/scalar/scalar_record.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/scalar/real.h>
#include <tapegrad/ops/scalar/tensor_number.h>

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

template <class V>
constinit thread_local ScalarRecord<V>* ScalarRecord<V>::active_ = nullptr;

template <class V>
struct ScalarRecord<V>::Memory {
  std::vector<Chunk> chunks;
  std::vector<V> derivatives;

  std::size_t cells() const {
    std::size_t all = 0;
    for (const Chunk& c : chunks) all += c.size;
    return all;
  }
};

template <class V>
std::unique_ptr<typename ScalarRecord<V>::Memory>& ScalarRecord<V>::spare() {
  static thread_local std::unique_ptr<Memory> memory;
  return memory;
}

template <class V>
ScalarRecord<V>::ScalarRecord(std::size_t inputs)
    : last_(static_cast<std::uint32_t>(inputs)), epoch_(next_epoch()), inputs_(inputs), outer_(active_) {
  if (inputs >= std::numeric_limits<std::uint32_t>::max())
    throw ArgumentError("a function of scalars takes fewer than 2^32 inputs");
  memory_ = std::move(spare());
  if (!memory_) memory_ = std::make_unique<Memory>();
  active_ = this;
}

template <class V>
ScalarRecord<V>::~ScalarRecord() {
  active_ = outer_;
  // Tensors would stay where they are held.
  if constexpr (std::is_trivially_destructible_v<V>)
    if (memory_->cells() <= kMostHeld) spare() = std::move(memory_);
}

template <class V>
void ScalarRecord<V>::next_chunk(std::size_t cells) {
  std::vector<Chunk>& chunks = memory_->chunks;
  if (chunk_ > 0) chunks[chunk_ - 1].used = at_;
  while (chunk_ < chunks.size() && chunks[chunk_].size < cells)
    chunks.erase(chunks.begin() + static_cast<std::ptrdiff_t>(chunk_));
  if (chunk_ == chunks.size()) {
    const std::size_t next = chunks.empty() ? kFirstChunk : std::min(2 * chunks.back().size, kLongestChunk);
    if (memory_->cells() + next + cells >= std::numeric_limits<std::uint32_t>::max())
      throw Error("a function of scalars has more than 2^32 operands; make it of several functions");
    const std::size_t size = std::max(next, cells);
    chunks.push_back({std::make_unique_for_overwrite<Cell[]>(size), size});
  }
  at_ = chunks[chunk_].cells.get();
  end_ = at_ + chunks[chunk_].size;
  ++chunk_;
}

template <class V>
auto ScalarRecord<V>::end_of(std::size_t chunk) const noexcept -> const Cell* {
  return chunk + 1 == chunk_ ? at_ : memory_->chunks[chunk].used;
}

template <class V>
std::size_t ScalarRecord<V>::cells() const noexcept {
  std::size_t count = 0;
  for (std::size_t c = 0; c < chunk_; ++c)
    count += static_cast<std::size_t>(end_of(c) - memory_->chunks[c].cells.get());
  return count;
}

template <class V>
void ScalarRecord<V>::copy_cells(Cell* to) const {
  for (std::size_t c = 0; c < chunk_; ++c)
    to = std::copy(static_cast<const Cell*>(memory_->chunks[c].cells.get()), end_of(c), to);
}

template <class V>
std::uint32_t pass_back(const ScalarCell<V>* first, const ScalarCell<V>* last, std::uint32_t number, V* d) {
  while (last != first) {
    const std::uint32_t count = last[-1].count;
    if (count == 0 || count > static_cast<std::size_t>(last - first) || number == 0) [[unlikely]]
      throw_damaged_record();
    const ScalarCell<V>* const statement = last - count;
    const V g = d[number--];
    if (is_zero(g))
      last = statement;
    else
      while (last != statement) {
        --last;
        if (last->operand > number) [[unlikely]]
          throw_damaged_record();
        add_product(d[last->operand], g, last->partial);
      }
  }
  return number;
}

template <class V>
void ScalarRecord<V>::pass_back(V* d) const {
  std::uint32_t number = last_;
  for (std::size_t c = chunk_; c-- > 0;)
    number = detail::pass_back<V>(memory_->chunks[c].cells.get(), end_of(c), number, d);
}

template <class V>
std::vector<V> ScalarRecord<V>::gradients(std::span<const BasicReal<V>> results, std::span<const V> weights) {
  std::vector<V>& d = memory_->derivatives;
  d.assign(std::size_t{last_} + 1, V(0));
  for (std::size_t i = 0; i < results.size(); ++i)
    if (const std::uint32_t number = results[i].number_in(*this)) add_product(d[number], weights[i], V(1));
  const auto inputs = d.begin() + 1;
  pass_back(d.data());
  return {inputs, inputs + static_cast<std::ptrdiff_t>(inputs_)};
}

#define TAPEGRAD_ROW(V)           \
  template class ScalarRecord<V>; \
  template std::uint32_t pass_back(const ScalarCell<V>*, const ScalarCell<V>*, std::uint32_t, V*);
TAPEGRAD_SCALAR_VALUES(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

void throw_damaged_record() { throw Error("scalar_function: the record of its statements is damaged"); }

void throw_foreign_real(bool recording) {
  throw Error(
      recording
          ? "a Real of another evaluation is used here; it ends with the function that it was an argument "
            "of, or computed in. value() of it is a number that stays"
          : "a Real is used that has outlived its function; value() of it is a number that stays");
}

}  // namespace tapegrad::detail
