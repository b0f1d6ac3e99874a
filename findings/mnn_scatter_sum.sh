#!/usr/bin/env bash
# MNN's converter drops `reduction` of ONNX's ScatterND and ScatterElements: what should be added up is overwritten.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q MNN==3.6.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
cat > run.py <<'PY'
import platform, subprocess, sys
from importlib.metadata import version

import MNN
import MNN.expr as expr
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

votes = np.array([1, 1, 1, 1], np.float32)
places, weights = np.array([0, 2, 2]), np.array([5, 7, 9], np.float32)
expected = votes.copy()
np.add.at(expected, places, weights)
seen = {}
for kind, shape, axis in (("ScatterND", (3, 1), {}), ("ScatterElements", (3,), {"axis": 0})):
    node = helper.make_node(kind, ["x", "places", "weights"], ["y"], reduction="add", **axis)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    constants = [numpy_helper.from_array(places.reshape(shape), "places"), numpy_helper.from_array(weights, "weights")]
    graph = helper.make_graph([node], "scatter", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    command = ["mnnconvert", "-f", "ONNX", "--modelFile", "model.onnx", "--MNNModel", "model.mnn", "--bizCode", "x"]
    subprocess.run(command, check=True, capture_output=True)
    net = MNN.nn.load_module_from_file("model.mnn", ["x"], ["y"])
    seen[kind] = np.array(net.forward([expr.const(votes, [4], expr.NCHW, expr.float)])[0].read()).tolist()
print(f"MNN {version('MNN')}, ONNX {version('onnx')}, Python {platform.python_version()}")
print(f"Ones, to which 5 is added at place 0, 7 and 9 at place 2: {expected.tolist()}")
print(f"MNN: {seen}")
sys.exit(not all(found == [5, 1, 9, 1] for found in seen.values()))
PY
PATH="$folder/env/bin:$PATH" "$folder/env/bin/python" run.py
