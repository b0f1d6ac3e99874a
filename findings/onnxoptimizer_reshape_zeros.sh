#!/usr/bin/env bash
# onnxoptimizer drops the first of two Reshapes although a 0 of the second copies a dimension of it: another shape comes out.
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

maps = np.arange(4 * 80, dtype=np.float32).reshape(4, 1, 8, 10)
constants = [numpy_helper.from_array(np.array([2, 2, 80]), "first"), numpy_helper.from_array(np.array([0, 0, 8, 10]), "second")]
nodes = [helper.make_node("Reshape", ["x", "first"], ["t"]), helper.make_node("Reshape", ["t", "second"], ["y"])]
ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 1, 8, 10])]
ends += [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b", "c", "d"])]
graph = helper.make_graph(nodes, "reshape", ends[:1], ends[1:], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
seen = {}
for name, each in (("before", model), ("after", onnxoptimizer.optimize(model))):
    session = onnxruntime.InferenceSession(each.SerializeToString())
    seen[name] = (len(each.graph.node), session.run(None, {"x": maps})[0].shape)
print(", ".join(f"{name} {version(name)}" for name in ("onnxoptimizer", "onnx", "onnxruntime")), platform.python_version())
print("(4, 1, 8, 10) → (2, 2, 80) → (0, 0, 8, 10), where 0 copies the dimension of what comes in: (2, 2, 8, 10)")
print(f"(Number of nodes, shape), run by ONNX Runtime: {seen}")
sys.exit(not (seen["before"] == (2, (2, 2, 8, 10)) and seen["after"] == (1, (4, 1, 8, 10))))
PY
