#pragma once

/// All of tapegrad that a program using it needs, but for what takes longer to compile: to define operations of your
/// own, <tapegrad/ops/define.h>; to make one operation of an elementwise function, map, in <tapegrad/ops/map.h>; for
/// code of scalars, <tapegrad/ops/scalar/...>; to check gradients, <tapegrad/gradcheck/...>.
#include <tapegrad/graph/dot.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/format.h>
#include <tapegrad/graph/function.h>
#include <tapegrad/graph/gradients.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/data.h>
#include <tapegrad/nn/distributed/all_reduce.h>
#include <tapegrad/nn/distributed/average.h>
#include <tapegrad/nn/distributed/communicator.h>
#include <tapegrad/nn/distributed/rank_threads.h>
#include <tapegrad/nn/flat_parameters.h>
#include <tapegrad/nn/hook.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/io/foreign.h>
#include <tapegrad/nn/io/npy.h>
#include <tapegrad/nn/io/onnx.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/losses.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/nn/summary.h>
#include <tapegrad/nn/tensors.h>
#include <tapegrad/nn/train/evaluate.h>
#include <tapegrad/nn/train/metrics.h>
#include <tapegrad/nn/train/progress.h>
#include <tapegrad/nn/train/search.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/nn/weight_decay.h>
#include <tapegrad/ops/ops.h>
#include <tapegrad/optim/descent.h>
#include <tapegrad/optim/plateau.h>
#include <tapegrad/optim/rules.h>
#include <tapegrad/optim/schedule.h>
