#!/usr/bin/env bash
# MNN enlarges a picture by cubic interpolation with wrong pixels at its left edge, and with a = -0.75 whatever the file says.
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
from onnx import TensorProto, helper

row = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8)


def enlarged(a, values):
    """Twice as wide through the ONNX file that MNN's converter reads."""
    cubic = dict(mode="cubic", coordinate_transformation_mode="half_pixel", cubic_coeff_a=a)
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **cubic)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 1, w]) for n, w in (("x", 8), ("y", 16))]
    scales = onnx.numpy_helper.from_array(np.array([1, 1, 1, 2], np.float32), "scales")
    graph = helper.make_graph([node], "resize", ends[:1], ends[1:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    command = ["mnnconvert", "-f", "ONNX", "--modelFile", "model.onnx", "--MNNModel", "model.mnn", "--bizCode", "x"]
    subprocess.run(command, check=True, capture_output=True)
    net = MNN.nn.load_module_from_file("model.mnn", ["x"], ["y"])
    found = net.forward([expr.const(np.ascontiguousarray(values), list(values.shape), expr.NCHW, expr.float)])
    return np.array(expr.convert(found[0], expr.NCHW).read()).ravel()


def by_hand(a):
    """The first pixel: its centre is 1/4 to the left of the first of the row, whose values left of it repeat the first."""
    distance = 1.25  # to the second pixel, of value 1; the nearer ones are 0
    return a * (distance**3 - 5 * distance**2 + 8 * distance - 4)


left, right = enlarged(-0.75, row), enlarged(-0.75, row[..., ::-1])[::-1]
other = enlarged(-0.5, row)
print(f"MNN {version('MNN')}, ONNX {version('onnx')}, Python {platform.python_version()}")
print(f"The row 0 to 7, twice as wide. First pixel by hand: {by_hand(-0.75):.4f}; MNN: {left[0]:.4f}")
print(f"The same row mirrored, enlarged and mirrored back: {right[0]:.4f}; the last pixels are {left[-1]:.4f}, {right[-1]:.4f}")
print(f"With cubic_coeff_a -0.5 by hand {by_hand(-0.5):.4f}; MNN gives what it gives for -0.75: {np.array_equal(left, other)}")
wrong_edge = abs(left[0] - by_hand(-0.75)) > 0.5 and abs(right[0] - by_hand(-0.75)) < 1e-4
sys.exit(not (wrong_edge and np.array_equal(left, other)))
PY
PATH="$folder/env/bin:$PATH" "$folder/env/bin/python" run.py
