#!/usr/bin/env bash
# onnxoptimizer's default passes move a zero padding into MaxPool, which pads with the least of values: another result.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q onnxoptimizer==0.4.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import platform, sys
from importlib.metadata import version

import numpy as np
import onnx
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

picture = np.full((1, 1, 2, 2), -4, np.float32)
nodes = [
    helper.make_node("Pad", ["x", "pads"], ["padded"]),
    helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
]
ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, s, s]) for n, s in (("x", 2), ("y", 1))]
pads = numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")
graph = helper.make_graph(nodes, "pool", ends[:1], ends[1:], [pads])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
seen = {}
for name, each in (("before", model), ("after", onnxoptimizer.optimize(model))):
    session = onnxruntime.InferenceSession(each.SerializeToString())
    seen[name] = ([node.op_type for node in each.graph.node], session.run(None, {"x": picture})[0].ravel().tolist())
print(", ".join(f"{name} {version(name)}" for name in ("onnxoptimizer", "onnx", "onnxruntime")), platform.python_version())
print("A picture of -4 everywhere, zeros around it, and the largest value of all; run by ONNX Runtime:")
print(seen)
sys.exit(not (seen["before"] == (["Pad", "MaxPool"], [0]) and seen["after"] == (["MaxPool"], [-4])))
PY
