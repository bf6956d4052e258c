#pragma once

#include <string>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/idx.h>

namespace tapegrad::nn {

/// The data set as it is published: 50,000 images to train on, 10,000 to test on.
struct Cifar10 {
  Dataset train;  ///< of the files data_batch_*.bin
  Dataset test;   ///< of test_batch.bin
};

/// How images and labels become tensors.
struct Cifar10Options {
  bool normalize = true;  ///< pixels as x / 255 in [0, 1]; otherwise as 0 ... 255
  bool flatten = false;   ///< an image is [3072]; otherwise [3, 32, 32], planes of red, green and blue
  bool one_hot = false;   ///< a target is f32 [10]; otherwise an i64 class index
};

/// The six files of CIFAR-10's binary version in a folder: data_batch_1.bin ... data_batch_5.bin, the training data
/// in that order, and test_batch.bin (Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009). Any
/// number of images. Throws FileError naming the file, what was expected and what was found; OutOfMemory as
/// read_cifar10.
TAPEGRAD_API Cifar10 load_cifar10(const std::string& folder, const Cifar10Options& options = {});

/// The content of such a file: images [n, 3, 32, 32] and labels [n].
struct Cifar10Records {
  IdxArray images;  ///< [n, 3, 32, 32]
  IdxArray labels;  ///< [n]
};

/// Reads one of the files: records of 3073 bytes, of which the first is a label in 0 ... 9, the others an image's
/// red, green and blue plane, each row by row. Throws FileError for a file that is missing, is no regular file, holds
/// no record or a part of one, or a label above 9; OutOfMemory where there is no memory for them.
TAPEGRAD_API Cifar10Records read_cifar10(const std::string& path);

}  // namespace tapegrad::nn
