#!/usr/bin/env bash
# Trains: ./tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# GPUS=0 trains on the CPU in one process. Without a GPU, GPUS=N trains in N processes on the CPU.
# PYTHON picks the interpreter; NNODES, NODE_RANK, MASTER_ADDR and PORT describe several machines.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2; exit 2; }
config=$1 gpus=$2
shift 2
python=${PYTHON:-python}
command -v "$python" >/dev/null || { echo "error: no '$python' here; activate the environment or set PYTHON" >&2; exit 2; }
exec "$python" "$(dirname "$0")/launch.py" train.py "$gpus" "$config" "$@"
