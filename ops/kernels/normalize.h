#pragma once

#include <cstdint>

#include <tapegrad/ops/loops/destination.h>

/// The loops of batch normalisation: over matrices [rows, columns], with numbers for each column. The threads
/// share blocks of rows and columns that depend on the shape alone.
namespace tapegrad::detail {

struct ColumnStatistics {
  const double* mean;
  const double* variance;  ///< sum (x - mean)^2 / rows
  double eps;              ///< is added to the variance

  ColumnStatistics from(std::int64_t column) const { return {mean + column, variance + column, eps}; }
};

/// One pass over memory. Sums are taken of the distances from the mean of a few rows, and in f64 beyond
/// these, so that columns far from zero keep their digits.
template <class T>
void column_statistics(std::int64_t rows, std::int64_t columns, const T* x, double* mean, double* variance);

/// y = gamma (x - mean) / sqrt(variance + eps) + beta
template <class T>
void normalize_columns(std::int64_t rows, std::int64_t columns, const T* x, const ColumnStatistics& s,
                       const T* gamma, const T* beta, T* y);

/// The gradients of gamma and beta: the sums over rows of g (x - mean) / sqrt(variance + eps), and of g.
template <class T>
void normalize_sums(std::int64_t rows, std::int64_t columns, const T* g, const T* x,
                    const ColumnStatistics& s, double* dgamma, double* dbeta);

/// The gradient of x, which the statistics were taken of.
template <class T>
void normalize_gradient(std::int64_t rows, std::int64_t columns, const T* g, const T* x,
                        const ColumnStatistics& s, const T* gamma, const double* dgamma, const double* dbeta,
                        Destination<T> dx);

}  // namespace tapegrad::detail
