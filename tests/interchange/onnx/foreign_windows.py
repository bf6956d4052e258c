"""Convolutions and pooling whose padding other tools leave to the runtime (auto_pad, output_shape, ceil_mode), for
run_models.cjs to compare the library with onnxruntime.
usage: foreign_windows.py LOAD_PROGRAM FOLDER"""

import itertools
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from foreign_models import Models, f32

models = Models(sys.argv[1], sys.argv[2])
rng = np.random.default_rng(6)


def array(*shape):
    return rng.normal(size=shape).astype(f32)


def compare(name, op, x, weights=None, **attributes):
    inputs, initializers = ["x"], []
    if weights is not None:
        inputs.append("w")
        initializers.append(numpy_helper.from_array(weights, "w"))
    path = models.save(name, [helper.make_node(op, inputs, ["y"], name=name, **attributes)],
                       [("x", TensorProto.FLOAT, list(x.shape))],
                       [("y", TensorProto.FLOAT, [None] * x.ndim)], initializers)
    models.compare_in_runtime(path, x)


for mode, stride, kernel, dilation in itertools.product(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"], [1, 2, 3],
                                                        [1, 2, 3, 4], [1, 2]):
    name = f"{mode}_{stride}_{kernel}_{dilation}"
    x = array(2, 2, 7, 8)
    lists = {"auto_pad": mode, "strides": [stride, max(1, stride - 1)]}
    dilations = [dilation, 1]
    dilations = [dilation, 1]
    is_same = mode.startswith("SAME")
    # onnxruntime has no convolutions of both, and leaves the dilation out of the padding of pooling.
    if dilation == 1 or not is_same:
        compare("conv_" + name, "Conv", x, array(4, 1, kernel, 2), group=2, dilations=dilations, **lists)
        compare("max_" + name, "MaxPool", x, kernel_shape=[kernel, 2], dilations=dilations, **lists)
    # Where windows leave gaps, onnxruntime's result is not the stride times as large.
    has_gaps = (kernel - 1) * dilation + 1 < stride
    if not (is_same and has_gaps):
        compare("deconv_" + name, "ConvTranspose", x, array(2, 3, kernel, 2), dilations=dilations, **lists)
    if dilation == 1:
        for counts in (0, 1):
            compare(f"mean{counts}_{name}", "AveragePool", x, kernel_shape=[kernel, 2], count_include_pad=counts,
                    **lists)
        line = array(1, 2, 9)
        of_line = {"auto_pad": mode, "strides": [stride]}
        compare("line_conv_" + name, "Conv", line, array(3, 2, kernel), **of_line)
        if is_same and has_gaps:  # for which its pooling starts behind the first element
            continue
        compare("line_max_" + name, "MaxPool", line, kernel_shape=[kernel], **of_line)
        compare("line_mean_" + name, "AveragePool", line, kernel_shape=[kernel], **of_line)
        compare("line_deconv_" + name, "ConvTranspose", line, array(2, 3, kernel), **of_line)

# A transposed convolution that says how large its results are.
for mode, size in itertools.product(["NOTSET", "SAME_UPPER", "SAME_LOWER"], [12, 13, 14, 15]):
    compare(f"deconv_shape_{mode}_{size}", "ConvTranspose", array(1, 2, 7), array(2, 1, 3), auto_pad=mode,
            strides=[2], output_shape=[size])

# Paddings that differ between sides.
for size, before, after, stride, ceil_mode in itertools.product([7, 8], [0, 1], [0, 1, 2], [2, 3], [0, 1]):
    windows = (size + before + after - 3 + stride - 1) // stride + 1
    # onnxruntime has windows that start in the padding at the end, which later versions of the specification rule out.
    if ceil_mode and (windows - 1) * stride >= size + before:
        continue
    attributes = {"kernel_shape": [3], "pads": [before, after], "strides": [stride], "ceil_mode": ceil_mode}
    name = f"{size}_{before}{after}_{stride}_{ceil_mode}"
    compare("max_pads_" + name, "MaxPool", array(1, 2, size), **attributes)
    compare("mean0_pads_" + name, "AveragePool", array(1, 2, size), count_include_pad=0, **attributes)
    if not ceil_mode:  # of which onnxruntime's versions count differently
        compare("mean1_pads_" + name, "AveragePool", array(1, 2, size), count_include_pad=1, **attributes)

models.write_cases()
print(f"{len(models.cases)} convolutions and poolings of another tool are for onnxruntime to compare.")
