#!/usr/bin/env bash
# Starts one of the tools in as many processes as asked: launch.sh TOOL GPUS ARGUMENT...; see dist_train.sh.
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
tool=$tools/$1 gpus=$2
shift 2
[[ $gpus =~ ^[0-9]+$ ]] || { echo "error: GPUS is '$gpus', expected a number: 0 for the CPU, else how many" >&2; exit 2; }
python=${PYTHON:-python}
command -v "$python" >/dev/null || { echo "error: no '$python' here; activate the environment or set PYTHON" >&2; exit 2; }
export PYTHONPATH=$tools/..${PYTHONPATH:+:$PYTHONPATH}

[ "$gpus" = 0 ] && exec "$python" "$tool" "$@" --device cpu
[ "$gpus" = 1 ] && [ "${NNODES:-1}" = 1 ] && exec "$python" "$tool" "$@"

device=$("$python" -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')
if [ "${NNODES:-1}" = 1 ]; then
  rendezvous=(--standalone)
else
  rendezvous=(--nnodes "$NNODES" --node_rank "${NODE_RANK:-0}" --master_addr "${MASTER_ADDR:?}" --master_port "${PORT:-29500}")
fi
exec "$python" -m torch.distributed.run "${rendezvous[@]}" --nproc_per_node "$gpus" \
  "$tool" "$@" --launcher pytorch --device "$device"
