#pragma once

/// Data sets, in memory and of one's own, files of MNIST's and CIFAR-10's formats, tables, mini-batches and what
/// changes them.
#include <tapegrad/nn/data/batch.h>
#include <tapegrad/nn/data/cifar10.h>
#include <tapegrad/nn/data/csv.h>
#include <tapegrad/nn/data/data_source.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/idx.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/data/mnist.h>
#include <tapegrad/nn/data/statistics.h>
#include <tapegrad/nn/data/transforms.h>
