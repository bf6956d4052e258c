#pragma once

#include <tapegrad/ops/kernels/conv/correlation.h>

/// Correlations with kernels of 3 x 3 by Winograd's minimal filtering F(2x2, 3x3), which takes 16 multiplications where
/// the sums have 36: in each of 16 components, the tiles of the results are a matrix product of weights and tiles of
/// the source.
///
/// Each result depends on the elements and weights of its own sum only, and on no other image. It is as accurate as the
/// sums are for the product of the largest element and the largest weight that it meets, not for that of each pair.
/// Where it is not finite (of an infinity also a difference from itself is made) the sum itself is taken instead.
namespace tapegrad::detail {

/// Whether it is made for such shapes, and faster.
template <class T>
bool suits_winograd(const Correlation<T>& c);

template <class T>
void run_winograd(const Correlation<T>& c);

}  // namespace tapegrad::detail
