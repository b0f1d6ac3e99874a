#!/usr/bin/env bash
# Tests: ./tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# GPUS=0 tests on the CPU in one process. Without a GPU, GPUS=N tests in N processes on the CPU.
# PYTHON picks the interpreter, PORT the port, NNODES, NODE_RANK and MASTER_ADDR describe several machines.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2; exit 2; }
config=$1 checkpoint=$2 gpus=$3
shift 3
exec "$(dirname "$0")/launch.sh" test.py "$gpus" "$config" "$checkpoint" "$@"
