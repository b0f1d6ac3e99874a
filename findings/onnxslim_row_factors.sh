#!/usr/bin/env bash
# onnxslim takes factors of the rows for factors of the channels, and folds them into a convolution, where there are as many of both.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q onnxslim==0.1.98 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PY'
import platform, sys
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
import onnxslim
from onnx import TensorProto, helper, numpy_helper

seen = {}
for rows in (2, 3):  # of a picture that is convolved to two channels
    factors = np.arange(1, rows + 1, dtype=np.float32)[:, None]  # (rows, 1): the second row twice as bright
    constants = [numpy_helper.from_array(np.ones((2, 1, 1, 1), np.float32), "w"), numpy_helper.from_array(factors, "factors")]
    nodes = [helper.make_node("Conv", ["x", "w"], ["t"]), helper.make_node("Mul", ["t", "factors"], ["y"])]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, rows, 1]) for n, c in (("x", 1), ("y", 2))]
    graph = helper.make_graph(nodes, "rows", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    for name, each in (("before", model), ("after", onnxslim.slim(onnx.ModelProto.FromString(model.SerializeToString())))):
        session = onnxruntime.InferenceSession(each.SerializeToString())
        seen[rows, name] = session.run(None, {"x": np.ones((1, 1, rows, 1), np.float32)})[0][0, :, :, 0].tolist()
print(", ".join(f"{name} {version(name)}" for name in ("onnxslim", "onnx", "onnxruntime")), platform.python_version())
print("A picture of ones, copied into two channels, row r times r. Channels of rows, run by ONNX Runtime:")
for rows in (2, 3):
    print(f"{rows} rows: before {seen[rows, 'before']}, after onnxslim {seen[rows, 'after']}")
sys.exit(not (seen[2, "before"] == [[1, 2], [1, 2]] and seen[2, "after"] == [[1, 1], [2, 2]] and seen[3, "before"] == seen[3, "after"]))
PY
