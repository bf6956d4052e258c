"""Validates the models of a folder with ONNX's own checker, shapes and types of all values included.
usage: check_models.py FOLDER"""

import pathlib
import sys

import onnx

paths = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
assert paths, "there is no model"
for path in paths:
    try:
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load(str(path))
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)] and model.ir_version == 8
        assert model.producer_name == "tapegrad"
        # Shapes that are inferred from the nodes must be those that are declared.
        declared = {o.name: o for o in model.graph.output}
        for output in onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph.output:
            assert output == declared[output.name], f"{output} is inferred, {declared[output.name]} declared"
    except Exception as e:
        sys.exit(f"FAILED: {path.name}: {e}")
print(f"{len(paths)} models are valid for ONNX {onnx.__version__}.")
