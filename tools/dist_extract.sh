#!/usr/bin/env bash
# Extracts in several processes: ./tools/dist_extract.sh GPUS [options of extract_fea_fewshot.py]
# SCRIPT=knn_cuda.py clusters instead. GPUS=0 runs on the CPU in one process; without a GPU, GPUS=N in N processes.
# PYTHON picks the interpreter; NNODES, NODE_RANK, MASTER_ADDR and PORT describe several machines. Started again after
# an interruption, it goes on.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 GPUS [options of extract_fea_fewshot.py]" >&2; exit 2; }
gpus=$1
shift
python=${PYTHON:-python}
command -v "$python" >/dev/null || { echo "error: no '$python' here; activate the environment or set PYTHON" >&2; exit 2; }
exec "$python" "$(dirname "$0")/launch.py" "../${SCRIPT:-extract_fea_fewshot.py}" "$gpus" "$@"
