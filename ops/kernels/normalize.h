#pragma once

#include <cstdint>

#include <tapegrad/ops/loops/destination.h>

/// The loops of batch normalisation: over x [items, channels, inner], with numbers for each channel. The threads share
/// tiles that depend on the shape alone.
namespace tapegrad::detail {

struct ChannelShape {
  std::int64_t items;
  std::int64_t channels;
  std::int64_t inner;  ///< elements of a channel of an item, side by side; 1 for features

  std::int64_t elements() const { return items * inner; }  ///< of a channel
};

struct ChannelStatistics {
  const double* mean;
  const double* variance;  ///< sum (x - mean)^2 / elements
  double eps;              ///< is added to the variance

  ChannelStatistics from(std::int64_t channel) const { return {mean + channel, variance + channel, eps}; }
};

/// One pass over memory. Sums are taken of the distances from the mean of a few elements, and in f64 beyond these, so
/// that channels far from zero keep their digits.
template <class T>
void channel_statistics(const ChannelShape& shape, const T* x, double* mean, double* variance);

/// y = gamma (x - mean) / sqrt(variance + eps) + beta
template <class T>
void normalize_channels(const ChannelShape& shape, const T* x, const ChannelStatistics& s, const T* gamma,
                        const T* beta, T* y);

/// The gradients of gamma and beta: the sums over a channel of g (x - mean) / sqrt(variance + eps), and of g.
template <class T>
void normalize_sums(const ChannelShape& shape, const T* g, const T* x, const ChannelStatistics& s,
                    double* dgamma, double* dbeta);

/// The gradient of x, which the statistics were taken of.
template <class T>
void normalize_gradient(const ChannelShape& shape, const T* g, const T* x, const ChannelStatistics& s,
                        const T* gamma, const double* dgamma, const double* dbeta, Destination<T> dx);

}  // namespace tapegrad::detail
