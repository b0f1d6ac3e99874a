#!/usr/bin/env bash
# OpenVINO ignores antialias=1 of ONNX's Resize without a word: a picture made smaller keeps or loses single lines.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import platform, sys

import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper

line = np.zeros((1, 1, 1, 16), np.float32)
line[..., 4], line[..., 9] = 8, 8  # bright pixels; four pixels become one, whose centres lie at 1.5, 5.5, 9.5 and 13.5
seen = {}
for antialias in (0, 1):
    node = helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode="linear", antialias=antialias)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 1, w]) for n, w in (("x", 16), ("y", 4))]
    size = onnx.numpy_helper.from_array(np.array([1, 1, 1, 4]), "size")
    graph = helper.make_graph([node], "resize", ends[:1], ends[1:], [size])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    seen[antialias] = openvino.Core().compile_model("model.onnx", "CPU", exact)({"x": line})[0].ravel().tolist()
# the pixel at distance d from a centre weighs (1 - d / 4) / 4
expected = [sum(max(0, 1 - abs(centre - place) / 4) / 4 * 8 for place in (4, 9)) for centre in (1.5, 5.5, 9.5, 13.5)]
print(f"OpenVINO {openvino.__version__}, ONNX {onnx.__version__}, Python {platform.python_version()}")
print(f"Sixteen pixels to four; 8 at places 4 and 9, 0 elsewhere. With antialias=1, by hand: {expected}")
print(f"OpenVINO without antialias: {seen[0]}, with it: {seen[1]}")
sys.exit(not (seen[0] == seen[1] == [0, 0, 4, 0] and np.abs(np.subtract(seen[1], expected)).max() > 1))
PY
