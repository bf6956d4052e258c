#pragma once

/// All operations.
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/ops/functional/numeric.h>
#include <tapegrad/ops/gradients.h>
#include <tapegrad/ops/matmul_engine.h>
#include <tapegrad/ops/neural/conv.h>
#include <tapegrad/ops/neural/dropout.h>
#include <tapegrad/ops/neural/im2col.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/neural/norm.h>
#include <tapegrad/ops/neural/pool.h>
#include <tapegrad/ops/neural/upsample.h>
#include <tapegrad/ops/tensor/einsum.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>
#include <tapegrad/ops/tensor/sort.h>
#include <tapegrad/ops/tensor/triangle.h>
#include <tapegrad/ops/threads.h>
