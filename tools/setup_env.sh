#!/usr/bin/env bash
# Makes the virtual environment .venv: torch, mmcv-full without operators (no compiler needed), mmdet, the rest.
#   tools/setup_env.sh [--compiled] [EXTRA ...]     extras of setup.py, e.g. test dev; default: test
# --compiled builds mmcv-full with its C++ operators, once; the wheel is kept and used by every later set-up.
# PYTHON picks the interpreter, TORCH the release, VENV the folder, MS2A_CACHE where wheels are kept, MAX_JOBS the
# compiler processes. uv installs where it is there, pip otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "setup: $*" >&2; exit 2; }
say() { echo "setup: $*"; }
stated() { sed -n "s/^$1 //p" requirements/platforms.txt; }

compiled=
if [ "${1:-}" = --compiled ]; then compiled=yes; shift; fi
EXTRAS=${*:-test}
VENV=${VENV:-.venv}
CACHE=${MS2A_CACHE:-${XDG_CACHE_HOME:-${HOME:-$PWD}/.cache}/ms2a}
read -ra pythons <<< "$(stated python)"
read -ra torches <<< "$(stated torch)"
mmcv=$(stated mmcv-full)
torch=${TORCH:-${torches[0]}}
case " ${torches[*]} " in *" $torch "*) ;; *) say "TORCH=$torch is none of those tested: ${torches[*]}" ;; esac

files=(setup.py requirements.txt requirements/*.txt requirements/mmcv/*.* tools/setup_env.sh)
stamp=$(cat "${files[@]}" | sha256sum | cut -c1-16)-$torch-${PYTHON:-}-${EXTRAS// /,}$compiled
if [ -f "$VENV/.ms2a-ready" ] && [ "$(cat "$VENV/.ms2a-ready")" = "$stamp" ]; then exit 0; fi

# Version and abilities of an interpreter; nothing for one that does not start, such as a version manager's placeholder.
describe() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }
suits() { case " ${pythons[*]} " in *" $(describe "$1") "*) return 0 ;; *) return 1 ;; esac; }
expected="Python $(printf '%s, ' "${pythons[@]}" | sed 's/, $//')"
if [ -n "${PYTHON:-}" ]; then
  command -v "$PYTHON" >/dev/null || die "PYTHON=$PYTHON is not there; name an interpreter, e.g. PYTHON=/usr/bin/python${pythons[0]}"
  suits "$PYTHON" || die "PYTHON=$PYTHON is Python $(describe "$PYTHON"), expected $expected"
elif suits "$VENV/bin/python"; then
  # An environment that is there is kept, whoever made it.
  PYTHON=$VENV/bin/python
else
  seen=
  for name in "${pythons[@]/#/python}" python3 python; do
    command -v "$name" >/dev/null || continue
    if suits "$name"; then PYTHON=$name; break; fi
    version=$(describe "$name")
    [ -z "$version" ] || seen="$seen, $name is $version"
  done
  [ -n "${PYTHON:-}" ] || die "no $expected found${seen}; install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it with PYTHON=/path/to/python"
fi
version=$(describe "$PYTHON")
uv=$(command -v uv || true)
[ -n "$uv" ] || "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || die "$PYTHON has no venv module; Debian, Ubuntu: apt-get install python$version-venv"

# What a build needs is asked for before anything large is downloaded.
tag=py${version/./}-torch$torch-$(uname -m)
kept=$CACHE/wheels/$tag
wheel_in() { ls "$1"/mmcv_full-"$mmcv"-*.whl 2>/dev/null | head -n 1 || true; }
if [ -n "$compiled" ] && [ -z "$(wheel_in "$kept")" ]; then
  command -v "${CXX:-c++}" >/dev/null || die "building mmcv-full $mmcv needs a C++ compiler and '${CXX:-c++}' is not there; Debian, Ubuntu: apt-get install g++"
  header=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h
  [ -f "$header" ] || die "building mmcv-full $mmcv needs Python's headers and $header is not there; Debian, Ubuntu: apt-get install python$version-dev"
fi

# The installer writes what it downloads beside what it installs. torch for x86_64 brings its CUDA libraries.
case $(uname -m) in x86_64) download=4 needed=12 ;; *) download=1 needed=4 ;; esac
mkdir -p "$(dirname "$VENV")"
if ! "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
  free=$(($(df -Pk "$(dirname "$VENV")" | awk 'END { print $4 }') / 1000000))
  [ "$free" -ge "$needed" ] || die "making $VENV needs about $needed GB while it installs and the disk has $free GB left; free some, or put it on another disk with VENV=/path/to/folder"
fi

python=$VENV/bin/python
if [ "$(describe "$python")" != "$version" ]; then
  say "creating $VENV with $PYTHON ($version)"
  if [ -n "$uv" ]; then
    if [ -f "$VENV/pyvenv.cfg" ]; then rm -rf "$VENV"; fi
    uv venv -q --python "$(command -v "$PYTHON")" "$VENV"
  else
    "$PYTHON" -m venv --clear "$VENV"
  fi
fi
# uv makes environments without pip and installs into them itself.
if [ -n "$uv" ]; then
  install() { uv pip install -q --python "$python" "$@"; }
  uninstall() { uv pip uninstall -q --python "$python" "$@"; }
  build() { uv build -q --wheel --out-dir "$@"; }
else
  "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null
  # Python compiles a module when it is first imported; most of the 15,000 here never are.
  install() { "$python" -m pip --disable-pip-version-check install -q --no-compile "$@"; }
  uninstall() { "$python" -m pip --disable-pip-version-check uninstall -q -y "$@"; }
  build() { "$python" -m pip --disable-pip-version-check wheel -q --no-deps -w "$@"; }
fi
has() { "$python" -c "import importlib.util as u, sys; sys.exit(u.find_spec('$1') is None)" 2>/dev/null; }
release() { "$python" -c "import importlib.metadata as m; print(m.version('$1'))" 2>/dev/null || true; }
# torchvision's minor release is torch's plus 15, since 2.0. Named, it saves the installer a search.
IFS=. read -r major minor patch <<< "$torch"
pair=("torch==$torch" "torchvision==0.$((minor + 15)).$patch")
[ "$major" = 2 ] || pair=("torch==$torch" torchvision)

# mmcv-full: compiled where it is asked for, kept from another time or installed; else its Python part.
operators=$("$python" -c 'import glob, importlib.util as u; print(*glob.glob(u.find_spec("mmcv").submodule_search_locations[0] + "/_ext.*[!y]"))' 2>/dev/null || true)
if [ "$(release torch)" != "$torch" ]; then operators=; fi  # compiled operators fit one torch
if [ -n "$compiled" ] && [ -z "$(wheel_in "$kept")" ]; then
  say "installing torch (about $download GB to download the first time)"
  install "${pair[@]}" -r requirements/build.txt -r requirements/compiled.txt
  say "building mmcv-full $mmcv with its operators, once: 3 to 6 minutes on 2 cores"
  mkdir -p "$kept"
  building=$(mktemp -d "$kept/build.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  # From the source folder, so that no cache is asked: pip's knows neither flags nor torch.
  MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc)} "$python" -m pip --disable-pip-version-check \
    wheel -v --no-build-isolation --no-deps --no-cache-dir -w "$building" ./requirements/mmcv 2>&1 \
    | tee "$building/log" | stdbuf -oL sed -nE 's#^ *(\[[0-9]+/[0-9]+\]).*/([A-Za-z0-9_]+)\.o .*#setup:   \1 \2#p' \
    || { tail -n 30 "$building/log" >&2; cp "$building/log" "$CACHE/mmcv-build.log"; die "building mmcv-full $mmcv failed; whole log: $CACHE/mmcv-build.log"; }
  mv "$building"/mmcv_full-*.whl "$kept/"
  rm -rf "$building"; trap - EXIT
fi
wheel=$(wheel_in "$kept")
if [ -z "$wheel" ] && [ -z "$operators" ]; then
  kept=$CACHE/wheels/plain
  wheel=$(wheel_in "$kept")
  if [ -z "$wheel" ]; then
    mkdir -p "$kept"
    build "$kept" ./requirements/mmcv
    wheel=$(wheel_in "$kept")
  fi
fi

say "installing torch $torch, mmcv-full, mmdet and the rest (about $download GB to download the first time)"
# setup.py asks for the OpenCV that is installed, for which it must see this environment.
install -r requirements/build.txt
install --no-build-isolation "${pair[@]}" ${wheel:+"$wheel"} -e ".[${EXTRAS// /,}]"
install --no-deps -r requirements/style.txt
"$python" -c 'import cv2' 2>/dev/null || {
  say "this system has no libGL for opencv-python; using the same release of opencv-python-headless"
  opencv=$(release opencv-python)
  uninstall opencv-python
  install --no-deps "opencv-python-headless==$opencv"
}
# Imports all of mmcv and mmdet that MS2A uses; Python 3.12 and later warn once of escapes in their docstrings.
"$python" -W ignore -c 'import ms2a.plugin; print("setup: ms2a", ms2a.__version__, "is ready")'
echo "$stamp" > "$VENV/.ms2a-ready"
