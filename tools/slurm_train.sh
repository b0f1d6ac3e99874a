#!/usr/bin/env bash
# Trains on a Slurm cluster: ./tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# GPUS (default 8), GPUS_PER_NODE (default: the smaller of GPUS and 8), CPUS_PER_TASK (default 5) and SRUN_ARGS say
# what to ask for; PYTHON picks the interpreter.
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: [GPUS=N] $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2; exit 2; }
command -v srun >/dev/null || { echo "error: no 'srun' here; this needs a Slurm cluster, else use tools/dist_train.sh" >&2; exit 2; }
partition=$1 job=$2 config=$3 work_dir=$4
shift 4
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
tools=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH=$tools/..${PYTHONPATH:+:$PYTHONPATH}
# Jobs that share a node need different ports.
export MASTER_PORT=${PORT:-$((29500 + RANDOM % 1000))}

# SRUN_ARGS is several words on purpose.
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job" --gres=gpu:"$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$tools/train.py" "$config" --work-dir "$work_dir" --launcher slurm "$@"
