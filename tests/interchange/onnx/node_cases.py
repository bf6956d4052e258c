"""ONNX's own test cases of each operator (Debian's python3-onnx has them): the library computes what they expect, or
refuses the model by the operator, the input or the version. usage: node_cases.py LOAD_PROGRAM FOLDER"""

import collections
import pathlib
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
LEAST_THAT_AGREE = 465


def is_numbers(a):
    return isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind in "fiub"


def renumber(model):
    """A case of an operator that has not changed since is one of today's; nothing for one that has."""
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
    out = folder / "out.npy"
    done = subprocess.run([program, "load", str(path), str(out), *files], capture_output=True, text=True)
    return done, np.load(out) if done.returncode == 0 else None


def check(case):
    inputs, outputs = case.data_sets[0]
    if "BFLOAT16" in case.name or not all(map(is_numbers, [*inputs, *outputs])) or not renumber(case.model):
        return "left out"
    done, got = run(case, inputs)
    nodes = [n.op_type for n in case.model.graph.node]
    if done.returncode:
        named = nodes + [f"'{i.name}'" for i in case.model.graph.input] + ["max_pool2d", "no ONNX model"]
        assert done.returncode == 1 and any(n in done.stderr for n in named), (case.name, done)
        return "refused"
    expected = np.asarray(outputs[0])
    assert got.shape == expected.shape, f"{case.name}: {got.shape}, expected {expected.shape}"
    tolerance = max([t for part, t in HALVES.items() if part in case.name], default=1e-4)
    np.testing.assert_allclose(got.astype(np.float64), expected.astype(np.float64), rtol=tolerance, atol=1e-5,
                               err_msg=case.name)
    return "agree"


found = collections.Counter(map(check, node_cases.collect_testcases(None)))
assert found["agree"] >= LEAST_THAT_AGREE, found
print(f"ONNX's cases of operators: {found['agree']} give what they expect, {found['refused']} are refused by name, "
      f"{found['left out']} are of other types or versions.")
