#pragma once

#include <tapegrad/ops/kernels/conv/correlation.h>

/// Convolutions in which each channel has a kernel of its own. Their sums are short, so that a plane costs about as
/// much to pass on as to multiply: it is copied once, and lines of the copy stay in registers for all results that they
/// are terms of.
namespace tapegrad::detail {

/// Whether they are made for such shapes.
template <class T>
bool suits_planes(const Correlation<T>& c);
template <class T>
void run_planes(const Correlation<T>& c);

/// The same for x of a convolution with a stride, all phases at once: in x they lie between each other.
template <class T>
bool suits_phases(const ConvShape& s);
template <class T>
void run_phases(const ConvShape& s, const T* y, const T* w, const T* bias, Destination<T> x);

}  // namespace tapegrad::detail
