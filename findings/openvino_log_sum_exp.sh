#!/usr/bin/env bash
# OpenVINO takes ReduceLogSumExp and ReduceLogSum over all axes, whatever axes a model of opset 13 names.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import math, platform, sys

import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper

seen = {}
for name, opset in (("ReduceLogSumExp", 13), ("ReduceLogSum", 13), ("ReduceL2", 13), ("ReduceLogSumExp", 18)):
    tensors = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 3, 4])]
    places = {"axes": [1]} if opset == 13 else {}
    constants = [] if places else [onnx.numpy_helper.from_array(np.array([1]), "axes")]
    node = helper.make_node(name, ["x"] if places else ["x", "axes"], ["y"], **places)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 3, 4])
    graph = helper.make_graph([node], "reduce", tensors, [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    output = openvino.Core().compile_model("model.onnx", "CPU")({"x": np.ones((1, 2, 3, 4), np.float32)})[0]
    seen[name, opset] = output.shape, round(float(output.flat[0]), 2)
print(f"OpenVINO {openvino.__version__}, ONNX {onnx.__version__}, Python {platform.python_version()}")
print(f"Ones of 1x2x3x4 over axis 1: 1x1x3x4 numbers; the first gives log(2e) = {1 + math.log(2):.2f}, not log(24e).")
print(seen)
correct, whole = (1, 1, 3, 4), (1, 1, 1, 1)
sys.exit(seen != {("ReduceLogSumExp", 13): (whole, 4.18), ("ReduceLogSum", 13): (whole, 3.18),
                  ("ReduceL2", 13): (correct, 1.41), ("ReduceLogSumExp", 18): (correct, 1.69)})
PY
