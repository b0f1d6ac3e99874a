#!/usr/bin/env bash
# Makes the virtual environment .venv: torch, mmcv-full (built once, its wheel kept for next time), the rest.
#   tools/setup_env.sh [EXTRA ...]        extras of setup.py, e.g. test dev; default: test
# PYTHON picks the interpreter, VENV the folder, MS2A_CACHE where wheels are kept, MAX_JOBS the compiler processes.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
CACHE=${MS2A_CACHE:-${XDG_CACHE_HOME:-${HOME:-$PWD}/.cache}/ms2a}
EXTRAS=${*:-test}
die() { echo "setup: $*" >&2; exit 2; }
say() { echo "setup: $*"; }

stamp=$(cat setup.py requirements/*.txt tools/setup_env.sh | sha256sum | cut -c1-16)-${EXTRAS// /,}
if [ -f "$VENV/.ms2a-ready" ] && [ "$(cat "$VENV/.ms2a-ready")" = "$stamp" ]; then exit 0; fi

PYTHON=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
[ -n "$PYTHON" ] || die "no Python found; install Python 3.11 (Debian: apt-get install python3 python3-venv python3-dev) or name it with PYTHON=/path/to/python3.11"
command -v "$PYTHON" >/dev/null || die "PYTHON=$PYTHON is not there; name an interpreter, e.g. PYTHON=/usr/bin/python3.11"
version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$version" = 3.11 ] || die "$PYTHON is Python $version, expected 3.11; name another one with PYTHON=/path/to/python3.11"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || die "$PYTHON has no venv module; Debian: apt-get install python3-venv"

# Said before anything large is downloaded. Without a wheel kept from another time, mmcv-full has to be compiled.
mmcv=$(grep -o '^mmcv-full==.*' requirements/mmcv.txt)
torch=$(sed -n 's/^torch==//p' requirements/torch.txt)
tag=py${version/./}-torch$torch-$(uname -m)
wheel=mmcv_full-${mmcv#*==}-*.whl
if ! ls "$CACHE/wheels/$tag/"$wheel >/dev/null 2>&1; then
  command -v "${CXX:-c++}" >/dev/null || die "building $mmcv needs a C++ compiler and '${CXX:-c++}' is not there; Debian: apt-get install g++"
  header=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h
  [ -f "$header" ] || die "building $mmcv needs Python's headers and $header is not there; Debian: apt-get install python3-dev"
fi

# pip writes what it downloads beside what it installs. torch for x86_64 brings its CUDA libraries.
case $(uname -m) in x86_64) download=4 needed=12 ;; *) download=1 needed=4 ;; esac
mkdir -p "$(dirname "$VENV")"
if ! "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
  free=$(($(df -Pk "$(dirname "$VENV")" | awk 'END { print $4 }') / 1000000))
  [ "$free" -ge "$needed" ] || die "making $VENV needs about $needed GB while it installs and the disk has $free GB left; free some, or put it on another disk with VENV=/path/to/folder"
fi

"$VENV/bin/python" -m pip --version >/dev/null 2>&1 || { say "creating $VENV with $PYTHON"; "$PYTHON" -m venv --clear "$VENV"; }
python=$VENV/bin/python
pip() { "$python" -m pip --disable-pip-version-check "$@"; }

say "installing torch (about $download GB to download the first time)"
pip install -q -r requirements/build.txt
pip install -q --progress-bar on -r requirements/torch.txt

# A compiled wheel fits one Python, one torch and one kind of processor: all three name its folder.
wheels=$CACHE/wheels/$tag
if ! ls "$wheels"/$wheel >/dev/null 2>&1; then
  say "building $mmcv, once: 6 to 12 minutes on 2 cores"
  mkdir -p "$wheels"
  build=$(mktemp -d "$wheels/build.XXXXXX")
  trap 'rm -rf "$build"' EXIT
  # No debug information: a third off the compile time. No GPU visible: only the CPU operators are needed,
  # detection on a GPU uses torchvision's NMS.
  CFLAGS="-g0 ${CFLAGS:-}" CUDA_VISIBLE_DEVICES="" MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc)} \
    "$python" -m pip --disable-pip-version-check wheel -v --no-build-isolation --no-deps -w "$build" "$mmcv" 2>&1 \
    | tee "$build/log" | stdbuf -oL sed -nE 's#^ *(\[[0-9]+/[0-9]+\]).*/([A-Za-z0-9_]+)\.o .*#setup:   \1 \2#p' \
    || { tail -n 30 "$build/log" >&2; cp "$build/log" "$CACHE/mmcv-build.log"; die "building $mmcv failed; whole log: $CACHE/mmcv-build.log"; }
  mv "$build"/mmcv_full-*.whl "$wheels/"
  rm -rf "$build"; trap - EXIT
fi

say "installing mmcv-full, mmdet and the rest"
pip install -q "$wheels"/$wheel
pip install -q --no-build-isolation -e ".[${EXTRAS// /,}]"
pip install -q --no-deps -r requirements/style.txt
"$python" -c 'import cv2' 2>/dev/null || {
  say "this system has no libGL for opencv-python; using the same release of opencv-python-headless"
  release=$(pip show opencv-python | sed -n 's/^Version: //p')
  pip uninstall -q -y opencv-python
  pip install -q --force-reinstall --no-deps "opencv-python-headless==$release"
}
"$python" -c 'import ms2a; print("setup: ms2a", ms2a.__version__, "is ready")'
echo "$stamp" > "$VENV/.ms2a-ready"
