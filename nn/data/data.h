#pragma once

/// Data sets, MNIST-format files and mini-batches.
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/idx.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/data/mnist.h>
