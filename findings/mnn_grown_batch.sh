#!/usr/bin/env bash
# MNN multiplies a second, larger batch by a broadcast constant wrongly: what comes out depends on the batch that came before.
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

rng = np.random.default_rng(0)
keys = rng.standard_normal((1, 4, 10, 7)).astype(np.float32)  # the same for every picture of a batch, as in attention
ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 4, 8, w]) for n, w in (("x", 10), ("y", 7))]
node = helper.make_node("MatMul", ["x", "keys"], ["y"])
graph = helper.make_graph([node], "product", ends[:1], ends[1:], [numpy_helper.from_array(keys, "keys")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "model.onnx")
command = ["mnnconvert", "-f", "ONNX", "--modelFile", "model.onnx", "--MNNModel", "model.mnn", "--bizCode", "x"]
subprocess.run(command, check=True, capture_output=True)


def errors(*batches):
    """The largest error of each batch, one after the other through the same network."""
    net = MNN.nn.load_module_from_file("model.mnn", ["x"], ["y"])
    found = []
    for batch in batches:
        x = rng.standard_normal((batch, 4, 8, 10)).astype(np.float32)
        y = np.array(net.forward([expr.const(x, list(x.shape), expr.NCHW, expr.float)])[0].read())
        found.append(float(np.abs(y - x @ keys).max()))
    return found


fresh, same, grown = errors(2), errors(2, 2), errors(1, 2)
print(f"MNN {version('MNN')}, ONNX {version('onnx')}, NumPy {np.__version__}, Python {platform.python_version()}")
print(f"Largest error to NumPy, a batch of two: {fresh}; two of them: {same}; one picture, then a batch of two: {grown}")
right = max(*fresh, *same, grown[0]) < 1e-4
sys.exit(not (right and not grown[1] < 1))  # a NaN is no smaller
PY
PATH="$folder/env/bin:$PATH" "$folder/env/bin/python" run.py
