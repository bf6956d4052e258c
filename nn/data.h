#pragma once

/// Data sets, MNIST-format files and mini-batches.
#include <tapegrad/nn/dataset.h>
#include <tapegrad/nn/idx.h>
#include <tapegrad/nn/loader.h>
