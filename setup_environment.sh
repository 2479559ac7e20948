#!/usr/bin/env bash
# ./setup_environment.sh [--dev] [COMMAND…]
#
# Makes the environment in .venv, says what it found, then runs COMMAND in it. Needs no root.
# When nothing is to do it is silent and costs next to nothing: write it before every command.
# It can be stopped at any moment; started again, it goes on. To begin anew, delete .venv.
#
#   ./setup_environment.sh seedvr restore old.mp4     run the program
#   ./setup_environment.sh pytest                     run the tests (pytest, ruff and mypy bring the test tools)
#   ./setup_environment.sh --dev                      the test tools, without running one
#   ./setup_environment.sh --choose-torch 12.8 8.6    only print the torch build for a driver that reaches
#                                                     CUDA 12.8 and a card of compute capability 8.6
#
# SEEDVR_PYTHON=/path/to/python   the Python to use (3.11, 3.12 or 3.13)
# SEEDVR_TORCH=cpu|cu126|cu130    the torch build to use, in place of the one that fits the driver
# SEEDVR_TORCH_INDEX=https://…    a mirror of https://download.pytorch.org/whl
set -euo pipefail

readonly TORCH=2.13.0
readonly TORCH_INDEX=${SEEDVR_TORCH_INDEX:-https://download.pytorch.org/whl}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
readonly root venv=$root/.venv
readonly unfinished=$venv/.unfinished

# Everything the script says goes to stderr: stdout belongs to COMMAND.
say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# --- which torch ------------------------------------------------------------------------------------------

# at_least 12.10 12.8: compares versions MAJOR.MINOR as numbers.
at_least() {
    local have=$1.0 want=$2.0
    local have_minor=${have#*.} want_minor=${want#*.}
    ((10#${have%%.*} > 10#${want%%.*})) && return
    ((10#${have%%.*} == 10#${want%%.*} && 10#${have_minor%%.*} >= 10#${want_minor%%.*}))
}

# Prints the build of torch for a machine: cu130, cu126, cpu, or plain (what PyPI has for this system).
#   $1 highest CUDA version that the driver reaches; empty or 0 without a driver
#   $2 compute capability of the newest card; empty when unknown
#   $3 system and processor, as `uname -sm` says them
choose_torch() {
    local cuda=${1:-0} capability=${2:-8.0} system=${3:-Linux x86_64}
    if [[ $system != "Linux x86_64" ]]; then
        echo plain
    # torch 2.13 has builds for CUDA 12.6 (cards 5.0 to 9.0) and 13.0 (from 7.5 on), none between the two.
    elif at_least "$cuda" 13.0 && at_least "$capability" 7.5; then
        echo cu130
    elif at_least "$cuda" 12.6 && at_least "$capability" 5.0 && ! at_least "$capability" 10.0; then
        echo cu126
    else
        echo cpu
    fi
}

# A driver in trouble can let nvidia-smi hang.
ask_driver() { timeout 60 nvidia-smi "$@" 2>&1; }

# Reads gpu_name, gpu_driver, gpu_capability, gpu_cuda; all empty without a GPU. gpu_problem: why the driver is silent.
read_gpu() {
    gpu_name="" gpu_driver="" gpu_capability="" gpu_cuda="" gpu_problem=""
    if ! command -v nvidia-smi >/dev/null; then
        [[ ! -r /proc/driver/nvidia/version ]] || gpu_problem="nvidia-smi is missing"
        return 0
    fi
    local cards header fields="name,driver_version,compute_cap"
    # Drivers of before 2021 do not know compute_cap.
    if ! cards=$(ask_driver --query-gpu="$fields" --format=csv,noheader) &&
        ! cards=$(ask_driver --query-gpu="${fields%,*}" --format=csv,noheader) || [[ $cards == "No devices"* ]]; then
        gpu_problem=${cards%%$'\n'*}
        return 0
    fi
    local name driver capability
    while IFS=, read -r name driver capability; do
        capability=${capability// /}
        if [[ -z $gpu_name ]] || { [[ -n $capability ]] && at_least "$capability" "${gpu_capability:-0}"; }; then
            gpu_name=$name gpu_driver=${driver// /} gpu_capability=$capability
        fi
    done <<<"$cards"
    header=$(ask_driver || true)
    [[ $header =~ CUDA[A-Za-z\ ]*Version:?\ *([0-9]+\.[0-9]+) ]] && gpu_cuda=${BASH_REMATCH[1]}
    return 0
}

# Says in a sentence or two what was found and what follows; $1 is the chosen build.
tell_choice() {
    local found="$gpu_name, driver $gpu_driver (CUDA ${gpu_cuda:-unknown})"
    if [[ -n ${SEEDVR_TORCH:-} ]]; then
        say "torch $TORCH ($1), as SEEDVR_TORCH says."
    elif [[ -n $gpu_problem ]]; then
        say "There is an NVIDIA driver, but it gives no answer ($gpu_problem): everything will run on the CPU." \
            "Reinstall the driver, or start the container with the GPU, then run this again."
    elif [[ -z $gpu_name ]]; then
        say "No NVIDIA GPU found: everything will run on the CPU."
    elif [[ $1 == cu* ]]; then
        say "Found $found: torch $TORCH for CUDA ${1:2:2}.${1:4}."
    elif [[ $1 == plain ]]; then
        say "Found $found: torch $TORCH as PyPI has it for this system."
    elif [[ -n $gpu_capability ]] && ! at_least "$gpu_capability" 5.0; then
        say "Found $found, but torch $TORCH no longer knows a card this old: everything will run on the CPU."
    else
        say "Found $found, but this driver is too old for torch $TORCH: everything will run on the CPU." \
            "To use the GPU, update the NVIDIA driver to 580 or newer, then run this again."
    fi
}

# --- is there anything to do? -----------------------------------------------------------------------------

# Everything that the environment was made from. When it differs from what the stamp holds, there is something to do.
#   $1 base or dev
state() {
    echo "$root"
    echo "$TORCH ${SEEDVR_TORCH:-} $(command -v nvidia-smi || true)"
    cat /proc/driver/nvidia/version 2>/dev/null || true
    "$venv/bin/python" -I -S -c 'import sys; print(sys.version)' 2>/dev/null || echo "broken"
    cat "$root/pyproject.toml" "$root/requirements.txt"
    [[ $1 == base ]] || cat "$root/requirements-dev.txt"
}

is_ready() {
    local stamp=$venv/.ready-$1
    [[ -f $stamp && ! -e $unfinished && -x $venv/bin/python && $(<"$stamp") == "$(state "$1")" ]]
}

# --- making it --------------------------------------------------------------------------------------------

is_supported() {
    "$1" -I -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

# Sets python: the first Python of a supported version. One that pyenv holds back is found in its folder.
find_python() {
    if [[ -n ${SEEDVR_PYTHON:-} ]]; then
        python=$SEEDVR_PYTHON
        is_supported "$python" || fail "SEEDVR_PYTHON ($python) is no Python 3.11, 3.12 or 3.13 with the venv module."
        return
    fi
    for python in python3 python3.13 python3.12 python3.11 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123].*/bin/python3; do
        ! is_supported "$python" || return 0
    done
    say "Python 3.11, 3.12 or 3.13 with its venv module is needed; $(python3 --version 2>&1 || true) is what python3 is here."
    say "Debian and Ubuntu: sudo apt install python3 python3-venv. Without root: https://docs.astral.sh/uv brings one."
    fail "If it lies somewhere unusual: SEEDVR_PYTHON=/path/to/python ./setup_environment.sh"
}

# One set-up at a time. The lock hangs on file descriptor 9, so a pip that outlives this script still holds it.
lock() {
    [[ -w $root ]] || fail "$root cannot be written: copy the project to a folder of your own."
    exec 9>"$root/.venv.lock"
    "$python" -I - <<'PY'
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Another set-up is under way in this folder; waiting for it.", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass  # a network file system without locks: go on without
PY
}

pip() {
    # A pip that was told to install for the user or into a folder would miss the environment.
    env -u PIP_TARGET -u PIP_PREFIX PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 \
        "$venv/bin/python" -I -m pip "$@"
}

with_retries() {
    local pause
    for pause in 2 10 30; do
        ! "$@" >&2 || return 0
        say "That failed; trying again in $pause s."
        sleep "$pause"
    done
    "$@" >&2
}

# A venv is kept when its Python is a supported one, its pip works, and it was made in this folder.
is_venv_sound() {
    [[ -f $venv/pyvenv.cfg ]] && is_supported "$venv/bin/python" && pip --version >/dev/null 2>&1 &&
        grep -qsF "$venv/bin/" "$venv/bin/pip" || return 1
    [[ -z ${SEEDVR_PYTHON:-} || $(python_version "$venv/bin/python") == "$(python_version "$python")" ]]
}

python_version() { "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

make_venv() {
    if is_venv_sound; then
        [[ ! -e $unfinished ]] || { say "The last set-up was interrupted; going on with it." && remove_torn_packages; }
    else
        [[ ! -e $venv ]] || say "The environment in .venv is incomplete or from elsewhere; making it anew."
        say "Making the environment in .venv with Python $(python_version "$python")."
        "$python" -m venv --clear "$venv"
    fi
    : >"$unfinished"
}

# A package whose files are not all there (pip was killed while copying) counts as installed to pip: forget it.
remove_torn_packages() {
    "$venv/bin/python" -I - <<'PY'
import shutil, sysconfig
from importlib.metadata import Distribution
from pathlib import Path

def is_there(file):
    path = Path(file.locate())
    return file.size is None or (path.is_file() and path.stat().st_size == file.size)

for info in Path(sysconfig.get_path("purelib")).glob("*.dist-info"):
    files = Distribution.at(info).files
    if not files or not all(map(is_there, files)):
        shutil.rmtree(info)
PY
}

check_disk() {
    local needed_gb=2 free_kb
    [[ $1 == cpu || $(uname -s) == Darwin ]] || needed_gb=8
    [[ -z $(torch_version) ]] || return 0
    free_kb=$(df -Pk "$venv" | awk 'NR == 2 { print $4 }')
    ((free_kb > needed_gb * 1024 * 1024)) ||
        fail "The environment needs about $needed_gb GB, but only $((free_kb / 1024 / 1024)) GB are free in $root."
}

torch_version() {
    "$venv/bin/python" -I -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null || true
}

# $1 the build. It comes from where pip is set up to look, else from PyTorch's own index.
install_torch() {
    local wanted=$TORCH+$1
    [[ $(torch_version) != "$wanted" ]] || return 0
    local constraint=(--constraint "$root/requirements.txt") index=(--index-url "$TORCH_INDEX/$1")
    say "Installing torch $TORCH ($1)."
    if [[ $1 == plain ]]; then
        with_retries pip install "${constraint[@]}" "torch==$TORCH"
    elif is_offered "$wanted"; then
        with_retries pip install "${constraint[@]}" "torch==$wanted"
    elif is_offered "$wanted" "${index[@]}"; then
        with_retries pip install "${constraint[@]}" "${index[@]}" "torch==$wanted"
    else
        say "$TORCH_INDEX/$1 gives no answer or has no torch $wanted for this Python: taking torch $TORCH from PyPI." \
            "On Linux that one brings CUDA 13 along: several GB, needed or not."
        with_retries pip install "${constraint[@]}" "torch==$TORCH"
    fi
}

# Does pip find version $1 of torch? Further arguments are pip's. A silent server costs half a minute at most.
is_offered() {
    local versions
    versions=$(pip index versions torch --retries 1 --timeout 10 "${@:2}" 2>/dev/null) || return 1
    [[ " ${versions//[,()$'\n']/ } " == *" $1 "* ]]
}

# $1 base or dev, $2 the build of torch
install_packages() {
    local lock=$root/requirements.txt
    [[ $1 == base ]] || lock=$root/requirements-dev.txt
    say "Installing the packages of ${lock##*/}."
    with_retries pip install --quiet --requirement "$lock" || return
    install_torch "$2" || return
    # The lock holds setuptools, so nothing is fetched to build our own package.
    with_retries pip install --quiet --no-deps --no-build-isolation --editable "$root"
}

# Computes something with torch, on the GPU too where its build is for one. A GPU that fails is told, the CPU must do.
verify() {
    local conflicts
    conflicts=$(pip check) || { say "$conflicts" && return 1; }
    "$venv/bin/python" -I - "$1" >&2 <<'PY'
import sys

import torch

matrix = torch.arange(6, dtype=torch.float32).reshape(2, 3)
expected = [[5.0, 14.0], [14.0, 50.0]]
if (matrix @ matrix.T).tolist() != expected:
    sys.exit("torch is installed but computes wrong numbers on this machine.")
if sys.argv[1].startswith("cu"):
    try:
        on_gpu = matrix.cuda()
        if (on_gpu @ on_gpu.T).tolist() != expected:
            raise RuntimeError("it computes wrong numbers")
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        print(f"The GPU cannot be used ({reason}): everything will run on the CPU.")
PY
}

# $1 base or dev
make_environment() {
    find_python
    trap 'say "Stopped. The same command goes on from here."; exit 130' INT
    lock
    ! is_ready "$1" || return 0 # another one made it while we waited
    make_venv
    rm -f "$venv"/.ready-*
    local build
    read_gpu
    build=${SEEDVR_TORCH:-$(choose_torch "$gpu_cuda" "$gpu_capability" "$(uname -sm)")}
    tell_choice "$build"
    check_disk "$build"
    install_packages "$1" "$build" ||
        fail "The packages could not be installed; pip says why above. The same command goes on from here."
    verify "$build" ||
        fail "The environment does not work. Delete $venv and run this again; if that changes nothing, report the lines above."
    write_stamps "$1"
    say "Ready: Python $(python_version "$venv/bin/python"), torch $(torch_version)."
}

write_stamps() {
    local kind
    for kind in base "$1"; do
        state "$kind" >"$unfinished"
        mv "$unfinished" "$venv/.ready-$kind"
    done
}

main() {
    local kind=base
    case ${1:-} in
        -h | --help)
            sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p;}' "${BASH_SOURCE[0]}"
            return
            ;;
        --choose-torch)
            choose_torch "${@:2}"
            return
            ;;
        --dev)
            kind=dev
            shift
            ;;
        pytest | ruff | mypy) kind=dev ;;
    esac
    is_ready "$kind" || make_environment "$kind"
    (($#)) || return 0
    exec 9>&- # the lock is not COMMAND's
    unset PYTHONHOME
    export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH
    exec "$@"
}

# Sourced, the script only defines its functions.
[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
