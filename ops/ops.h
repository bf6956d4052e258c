#pragma once

/// All operations.
#include <tapegrad/ops/activation.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/derivatives.h>
#include <tapegrad/ops/gradients.h>
#include <tapegrad/ops/index.h>
#include <tapegrad/ops/layout.h>
#include <tapegrad/ops/linalg.h>
#include <tapegrad/ops/loss.h>
#include <tapegrad/ops/math.h>
#include <tapegrad/ops/norm.h>
#include <tapegrad/ops/numeric.h>
#include <tapegrad/ops/reduce.h>
#include <tapegrad/ops/threads.h>
