#!/usr/bin/env bash
# Among equal scores OpenVINO's TopK keeps others than ONNX says, so that other boxes survive the cut before NMS.
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

scores = np.array([[number * 7 % 11 / 10 for number in range(200)]], dtype=np.float32)  # eleven values, as of few bits
node = helper.make_node("TopK", ["scores", "k"], ["values", "places"])
kinds = {"values": TensorProto.FLOAT, "places": TensorProto.INT64}
graph = helper.make_graph(
    [node], "cut", [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 200])],
    [helper.make_tensor_value_info(name, kind, [1, 100]) for name, kind in kinds.items()],
    [onnx.numpy_helper.from_array(np.array([100]), "k")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "model.onnx")
exact = {"INFERENCE_PRECISION_HINT": "f32"}
values, places = openvino.Core().compile_model("model.onnx", "CPU", exact)({"scores": scores}).values()
expected = np.argsort(-scores[0], kind="stable")[:100]
same = len(set(expected.tolist()) & set(places[0].tolist()))
print(f"OpenVINO {openvino.__version__}, ONNX {onnx.__version__}, Python {platform.python_version()}")
print("The best 100 of 200 scores with eleven values. ONNX: of two equal values the one of lower index comes first.")
print(f"By that rule {expected[:8].tolist()} …, OpenVINO {places[0, :8].tolist()} …; {same} of the 100 are the same")
sys.exit(not (np.array_equal(values[0], scores[0, expected]) and same < 100))
PY
