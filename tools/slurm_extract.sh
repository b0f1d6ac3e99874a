#!/usr/bin/env bash
# Extracts on a Slurm cluster: ./tools/slurm_extract.sh PARTITION JOB_NAME [options of extract_fea_fewshot.py]
# GPUS (default 8), GPUS_PER_NODE (default: the smaller of GPUS and 8), CPUS_PER_TASK (default 5) and SRUN_ARGS say
# what to ask for; PYTHON picks the interpreter. Started again after an interruption, it goes on.
# SCRIPT=knn_cuda.py clusters instead.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: [GPUS=N] $0 PARTITION JOB_NAME [options of extract_fea_fewshot.py]" >&2; exit 2; }
command -v srun >/dev/null || { echo "error: no 'srun' here; this needs a Slurm cluster, else use tools/dist_extract.sh" >&2; exit 2; }
partition=$1 job=$2
shift 2
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
# Jobs that share a node need different ports.
export MASTER_PORT=${PORT:-$((29500 + RANDOM % 1000))}

# SRUN_ARGS is several words on purpose.
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job" --gres=gpu:"$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$root/${SCRIPT:-extract_fea_fewshot.py}" --launcher slurm "$@"
