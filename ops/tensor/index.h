#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Elements picked by tensors of indices, which are i64 and count from 0: negative ones are refused, so that
/// a label of -1 does not silently pick the last class. An index outside throws ArgumentError, which names
/// it, its position and the bound. Values may have any dtype. All throw ArgumentError for an undefined tensor or an
/// axis that does not exist, DtypeError for indices that are not i64, and ShapeError for shapes other than those named.
namespace tapegrad {

/// y[i, j, k] = x[i, index[i, j, k], k] for axis 1, and so on. x and index agree in the sizes of all other axes.
TAPEGRAD_API Tensor gather(const Tensor& x, std::int64_t axis, const Tensor& index);
/// The entries of an axis that a vector of indices names, in its order.
TAPEGRAD_API Tensor index_select(const Tensor& x, std::int64_t axis, const Tensor& indices);

/// x with the elements of src added at y[i, index[i, j, k], k] for axis 1, and so on: the gradient of gather.
/// Equal indices add up, in the order of src. src has the shape of index, which agrees with x in the sizes of
/// all other axes. Throws DtypeError where the dtypes of x and src differ.
TAPEGRAD_API Tensor scatter_add(const Tensor& x, std::int64_t axis, const Tensor& index, const Tensor& src);
/// x with the entries of src added to those that a vector of indices names: the gradient of index_select. src has the
/// shape that index_select gives. Throws DtypeError where the dtypes of x and src differ.
TAPEGRAD_API Tensor index_add(const Tensor& x, std::int64_t axis, const Tensor& indices, const Tensor& src);

/// 1 at each label and 0 elsewhere, along a new last axis of size `classes`. Not differentiable.
/// Throws ArgumentError for less than 0 classes.
TAPEGRAD_API Tensor one_hot(const Tensor& labels, std::int64_t classes, Dtype dtype = f32);

}  // namespace tapegrad
