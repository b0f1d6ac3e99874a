#!/usr/bin/env bash
# Tests: ./tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# GPUS=0 tests on the CPU in one process. Without a GPU, GPUS=N tests in N processes on the CPU.
# PYTHON picks the interpreter; NNODES, NODE_RANK, MASTER_ADDR and PORT describe several machines.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2; exit 2; }
config=$1 checkpoint=$2 gpus=$3
shift 3
python=${PYTHON:-python}
command -v "$python" >/dev/null || { echo "error: no '$python' here; activate the environment or set PYTHON" >&2; exit 2; }
exec "$python" "$(dirname "$0")/launch.py" test.py "$gpus" "$config" "$checkpoint" "$@"
