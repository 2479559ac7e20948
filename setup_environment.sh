#!/usr/bin/env bash
# ./setup_environment.sh [--check | --dev] [COMMAND…]
#
# Makes the environment in .venv, says what it found, then runs COMMAND in it. Needs no root.
# When nothing is to do it is silent and costs next to nothing: write it before every command.
# It can be stopped at any moment; started again, it goes on. To begin anew, delete .venv.
#
#   ./setup_environment.sh seedvr restore old.mp4     run the program
#   ./setup_environment.sh pytest                     run the tests (pytest, ruff and mypy bring the test tools)
#   ./setup_environment.sh --dev                      the test tools, without running one
#   ./setup_environment.sh --check                    change nothing: say what is here, whether the environment
#                                                     works, and else which commands would be run
#
# SEEDVR_PYTHON=/path/to/python   the Python to use (3.11, 3.12 or 3.13)
# SEEDVR_TORCH=cpu|cu126|cu130    the torch build to use, in place of the one that fits the driver
# SEEDVR_TORCH_INDEX=https://…    a mirror of https://download.pytorch.org/whl
# SEEDVR_FLASH_ATTN=WHEEL         a wheel of flash-attn that fits, as file or address; nothing needs it
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
readonly root venv=$root/.venv
readonly planner=$root/seedvr_engine/setup_plan.py
readonly unfinished=$venv/.unfinished

# Everything the script says goes to stderr: stdout belongs to COMMAND.
say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# --- what to install --------------------------------------------------------------------------------------

# Asks the planner, which looks at the machine. Sets plan_facts, plan_build, plan_says, plan_stop, and the commands
# plan_venv, plan_packages, plan_torch (one source a line), plan_project and plan_optional, quoted for eval.
#   $1 base or dev, $2 version of torch that is there, or empty
make_plan() {
    local lines word text
    plan_facts="" plan_build="" plan_says="" plan_stop="" plan_venv="" plan_packages="" plan_torch="" plan_project=""
    plan_optional=""
    lines=$("$python" -I -B "$planner" --root "$root" --installed "$2" --chosen "${SEEDVR_TORCH:-}" \
        --index "${SEEDVR_TORCH_INDEX:-https://download.pytorch.org/whl}" --flash-attn "${SEEDVR_FLASH_ATTN:-}" --kind "$1")
    while read -r word text; do
        case $word in
            say) plan_says+=${plan_says:+$'\n'}$text ;;
            torch) plan_torch+=${plan_torch:+$'\n'}$text ;;
            facts | build | stop | venv | packages | project | optional) printf -v "plan_$word" %s "$text" ;;
        esac
    done <<<"$lines"
}

# --- is there anything to do? -----------------------------------------------------------------------------

# Everything that the environment was made from. When it differs from what the stamp holds, there is something to do.
#   $1 base or dev
state() {
    echo "$root"
    echo "${SEEDVR_TORCH:-} ${SEEDVR_FLASH_ATTN:-} $(command -v nvidia-smi || true)"
    cat /proc/driver/nvidia/version 2>/dev/null || true
    "$venv/bin/python" -I -S -c 'import sys; print(sys.version)' 2>/dev/null || echo "broken"
    cat "$root/pyproject.toml" "$root/requirements.txt" "$planner"
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
    # An old Python is good enough to say what brings a new one to this system.
    python=python3
    make_plan base "" 2>/dev/null || plan_stop=""
    say "${plan_stop:-Python 3.11, 3.12 or 3.13 with its venv module is needed, and none is here.}"
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
        "$venv/bin/python" -I -B -m pip "$@"
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

# Makes the environment, or mends the one that an interrupted set-up left. $1 base or dev
prepare_venv() {
    local installed=""
    if is_venv_sound; then
        [[ ! -e $unfinished ]] || { say "The last set-up was interrupted; going on with it." && remove_torn_packages; }
        installed=$(torch_version)
    fi
    make_plan "$1" "$installed"
    say "$plan_says"
    [[ -z $plan_stop ]] || fail "$plan_stop"
    if ! is_venv_sound; then
        [[ ! -e $venv ]] || say "The environment in .venv is incomplete or from elsewhere; making it anew."
        say "Making the environment in .venv with Python $(python_version "$python")."
        eval "$plan_venv"
    fi
    : >"$unfinished"
    rm -f "$venv"/.ready-*
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

torch_version() {
    "$venv/bin/python" -I -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null || true
}

# PyTorch comes from the first source of the plan that has it; the last one is not asked beforehand.
install_torch() {
    local source last=${plan_torch##*$'\n'}
    [[ -n $plan_torch ]] || return 0
    while read -r source; do
        if [[ $source == "$last" ]]; then
            [[ $plan_build == plain ]] ||
                say "No source gives torch for $plan_build and this Python: taking the one of PyPI." \
                    "On Linux that one brings CUDA 13 along: several GB, needed or not."
        elif ! eval "is_offered $source"; then
            continue
        fi
        say "Installing ${source##* }."
        eval "with_retries pip $source"
        return
    done <<<"$plan_torch"
}

# Does pip find this version of torch? The arguments are those of `pip install`, the version in the end.
# A silent server costs half a minute at most.
is_offered() {
    local versions wanted=${!#} index=()
    [[ $* != *--index-url* ]] || index=(--index-url "${@:$#-1:1}")
    versions=$(pip index versions torch --retries 1 --timeout 10 ${index[@]+"${index[@]}"} 2>/dev/null) || return 1
    [[ " ${versions//[,()$'\n']/ } " == *" ${wanted#torch==} "* ]]
}

# $1 base or dev
install_packages() {
    say "Installing the packages of requirements$([[ $1 == base ]] || echo -dev).txt."
    eval "with_retries pip $plan_packages" || return
    install_torch || return
    eval "with_retries pip $plan_project" || return
    [[ -z $plan_optional ]] || eval "pip $plan_optional" >&2 ||
        say "Without flash-attn, then: attention takes PyTorch's own way, which is nearly as fast."
}

# Computes something with torch, on the GPU too where its build is for one. A GPU that fails is told, the CPU must do.
verify() {
    local conflicts
    conflicts=$(pip check) || { say "$conflicts" && return 1; }
    "$venv/bin/python" -I -B - "$1" >&2 <<'PY'
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
    prepare_venv "$1"
    install_packages "$1" ||
        fail "The packages could not be installed; pip says why above. The same command goes on from here."
    verify "$plan_build" ||
        fail "The environment does not work. Delete $venv and run this again; if that changes nothing, report the lines above."
    write_stamps "$1"
    say "Ready: Python $(python_version "$venv/bin/python"), torch $(torch_version)."
}

# Changes nothing. Returns 0 when the environment is ready and works.
check() {
    local installed=""
    find_python
    [[ ! -x $venv/bin/python ]] || installed=$(torch_version)
    make_plan base "$installed"
    say "$plan_facts"
    say "$plan_says"
    [[ -z $plan_stop ]] || fail "$plan_stop"
    if is_ready base; then
        verify "$plan_build" || fail "The environment in .venv does not work. Delete it and run ./setup_environment.sh."
        say "The environment in .venv is ready: Python $(python_version "$venv/bin/python"), torch $installed, computes right."
        return
    fi
    if [[ ! -e $venv ]]; then
        say "There is no environment yet."
    elif [[ -e $unfinished ]]; then
        say "The last set-up was interrupted: ./setup_environment.sh goes on with it."
    else
        say "The environment in .venv is from another place or state of the project: ./setup_environment.sh renews it."
    fi
    say "These commands would be run (of several for torch, the first that has it):"
    is_venv_sound || say "  $plan_venv"
    printf '  pip %s\n' "$plan_packages" ${plan_torch:+"${plan_torch//$'\n'/$'\n'  pip }"} "$plan_project" \
        ${plan_optional:+"$plan_optional"} >&2
    return 1
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
        --check)
            check
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
