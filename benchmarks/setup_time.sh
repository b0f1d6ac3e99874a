#!/usr/bin/env bash
# Times tools/setup_env.sh of an older commit and of this one from an empty environment, in turns, and prints a table:
# wall-clock and CPU seconds. Run it twice: the first run may download packages that pip then has in its cache.
#   benchmarks/setup_time.sh OLD_COMMIT [ROUNDS]      PYTHON names the interpreter
set -euo pipefail
cd "$(dirname "$0")/.."

old=$1 rounds=${2:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone -q . "$folder/old" && git -C "$folder/old" checkout -q "$old"
git clone -q . "$folder/new"

# NAME TREE: sets up TREE with the wheels kept in $folder/kept-TREE; one row of the table.
timed() {
  rm -rf "$folder/env"
  local took
  TIMEFORMAT='%R %U %S'
  took=$({ time (cd "$folder/$2" && MS2A_CACHE=$folder/kept-$2 VENV=$folder/env tools/setup_env.sh test > "$folder/log" 2>&1); } 2>&1) \
    || { tail -n 20 "$folder/log" >&2; exit 1; }
  echo "$took" | awk -v name="$1" '{ printf "| %s | %.0f | %.0f |\n", name, $1, $2 + $3 }'
}
echo "| set-up | wall, s | CPU, s |"
echo "| --- | --- | --- |"
for round in $(seq "$rounds"); do
  rm -rf "$folder"/kept-*
  # pip keeps what it built of mmcv's source too.
  "${PYTHON:-python3}" -m pip cache remove 'mmcv_full*' > /dev/null 2>&1 || true
  timed "$old, no kept wheel" old
  timed "this, no kept wheel" new
  timed "$old, kept wheel" old
  timed "this, kept wheel" new
done
