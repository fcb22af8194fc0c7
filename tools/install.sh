#!/usr/bin/env bash
# Installs what `make demo` (pretrain) or `make test` (complete) needs into .venv:
#
#     tools/install.sh pretrain|complete
#
# Safe to interrupt and rerun: .venv/.pretrain and .venv/.complete are created once the
# installation is finished and can be imported.
#
#     PYTHON        interpreter for .venv (default: 3.11, 3.12, 3.13, 3.14 or 3.10)
#     SAIP_WHEELS   cache of compiled wheels, shared by clones
#                   (default: ${XDG_CACHE_HOME:-~/.cache}/saip_mm/wheels)
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:?pretrain or complete}
python=$PWD/.venv/bin/python
wheels=${SAIP_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/saip_mm/wheels}
export PIP_ROOT_USER_ACTION=ignore

say() { echo "[install] $*"; }
die() { echo "[install] error: $*" >&2; exit 1; }
pip_install() {
    "$python" -m pip install -qq --no-input --no-warn-conflicts \
        -c constraints.txt --build-constraint constraints.txt "$@"
}
pinned() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" constraints.txt; }

# Prints an interpreter that can create .venv. Each is tried, because a name on the PATH
# may be a broken shim, and a distribution's Python may lack ensurepip.
find_python() {
    local path
    while read -r path; do
        if "$path" -c 'import sys, ensurepip, venv
sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null; then
            echo "$path"
            return
        fi
    done < <(type -aP ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3.10 python3})
    die "no Python from 3.10 to 3.14 with the venv module${PYTHON:+ at PYTHON=$PYTHON}." \
        'Install one (Debian, Ubuntu: python3 python3-venv python3-dev;' \
        'macOS: brew install python@3.11),' \
        'or select one: make PYTHON=/path/to/python3.11 …'
}

make_venv() {
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        local base
        base=$(find_python)
        say "Creating .venv with $base ($("$base" -V))."
        rm -rf .venv
        "$base" -m venv .venv
    fi
    "$python" -m pip install -qq "pip==$(pinned pip)"
}

# The libraries pull in two OpenCV packages that write to the same cv2/. Only the
# headless one is kept: the other needs libGL, which servers lack. On Python 3.14, it is
# newer than the other: OpenCV 4.12 asks for NumPy < 2.3, imaug for OpenCV < 4.13, and
# Python 3.14 needs NumPy 2.3, with which OpenCV 4.12 works.
keep_headless_opencv() {
    "$python" -m pip uninstall -qq --yes opencv-python
    pip_install --force-reinstall --no-deps \
        "opencv-python-headless==$(pinned opencv-python-headless)"
}

check() {  # $1: description, $2: Python code, run outside the source tree
    local output
    say "Checking $1."
    output=$(cd .venv && "$python" -c "$2" 2>&1) || {
        echo "$output" >&2
        die "$1 is installed but does not work (see above). Remove .venv and rerun."
    }
}

install_pretrain() {
    say 'Installing the pretraining environment (first time: about 3 minutes, 5 GB).'
    pip_install -e '.[pretrain]'
    keep_headless_opencv
    # yapf caches its grammar, which processes should not do at the same time.
    check 'the pretraining environment' \
        'import cv2, mmengine, mmpretrain, torch, torchvision, yapf
from importlib.util import find_spec
assert find_spec("saip_mm"), "saip_mm is not on the path"'
}

# Prints the name of the wheel folder: everything that a compiled mmcv depends on.
# CUDA ops need a GPU and a toolkit of torch's CUDA version.
wheel_key() {
    "$python" - "$(pinned onedl-mmcv)" <<'EOF'
import platform, subprocess, sys
import torch

ops = 'cpu'
if torch.cuda.is_available():
    from torch.utils.cpp_extension import CUDA_HOME

    toolkit = CUDA_HOME and subprocess.check_output([f'{CUDA_HOME}/bin/nvcc', '-V'])
    if toolkit and f'release {torch.version.cuda},' in toolkit.decode():
        ops = 'sm{}{}'.format(*torch.cuda.get_device_capability())
tag = f'cp{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}'
print(f'mmcv{sys.argv[1]}-torch{torch.__version__}-{ops}-{tag}')
EOF
}

# Writes $1/c++, a compiler that compiles the header with which most files of mmcv begin
# (and, with it, PyTorch's) only once: that takes most of the time of each file.
write_compiler() {
    mkdir -p "$1"
    cat >"$1/c++" <<'EOF'
#!/usr/bin/env bash
here=$(dirname "$0")
header=$here/../source/mmcv/ops/csrc/common/pytorch_cpp_helper.hpp
precompile() {
    local flags=()
    while (($#)); do
        case $1 in
            -o | -MF) shift ;;
            -c | -MMD | *.cpp) ;;
            *) flags+=("$1") ;;
        esac
        shift
    done
    "$SAIP_CXX" "${flags[@]}" -x c++-header "$header" -o "$here/new.gch" &&
        mv "$here/new.gch" "$here/$(basename "$header").gch"
    touch "$here/tried"
}
if [[ " $* " == *' -c '* ]]; then
    set -- "$@" -g0
    (flock 9; [ -e "$here/tried" ] || precompile "$@") 9>"$here/lock"
    set -- -I"$here" "$@"
fi
exec "$SAIP_CXX" "$@"
EOF
    chmod +x "$1/c++"
}

# Unpacks mmcv's source into $1/source and compiles it there, so that an interrupted
# compilation continues with the remaining files. pip's cache is bypassed: it identifies
# a wheel by its source alone, and could return one without ops or for another torch.
compile_mmcv() {
    local folder=$1 log=$1/compile.log
    command -v "${CXX:-c++}" >/dev/null || die 'no C++ compiler (Debian, Ubuntu: g++).'
    "$python" -c 'import os, sysconfig
assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null ||
        die 'no Python.h for this Python (Debian, Ubuntu: python3-dev).'
    say "Compiling mmcv ops: about 5 minutes on two cores, once for" \
        "$(basename "$folder"). Log: $log"
    if [ ! -d "$folder/source" ]; then
        rm -rf "$folder/unpacked"
        mkdir "$folder/unpacked"
        "$python" -m pip download -qq --no-deps --no-cache-dir --no-binary :all: \
            -d "$folder/unpacked" "onedl-mmcv==$(pinned onedl-mmcv)"
        tar -xzf "$folder"/unpacked/*.tar.gz --strip-components 1 -C "$folder/unpacked"
        # Its setup.py requests C++17; PyTorch's headers need C++20 since 2.14.
        sed -i 's/-std=c++1[47]/-std=c++20/' "$folder/unpacked/setup.py"
        mv "$folder/unpacked" "$folder/source"
    fi
    if [[ $folder == *-cpu-* ]]; then
        export CUDA_VISIBLE_DEVICES='' FORCE_CUDA=0
    fi
    write_compiler "$folder/compiler"
    SAIP_CXX=$(command -v "${CXX:-c++}") CXX=c++ \
        PATH=$folder/compiler:${python%/*}:$PATH \
        MAX_JOBS=$(env -u OMP_NUM_THREADS nproc) \
        "$python" -m pip wheel -v --no-deps --no-cache-dir --no-build-isolation \
        -w "$folder/new" "$folder/source" 2>&1 | tee "$log" |
        sed -un 's/.*\[\([0-9]*0\)\/\([0-9]*\)\].*/[install]   \1 of \2 files/p' || {
        tail -n 40 "$log" >&2
        die "mmcv did not compile (see above; full log: $log)."
    }
    rm -rf "$folder/source" "$folder/compiler"
}

# Built here because the published wheels are for NumPy 1. Its setup.py reads a variable
# that exec() set in a function, which Python 3.13 forgets (PEP 667).
build_xtcocotools() {
    say 'Building xtcocotools: about a minute.'
    mkdir -p "$1/patch"
    cat >"$1/patch/sitecustomize.py" <<'EOF'
import builtins, sys

run = builtins.exec

def run_in_caller(code, *namespaces, **options):
    caller = sys._getframe(1)
    run(code, *(namespaces or (caller.f_globals, caller.f_locals)), **options)

builtins.exec = run_in_caller
EOF
    PYTHONPATH=$1/patch "$python" -m pip wheel -qq --no-deps --no-cache-dir \
        --no-build-isolation --no-binary xtcocotools -w "$1/new" \
        "xtcocotools==$(pinned xtcocotools)"
    rm -r "$1/patch"
}

# Calls the builder $3 unless folder $1 has a wheel of package $2. Builders write into
# `new`, and finished wheels are moved up.
ensure_wheel() {
    compgen -G "$1/$2-*.whl" >/dev/null && return
    rm -rf "$1/new"
    "$3" "$1"
    mv "$1"/new/*.whl "$1"
    rmdir "$1/new"
}

install_complete() {
    say 'Installing MMDetection, MMSegmentation, MMPose and the test tools.'
    pip_install -e '.[pretrain,downstream,dev]'
    # MMPose declares a package that it never imports and that no longer builds.
    pip_install --no-deps mmpose
    keep_headless_opencv

    local folder
    folder=$wheels/$(wheel_key)
    mkdir -p "$folder"
    (
        flock --nonblock 9 || {
            say "Waiting for another installation that is compiling into $folder."
            flock 9
        }
        ensure_wheel "$folder" onedl_mmcv compile_mmcv
        ensure_wheel "$folder" xtcocotools build_xtcocotools
    ) 9>"$folder/lock"
    # Forced, because an mmcv without ops has the same version.
    pip_install --no-deps --force-reinstall "$folder"/{onedl_mmcv,xtcocotools}-*.whl
    check 'the complete environment' \
        'import mmdet.apis, mmpose.apis, mmpretrain.apis, mmseg.apis, torch
from mmcv.ops import nms
from xtcocotools.coco import COCO
nms(torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1), 0.5)'
}

if [ "$what" = complete ] && [ "$(uname)" != Linux ]; then
    die 'The complete environment is for Linux. `make demo` does not need it.'
fi
make_venv
rm -f .venv/.pretrain .venv/.complete
install_pretrain
if [ "$what" = complete ]; then
    install_complete
    touch .venv/.complete
fi
touch .venv/.pretrain
say 'Done.'
