#!/usr/bin/env bash
# Tries MS2A on other platforms: makes an environment for each pair in a temporary folder, runs the fast tests and
# prints the table of docs/platforms.md; 9 GB of disk at a time, about 10 minutes a pair on 2 cores.
#   tools/try_platforms.sh PYTHON/TORCH ...      e.g. 3.12/2.11.0 /opt/python/bin/python3/2.14.1
# LOGS names the folder of the whole output, TMPDIR the one of the environments; arguments of pytest follow "--".
set -euo pipefail
cd "$(dirname "$0")/.."

LOGS=${LOGS:-work_dirs/platforms}
pairs=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do pairs+=("$1"); shift; done
[ $# -eq 0 ] || shift
[ ${#pairs[@]} -gt 0 ] || { echo "usage: tools/try_platforms.sh PYTHON/TORCH ... [-- PYTEST_ARGUMENTS]" >&2; exit 2; }
for pair in "${pairs[@]}"; do
  case $pair in */*) ;; *) echo "$pair is no PYTHON/TORCH, e.g. 3.12/2.11.0" >&2; exit 2 ;; esac
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$LOGS"
versions='import importlib.metadata as m, platform, ms2a.operators
print(platform.python_version(), *map(m.version, ("torch", "torchvision", "numpy", "opencv-python")), sep=" | ", end=" | ")
print("compiled" if ms2a.operators.find_compiled() else "MS2A'"'"'s")'
failed=0
echo "| Python | torch | torchvision | numpy | OpenCV | operators | set-up | fast tests |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- |"
for pair in "${pairs[@]}"; do
  python=${pair%/*} torch=${pair##*/} log=$LOGS/$(basename "${pair%/*}")-${pair##*/}.log
  case $python in [0-9]*) python=python$python ;; esac
  begin=$SECONDS
  if PYTHON=$python TORCH=$torch VENV=$folder/env tools/setup_env.sh test > "$log" 2>&1; then
    took=$((SECONDS - begin))
    row=$("$folder/env/bin/python" -W ignore -c "$versions" 2>> "$log")
    "$folder/env/bin/python" -m pytest "$@" >> "$log" 2>&1 || failed=1
    echo "| $row | $took s | $(tail -n 1 "$log") |"
  else
    echo "| $python | $torch | | | | | failed: $(tail -n 1 "$log") | |"
    failed=1
  fi
  rm -rf "$folder/env"
done
exit $failed
