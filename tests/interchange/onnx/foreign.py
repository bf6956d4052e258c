"""Models as other tools write them, made with ONNX's own Python package: read by the library and compared with NumPy.
usage: foreign.py LOAD_PROGRAM FOLDER"""

import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from foreign_models import Models, f32, typed

models = Models(sys.argv[1], sys.argv[2])
save, same, refused = models.save, models.same, models.refused
rng = np.random.default_rng(5)


def array(*shape):
    return rng.normal(size=shape).astype(f32)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# A multi-layer network: transposed weights, elements in typed fields, initializers that are inputs as well.
x, w1, b1, w2, b2 = array(3, 4), array(5, 4), array(5), array(5, 2), array(2)
path = save("mlp", [helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], transB=1, alpha=0.5),
                    helper.make_node("Relu", ["h"], ["r"]),
                    helper.make_node("Dropout", ["r"], ["d"]),
                    helper.make_node("MatMul", ["d", "w2"], ["m"]),
                    helper.make_node("Add", ["m", "b2"], ["s"]),
                    helper.make_node("Softmax", ["s"], ["y"], axis=1)],
            [("x", TensorProto.FLOAT, ["n", 4])], [("y", TensorProto.FLOAT, ["n", 2])],
            [typed("w1", w1, TensorProto.FLOAT), typed("b1", b1, TensorProto.FLOAT),
             numpy_helper.from_array(w2, "w2"), numpy_helper.from_array(b2, "b2")], opset=13, listed=True)
same(path, [x], softmax(np.maximum(0.5 * x @ w1.T + b1, 0) @ w2 + b2))

# Images: a padding that differs between sides, batch normalisation, pooling.
x, w, b = array(2, 3, 6, 5), array(4, 3, 3, 3), array(4)
gamma, beta, mean, var = array(4), array(4), array(4), np.abs(array(4)) + f32(0.5)
path = save("cnn", [helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 0, 2, 1], strides=[2, 1]),
                    helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"], epsilon=1e-3),
                    helper.make_node("MaxPool", ["n"], ["p"], kernel_shape=[2, 2], pads=[1, 1, 0, 0]),
                    helper.make_node("Flatten", ["p"], ["y"])],
            [("x", TensorProto.FLOAT, [None, 3, 6, 5])], [("y", TensorProto.FLOAT, [None, None])],
            [numpy_helper.from_array(v, n) for n, v in
             [("w", w), ("b", b), ("gamma", gamma), ("beta", beta), ("mean", mean), ("var", var)]], opset=15)
padded = np.pad(x, ((0, 0), (0, 0), (1, 2), (0, 1)))
conv = np.array([[[[(padded[n, :, 2 * i:2 * i + 3, j:j + 3] * w[o]).sum() + b[o] for j in range(4)] for i in range(4)]
                  for o in range(4)] for n in range(2)])
beside = [v[None, :, None, None] for v in (gamma, beta, mean, var)]
normal = (conv - beside[2]) / np.sqrt(beside[3] + 1e-3) * beside[0] + beside[1]
edge = np.pad(normal, ((0, 0), (0, 0), (1, 0), (1, 0)), constant_values=-np.inf)
pooled = np.maximum.reduce([edge[:, :, i:i + 4, j:j + 4] for i in range(2) for j in range(2)])
same(path, [x], pooled.reshape(2, -1).astype(f32))

# Constants as nodes, parts, axes, half precision, embedding by integers of 32 bits.
x, table, half = array(2, 6), array(7, 3), array(3).astype(np.float16)
ids = np.array([[1, -1], [0, 6]], np.int64)
shape = numpy_helper.from_array(np.array([0, -1, 1], np.int64))
path = save("mixed", [helper.make_node("Constant", [], ["shape"], value=shape),
                      helper.make_node("Constant", [], ["two"], value_float=2.0),
                      helper.make_node("Split", ["x"], ["a", "b"], axis=1),
                      helper.make_node("Mul", ["a", "two"], ["a2"]),
                      helper.make_node("Concat", ["b", "a2"], ["c"], axis=-1),
                      helper.make_node("Reshape", ["c", "shape"], ["r"]),
                      helper.make_node("Transpose", ["r"], ["t"], perm=[2, 0, 1]),
                      helper.make_node("ReduceMean", ["t"], ["m"], axes=[0, 2], keepdims=0),
                      helper.make_node("Gather", ["table", "ids"], ["e"]),
                      helper.make_node("ReduceSum", ["e"], ["s"], keepdims=0),
                      helper.make_node("Cast", ["half"], ["h"], to=TensorProto.FLOAT),
                      helper.make_node("ReduceMax", ["h"], ["big"], keepdims=0),
                      helper.make_node("Cast", ["count"], ["n"], to=TensorProto.FLOAT),
                      helper.make_node("Sum", ["m", "s", "big", "n"], ["y"])],
            [("x", TensorProto.FLOAT, ["n", 6]), ("ids", TensorProto.INT64, ["n", 2])],
            [("y", TensorProto.FLOAT, ["n"])],
            [numpy_helper.from_array(table, "table"), numpy_helper.from_array(half, "half"),
             typed("count", np.array(3), TensorProto.INT32)])
turned = np.concatenate([x[:, 3:], 2 * x[:, :3]], 1)
same(path, [x, ids], turned.mean(1) + table[ids].sum() + half.astype(f32).max() + 3)

# A dilated convolution whose padding is left to the reader, of which onnxruntime has none.
x, w = array(1, 1, 7, 6), array(1, 1, 3, 2)
path = save("dilated", [helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER", dilations=[2, 3],
                                         strides=[2, 1])],
            [("x", TensorProto.FLOAT, [1, 1, 7, 6])], [("y", TensorProto.FLOAT, [1, 1, 4, 6])],
            [numpy_helper.from_array(w, "w")])
padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 1)))  # 3 * 2 + 5 - 7 rows, 5 * 1 + 4 - 6 columns
conv = np.array([[(padded[0, 0, 2 * i:2 * i + 5:2, j:j + 4:3] * w[0, 0]).sum() for j in range(6)] for i in range(4)])
same(path, [x], conv[None, None].astype(f32))

# What is not known is named.
info = ("x", TensorProto.FLOAT, [2, 3]), ("y", TensorProto.FLOAT, [2, 3])
refused(save("ceil", [helper.make_node("Ceil", ["x"], ["y"], name="up")], [info[0]], [info[1]]), "'up' (Ceil)")
refused(save("same", [helper.make_node("Conv", ["x", "w"], ["y"], name="conv", auto_pad="SAME")],
             [("x", TensorProto.FLOAT, [1, 1, 4, 4])], [("y", TensorProto.FLOAT, [1, 1, 4, 4])],
             [numpy_helper.from_array(array(1, 1, 3, 3), "w")], check=False), "'conv' (Conv) has auto_pad SAME;")
body = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "body", [],
                         [helper.make_tensor_value_info("z", TensorProto.FLOAT, [2, 3])])
yes = numpy_helper.from_array(np.array(True), "yes")
refused(save("if", [helper.make_node("If", ["yes"], ["y"], name="branch", then_branch=body, else_branch=body)],
             [info[0]], [info[1]], [yes]), "'branch' (If) cannot be read: it is a branch")
step = helper.make_graph([helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["v"], ["u"])], "step",
                         [helper.make_tensor_value_info("i", TensorProto.INT64, []),
                          helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                          helper.make_tensor_value_info("v", TensorProto.FLOAT, [2, 3])],
                         [helper.make_tensor_value_info("on", TensorProto.BOOL, []),
                          helper.make_tensor_value_info("u", TensorProto.FLOAT, [2, 3])])
count = numpy_helper.from_array(np.array(3, np.int64), "count")
refused(save("loop", [helper.make_node("Loop", ["count", "yes", "x"], ["y"], name="again", body=step)], [info[0]],
             [info[1]], [yes, count]), "'again' (Loop) cannot be read: it is a loop")
for op, gates in [("RNN", 1), ("GRU", 3), ("LSTM", 4)]:
    path = save(op.lower(), [helper.make_node(op, ["x", "w", "r"], ["y"], name="cell", hidden_size=4)],
                [("x", TensorProto.FLOAT, [5, 2, 3])], [("y", TensorProto.FLOAT, [5, 1, 2, 4])],
                [numpy_helper.from_array(array(1, 4 * gates, 3), "w"),
                 numpy_helper.from_array(array(1, 4 * gates, 4), "r")])
    refused(path, f"'cell' ({op}) cannot be read: it is a recurrent layer", "export it unrolled")
refused(save("old", [helper.make_node("Relu", ["x"], ["y"])], [info[0]], [info[1]], opset=11), "version 11")
print("Models of another tool give what NumPy gives, or are refused by name.")
