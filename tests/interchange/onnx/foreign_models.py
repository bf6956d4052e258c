"""What models of another tool are made with, read by the library, and compared."""

import json
import pathlib
import subprocess

import numpy as np
import onnx
from onnx import TensorProto, helper

f32 = np.float32


class Models:
    """Models in a folder, and what the library makes of them."""

    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.cases, self.elements = [], bytearray()

    def save(self, name, nodes, inputs, outputs, initializers=(), opset=17, listed=False, check=True):
        """`listed`: initializers are inputs as well, as in models of old."""
        info = [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs]
        if listed:
            info += [helper.make_tensor_value_info(i.name, i.data_type, list(i.dims)) for i in initializers]
        graph = helper.make_graph(nodes, name, info,
                                  [helper.make_tensor_value_info(n, t, s) for n, t, s in outputs],
                                  initializer=list(initializers))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="foreign",
                                  ir_version=8)
        if check:
            onnx.checker.check_model(model, full_check=True)
        path = self.folder / f"{name}.onnx"
        onnx.save(model, str(path))
        return path

    def run(self, path, inputs):
        """What the library computes."""
        files = []
        for i, x in enumerate(inputs):
            files.append(str(self.folder / f"in{i}.npy"))
            np.save(files[-1], x)
        out = self.folder / "out.npy"
        subprocess.run([self.program, "load", str(path), str(out), *files], check=True)
        return np.load(out)

    def same(self, path, inputs, expected):
        got = self.run(path, inputs)
        assert got.shape == expected.shape, f"{path.name}: {got.shape}, expected {expected.shape}"
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=path.name)

    def refused(self, path, *parts):
        result = subprocess.run([self.program, "load", str(path), str(self.folder / "out.npy")],
                                capture_output=True, text=True)
        for part in parts:
            assert result.returncode == 1 and part in result.stderr, \
                f"{path.name}: '{result.stderr}' does not mention '{part}'"

    def compare_in_runtime(self, path, x):
        """run_models.cjs compares what the library computes of "x" with what onnxruntime does."""
        y = self.run(path, [x])
        self.cases.append({"model": path.name, "inputs": [self._stored("x", x)], "outputs": [self._stored("y", y)]})

    def write_cases(self):
        (self.folder / "cases.json").write_text(json.dumps({"cases": self.cases}))
        (self.folder / "elements.bin").write_bytes(self.elements)

    def _stored(self, name, t):
        assert t.dtype == f32
        begin = len(self.elements)
        self.elements += t.tobytes()
        return {"name": name, "type": "f32", "dims": list(t.shape), "begin": begin, "end": len(self.elements)}


def typed(name, values, data_type):
    """Elements in the field of their type, not as bytes."""
    return helper.make_tensor(name, data_type, values.shape, values.flatten().tolist())
