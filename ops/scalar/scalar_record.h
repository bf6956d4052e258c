#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include <tapegrad/graph/export.h>

/// What statements of scalars are recorded in. Not part of the library's interface: <tapegrad/ops/scalar/real.h> is.
namespace tapegrad {
template <class V>
class BasicReal;
}

namespace tapegrad::detail {

/// One operand of a statement, as it lies in the record.
template <class V>
struct ScalarCell {
  V partial;              ///< derivative of the statement's result for it
  std::uint32_t operand;  ///< the number of the statement, or input, that it is the result of
  std::uint32_t count;    ///< how many cells the statement has, in the last of them; 0 in others
};

/// The statements of one evaluation with numbers V, in chunks of memory that are used again. Inputs have the numbers
/// from 1, statements those that follow; 0 is a constant.
template <class V>
class ScalarRecord {
 public:
  using Cell = ScalarCell<V>;

  /// For a function of so many inputs. Until it is destroyed, statements of this thread with these numbers are recorded
  /// in it, and not in one that was there before.
  explicit ScalarRecord(std::size_t inputs);
  ~ScalarRecord();
  ScalarRecord(const ScalarRecord&) = delete;
  ScalarRecord& operator=(const ScalarRecord&) = delete;

  /// The innermost one of this thread, or null.
  static ScalarRecord* active() noexcept { return active_; }
  /// Different for each record there has been, but for 2^32 of them.
  std::uint32_t epoch() const noexcept { return epoch_; }

  /// Room for so many cells of one statement.
  Cell* room(std::size_t cells) {
    if (static_cast<std::size_t>(end_ - at_) < cells) [[unlikely]]
      next_chunk(cells);
    return at_;
  }
  /// Takes the cells up to `end` as those of a statement, and returns its number; 0 where there are none.
  std::uint32_t finish(Cell* end) noexcept {
    if (end == at_) return 0;
    end[-1].count = static_cast<std::uint32_t>(end - at_);
    at_ = end;
    return ++last_;
  }

  /// How many inputs and statements there are.
  std::size_t size() const noexcept { return last_; }
  std::size_t cells() const noexcept;
  /// All cells in order, to `to`.
  void copy_cells(Cell* to) const;

  /// d[i], the gradient for the statement with the number i, is passed on to its operands, from the last statement to
  /// the first: d[1] ... are then the gradients of the inputs.
  void pass_back(V* d) const;
  /// The gradients of the inputs for the sum of the results times their weights: one pass back. Throws Error where a
  /// result belongs to another record.
  std::vector<V> gradients(std::span<const BasicReal<V>> results, std::span<const V> weights);

 private:
  struct Chunk {
    std::unique_ptr<Cell[]> cells;
    std::size_t size = 0;
    Cell* used = nullptr;  ///< where its statements end; of all but the last one
  };
  struct Memory;
  /// What the last evaluation of this thread has left: those that follow each other ask the system for nothing.
  static std::unique_ptr<Memory>& spare();
  void next_chunk(std::size_t cells);
  const Cell* end_of(std::size_t chunk) const noexcept;

  static constinit thread_local ScalarRecord* active_;

  Cell* at_ = nullptr;
  Cell* end_ = nullptr;
  std::uint32_t last_;
  std::uint32_t epoch_;
  std::size_t inputs_;
  std::size_t chunk_ = 0;  ///< the one in use, from 1
  std::unique_ptr<Memory> memory_;
  ScalarRecord* outer_;
};

/// Goes back over the statements in [first, last), the last of which has the number `number`, as
/// ScalarRecord::pass_back does. Returns the number of the statement before the first. Throws Error where they are not
/// whole statements of operands before them: nothing else tells a record that has been altered from a sound one.
template <class V>
std::uint32_t pass_back(const ScalarCell<V>* first, const ScalarCell<V>* last, std::uint32_t number, V* d);

class TensorNumber;
#define TAPEGRAD_SCALAR_VALUES(row) \
  row(double) row(BasicReal<double>) row(TensorNumber) row(BasicReal<TensorNumber>)
#define TAPEGRAD_ROW(V)                                                                            \
  extern template class TAPEGRAD_API ScalarRecord<V>;                                              \
  extern template TAPEGRAD_API std::uint32_t pass_back(const ScalarCell<V>*, const ScalarCell<V>*, \
                                                       std::uint32_t, V*);
TAPEGRAD_SCALAR_VALUES(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

[[noreturn]] TAPEGRAD_API void throw_damaged_record();
[[noreturn]] TAPEGRAD_API void throw_foreign_real(bool recording);

}  // namespace tapegrad::detail
