#pragma once

/// All layers of the library.
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/affine.h>
#include <tapegrad/nn/layers/batch_norm.h>
#include <tapegrad/nn/layers/conv.h>
#include <tapegrad/nn/layers/conv_nets.h>
#include <tapegrad/nn/layers/dropout.h>
#include <tapegrad/nn/layers/flatten.h>
#include <tapegrad/nn/layers/lambda.h>
#include <tapegrad/nn/layers/layer_words.h>
#include <tapegrad/nn/layers/multi_layer_net.h>
#include <tapegrad/nn/layers/pool.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/nn/layers/standardize.h>
#include <tapegrad/nn/layers/upsample.h>
