"""ONNX's own test cases of each operator (Debian's python3-onnx has them): the library computes what they expect, all
outputs, or refuses the model for one of the reasons listed here. usage: node_cases.py LOAD_PROGRAM FOLDER"""

import collections
import pathlib
import re
import subprocess
import sys
import warnings

import numpy as np
import onnx

warnings.filterwarnings("ignore")
for name, kind in {"float": float, "int": int, "bool": bool, "object": object, "str": str, "complex": complex}.items():
    if name not in np.__dict__:
        setattr(np, name, kind)  # ONNX's cases are older than NumPy without these

from onnx.backend.test.case import node as node_cases  # noqa: E402

program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
folder.mkdir(exist_ok=True)

OPSETS = range(13, 22)
# What the library computes otherwise, and says so (onnx.h): 16-bit floats are f32. NumPy has no bfloat16.
HALVES = {"FLOAT16": 1e-3, "float16": 1e-3}
LEAST_THAT_AGREE = 470

# Operators that are not read.
NOT_READ = """
    Acosh Asinh Atanh Bernoulli BitShift BlackmanWindow CastLike Ceil Celu Compress ConvInteger DFT DepthToSpace
    DequantizeLinear Det DynamicQuantizeLinear Einsum EyeLike Floor GRU GatherND GlobalMaxPool GridSample
    HammingWindow HannWindow Hardmax InstanceNormalization LRN LSTM LayerNormalization MatMulInteger MaxUnpool
    Mean MeanVarianceNormalization MelWeightMatrix NegativeLogLikelihoodLoss NonMaxSuppression NonZero OneHot
    OptionalGetElement OptionalHasElement QLinearConv QLinearMatMul QuantizeLinear RNN RandomUniformLike Range
    ReduceL1 ReduceLogSum ReduceSumSquare ReverseSequence RoiAlign STFT ScatterND Shrink Size
    SoftmaxCrossEntropyLoss SpaceToDepth TfIdfVectorizer ThresholdedRelu Tile Trilu Unique
""".split()
# Operators of which some cases are refused, and what the message then says. All cases of others must agree.
PARTLY_READ = {
    "ArgMax": ["asks for the last of equal elements"],
    "ArgMin": ["asks for the last of equal elements"],
    "AveragePool": ["slides along 3 axes"],
    "BatchNormalization": ["is in training mode"],
    "ConvTranspose": ["slides along 3 axes"],
    "CumSum": ["sums exclusively"],
    "Dropout": ["is in training mode", "of which the first one alone is known"],
    "IsInf": ["the attribute 'detect_negative'", "the attribute 'detect_positive'"],
    "MaxPool": ["slides along 3 axes", "a storage order other than 0", "of which the first one alone is known",
                "the input of i64"],
    "Pad": ["pads by mode 'edge'", "pads by mode 'reflect'"],
    "Resize": ["by mode 'nearest'", "by mode 'cubic'", "coordinates 'tf_crop_and_resize'", "makes no whole number"],
    "ScatterElements": ["scatters without adding"],
}


def is_numbers(a):
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind in "fiub"


def renumber(model):
    """A case of an operator that has not changed since is one of today's; nothing for one that has, and for models
    without ONNX's own operators."""
    if all(opset.domain not in ("", "ai.onnx") for opset in model.opset_import):
        return None
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version not in OPSETS:
            try:
                since = [onnx.defs.get_schema(n.op_type, 17).since_version for n in model.graph.node]
            except onnx.defs.SchemaError:
                return None
            if max(since) > opset.version:
                return None
            opset.version = 17
    return model


def run(case, inputs):
    path = folder / "case.onnx"
    onnx.save(case.model, str(path))
    files = []
    for i, x in enumerate(inputs):
        files.append(str(folder / f"in{i}.npy"))
        np.save(files[-1], x)
    for old in folder.glob("out*"):
        old.unlink()
    done = subprocess.run([program, "load", str(path), str(folder / "out.npy"), *files], capture_output=True, text=True)
    outs = [folder / ("out.npy" if i == 0 else f"out.npy.{i}.npy") for i in range(len(case.model.graph.output))]
    return done, [np.load(out) for out in outs] if done.returncode == 0 else None


def is_listed(stderr):
    unknown = re.search(r"the node '.*' \((\w+)\) (is of an operator that is not known here|cannot be read)", stderr)
    if unknown:
        return unknown[1] in NOT_READ
    # "the node 'y' (MaxPool) ..." of a node, "MaxPool 'y': ..." of an operation that computes it.
    named = re.search(r"the node '.*' \((\w+)\)|^(\w+) '", stderr)
    return named and any(part in stderr for part in PARTLY_READ.get(named[1] or named[2], []))


def check(case):
    inputs, outputs = case.data_sets[0]
    if "BFLOAT16" in case.name or not all(map(is_numbers, [*inputs, *outputs])) or not renumber(case.model):
        return "left out"
    done, got = run(case, inputs)
    if done.returncode:
        assert done.returncode == 1 and is_listed(done.stderr), (case.name, done)
        return "refused"
    assert len(got) == len(outputs), f"{case.name}: {len(got)} outputs, expected {len(outputs)}"
    tolerance = max([t for part, t in HALVES.items() if part in case.name], default=1e-4)
    for name, one, expected in zip([o.name for o in case.model.graph.output], got, map(np.asarray, outputs)):
        what = f"{case.name}, output '{name}'"
        assert one.shape == expected.shape, f"{what}: {one.shape}, expected {expected.shape}"
        np.testing.assert_allclose(one.astype(np.float64), expected.astype(np.float64), rtol=tolerance, atol=1e-5,
                                   err_msg=what)
    return "agree"


found = collections.Counter(map(check, node_cases.collect_testcases(None)))
assert found["agree"] >= LEAST_THAT_AGREE, found
print(f"ONNX's cases of operators: {found['agree']} give what they expect, {found['refused']} are refused by name, "
      f"{found['left out']} are of other types or versions.")
