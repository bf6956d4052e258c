#pragma once

/// All of tapegrad that a program using it needs. To define operations of your own: <tapegrad/ops/define.h>;
/// to check gradients: <tapegrad/gradcheck/...>.
#include <tapegrad/graph/dot.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/format.h>
#include <tapegrad/graph/function.h>
#include <tapegrad/graph/gradients.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/scope.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/activations.h>
#include <tapegrad/nn/data.h>
#include <tapegrad/nn/evaluate.h>
#include <tapegrad/nn/hook.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/layers.h>
#include <tapegrad/nn/losses.h>
#include <tapegrad/nn/metrics.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/nn/multi_layer_net.h>
#include <tapegrad/nn/npy.h>
#include <tapegrad/nn/progress.h>
#include <tapegrad/nn/search.h>
#include <tapegrad/nn/sequential.h>
#include <tapegrad/nn/serialize.h>
#include <tapegrad/nn/standardize.h>
#include <tapegrad/nn/trainer.h>
#include <tapegrad/ops/ops.h>
#include <tapegrad/optim/descent.h>
#include <tapegrad/optim/plateau.h>
#include <tapegrad/optim/rules.h>
#include <tapegrad/optim/schedule.h>
