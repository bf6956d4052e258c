#pragma once

#include <string>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/data/dataset.h>

namespace tapegrad::nn {

/// Images of ten digits, or what is published in the same format.
struct Mnist {
  Dataset train;  ///< of the files train-*
  Dataset test;   ///< of the files t10k-*
};

/// The four files of a folder in MNIST's format: train-images, train-labels, t10k-images and t10k-labels,
/// each -idx3-ubyte (labels -idx1-ubyte) or .idx3-ubyte, plain or with .gz. Any number and size of images.
/// Throws FileError naming the file, what was expected and what was found, ArgumentError for less than one class, and
/// OutOfMemory where there is no memory for the images.
TAPEGRAD_API Mnist load_mnist(const std::string& folder, const ImageOptions& options = {});

}  // namespace tapegrad::nn
