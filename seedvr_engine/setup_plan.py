"""What the set-up installs: one pure function from facts about the machine to commands.

Standard library only, and any Python from 3.8 on: setup_environment.sh runs this file before there is an
environment, and with a Python that is too old as well, to say what to do about it.
"""

from __future__ import annotations

import argparse
import platform
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

TORCH = "2.13.0"
TORCH_INDEX = "https://download.pytorch.org/whl"
OLDEST, NEWEST = (3, 11), (3, 13)

# Bytes that the environment takes: the CUDA builds bring NVIDIA's libraries along.
CPU_BYTES, CUDA_BYTES = 2 * 1024**3, 8 * 1024**3

# The supported Python that a release has in its own archive.
PACKAGED_PYTHON = {"debian 12": "3.11", "debian 13": "3.13", "ubuntu 22.04": "3.11", "ubuntu 24.04": "3.12"}


@dataclass(frozen=True)
class Facts:
    """What decides about the set-up.

    system, machine: as `uname` says them, "Linux" and "x86_64".
    distribution, release: of a Linux, "debian", "ubuntu", "fedora", "rhel" or what it calls itself; "12".
    wsl: Linux inside Windows. musl: a Linux whose C library no wheel of PyTorch is built for.
    python, has_venv: of the interpreter that is to make the environment.
    gpu, driver, capability: the newest NVIDIA card, its driver, its compute capability; empty without one.
    cuda: the highest CUDA version that the driver reaches. gpu_problem: why a driver gives no answer.
    free_bytes: disk free where the environment will lie.
    chosen: build of PyTorch that the user asks for (SEEDVR_TORCH). installed: version that is there already.
    """

    system: str = "Linux"
    machine: str = "x86_64"
    distribution: str = "debian"
    release: str = "12"
    wsl: bool = False
    musl: bool = False
    python: tuple[int, int] = (3, 11)
    has_venv: bool = True
    gpu: str = ""
    driver: str = ""
    capability: str = ""
    cuda: str = ""
    gpu_problem: str = ""
    free_bytes: int = 100 * 1024**3
    chosen: str = ""
    installed: str = ""


@dataclass(frozen=True)
class Plan:
    """What to do.

    build: of PyTorch: "cpu", "cu126", "cu130", or "plain" (what PyPI has for this system).
    says: sentences about what was found and what follows from it.
    obstacle: why nothing can be installed and what to do about that; empty where nothing is in the way.
    venv: the command that makes the environment.
    packages: pip's arguments for everything but PyTorch.
    torch: pip's arguments for PyTorch, the source to ask first in front; empty where it is there already.
    project: pip's arguments for the project itself.
    optional: pip's arguments for what may fail without harm; empty for nothing.
    """

    build: str
    says: tuple[str, ...]
    obstacle: str = ""
    venv: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    torch: tuple[tuple[str, ...], ...] = ()
    project: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def plan_setup(
    facts: Facts,
    *,
    root: str = ".",
    tests: bool = False,
    python: str = "python3",
    index: str = TORCH_INDEX,
    flash_attn: str = "",
) -> Plan:
    """Decides what to install.

    root: the project's folder. tests: with the test tools. python: what makes the environment.
    index: where PyTorch's own wheels are, one folder a build. flash_attn: a wheel that speeds attention up.
    """
    build = facts.chosen or choose_build(facts)
    says = describe(facts, build)
    obstacle = find_obstacle(facts, build)
    if obstacle:
        return Plan(build, says, obstacle)
    lock = f"{root}/requirements-dev.txt" if tests else f"{root}/requirements.txt"
    return Plan(
        build=build,
        says=says,
        venv=(python, "-m", "venv", "--clear", f"{root}/.venv"),
        packages=("install", "--quiet", "--requirement", lock),
        torch=() if facts.installed == _version(build) else _torch_sources(build, root, index),
        # The lock holds setuptools, so nothing is fetched to build our own package.
        project=("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", root),
        # As a wheel only: building it takes a CUDA compiler and an hour.
        optional=("install", "--no-deps", "--only-binary", ":all:", flash_attn) if flash_attn else (),
    )


def choose_build(facts: Facts) -> str:
    """The build of PyTorch that fits system, driver and card."""
    if (facts.system, facts.machine) != ("Linux", "x86_64"):
        return "plain"
    cuda, capability = _number(facts.cuda or "0"), _number(facts.capability or "8.0")
    # torch 2.13 has builds for CUDA 12.6 (cards 5.0 to 9.0) and 13.0 (from 7.5 on), none between the two.
    if cuda >= (13, 0) and capability >= (7, 5):
        return "cu130"
    if cuda >= (12, 6) and (5, 0) <= capability < (10, 0):
        return "cu126"
    return "cpu"


def describe(facts: Facts, build: str) -> tuple[str, ...]:
    """In plain words: what was found, and what follows from it."""
    says = [_describe_gpu(facts, build)]
    if facts.wsl and (facts.gpu_problem or not facts.gpu):
        says.append("Under WSL the NVIDIA driver is installed in Windows, and none inside WSL.")
    return tuple(says)


def summarise(facts: Facts) -> str:
    """System, Python and disk in a line."""
    name = f" ({facts.distribution} {facts.release})".replace(" )", ")") if facts.distribution else ""
    wsl = " inside Windows" if facts.wsl else ""
    python, free = _dotted(facts.python), facts.free_bytes // 1024**3
    return f"{facts.system} {facts.machine}{name}{wsl}, Python {python}, {free} GB free."


def _describe_gpu(facts: Facts, build: str) -> str:
    found = f"Found {facts.gpu}, driver {facts.driver or 'unknown'} (CUDA {facts.cuda or 'unknown'})"
    if facts.chosen:
        return f"torch {TORCH} ({build}), as SEEDVR_TORCH says."
    if facts.gpu_problem:
        return (
            f"There is an NVIDIA driver, but it gives no answer ({facts.gpu_problem}): everything will run "
            "on the CPU. Reinstall the driver, or start the container with the GPU, then run this again."
        )
    if not facts.gpu:
        return "No NVIDIA GPU found: everything will run on the CPU."
    if build.startswith("cu"):
        return f"{found}: torch {TORCH} for CUDA {build[2:4]}.{build[4:]}."
    if build == "plain":
        return f"{found}: torch {TORCH} as PyPI has it for this system."
    if facts.capability and _number(facts.capability) < (5, 0):
        return f"{found}, but torch {TORCH} no longer knows a card this old: everything will run on the CPU."
    where = " in Windows" if facts.wsl else ""
    return (
        f"{found}, but this driver is too old for torch {TORCH}: everything will run on the CPU. To use the "
        f"GPU, update the NVIDIA driver{where} to 580 or newer, then run this again."
    )


def find_obstacle(facts: Facts, build: str) -> str:
    """What keeps the set-up from working, and the remedy; empty where nothing does."""
    if facts.system not in ("Linux", "Darwin"):
        return f"On {facts.system} this runs inside WSL: `wsl --install`, then the same command there."
    if facts.system == "Darwin" and facts.machine == "x86_64":
        return "PyTorch has no builds for Macs with an Intel processor any more: use another machine."
    if facts.musl:
        return "PyTorch has no builds for this C library (musl): use the Docker image, or a Debian or Fedora."
    if not OLDEST <= facts.python <= NEWEST or not facts.has_venv:
        return (
            "Python 3.11, 3.12 or 3.13 with its venv module is needed; this is "
            f"{_dotted(facts.python)}{'' if facts.has_venv else ' without venv'}. {_python_remedy(facts)}"
        )
    needed = CPU_BYTES if build == "cpu" or facts.system == "Darwin" else CUDA_BYTES
    if facts.installed != _version(build) and facts.free_bytes < needed:
        return (
            f"The environment needs about {needed // 1024**3} GB, but only {facts.free_bytes // 1024**3} GB "
            "are free here: make room, or move the project to a larger disk."
        )
    return ""


def _python_remedy(facts: Facts) -> str:
    """The command that brings a supported Python to this system."""
    anywhere = "Without root: `uv python install 3.13` (https://docs.astral.sh/uv), then this again with "
    anywhere += "SEEDVR_PYTHON=$(uv python find 3.13)."
    packaged = PACKAGED_PYTHON.get(f"{facts.distribution} {facts.release}", "")
    if OLDEST <= facts.python <= NEWEST and facts.distribution in ("debian", "ubuntu"):
        packaged = _dotted(facts.python)  # It is there and lacks venv alone.
    if facts.system == "Darwin":
        command = "brew install python@3.13"
    elif packaged:
        command = f"sudo apt install python{packaged} python{packaged}-venv"
    elif facts.distribution == "fedora":
        command = "sudo dnf install python3.13"
    elif facts.distribution == "rhel":
        command = "sudo dnf install python3.12"
    else:
        return anywhere
    return f"`{command}` brings it. {anywhere}"


def _torch_sources(build: str, root: str, index: str) -> tuple[tuple[str, ...], ...]:
    """pip's arguments: where pip is set up to look, else PyTorch's own index, else what PyPI has."""
    install = ("install", "--constraint", f"{root}/requirements.txt")
    plain = (*install, f"torch=={TORCH}")
    if build == "plain":
        return (plain,)
    exact = f"torch=={_version(build)}"
    return (*install, exact), (*install, "--index-url", f"{index}/{build}", exact), plain


def _version(build: str) -> str:
    return TORCH if build == "plain" else f"{TORCH}+{build}"


def _number(version: str) -> tuple[int, int]:
    """("12.10") -> (12, 10); versions compare as numbers."""
    major, _, rest = version.partition(".")
    return int(major or 0), int(rest.partition(".")[0] or 0)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


# --- finding the facts ------------------------------------------------------------------------------------


def read_facts(folder: Path, chosen: str = "", installed: str = "") -> Facts:
    """Looks at this machine. folder: where the environment will lie, or its parent."""
    distribution, release = _read_distribution(Path("/etc/os-release"))
    gpu, driver, capability, cuda, problem = read_gpu()
    return Facts(
        system=platform.system(),
        machine=platform.machine(),
        distribution=distribution,
        release=release,
        wsl="microsoft" in platform.release().lower(),
        musl=any(Path("/lib").glob("ld-musl-*")) and not any(Path("/lib64").glob("ld-linux*")),
        python=sys.version_info[:2],
        has_venv=find_spec("venv") is not None and find_spec("ensurepip") is not None,
        gpu=gpu,
        driver=driver,
        capability=capability,
        cuda=cuda,
        gpu_problem=problem,
        free_bytes=shutil.disk_usage(folder).free,
        chosen=chosen,
        installed=installed,
    )


def _read_distribution(path: Path) -> tuple[str, str]:
    """Name and release; a derivative goes by the name of its parent, whose packages it has."""
    if not path.is_file():
        return "", ""
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    fields = {key: value.strip("\"'") for key, _, value in pairs}
    name, release = fields.get("ID", ""), fields.get("VERSION_ID", "")
    if name in ("debian", "ubuntu", "fedora", "rhel"):
        return name, release
    likes = fields.get("ID_LIKE", "").split()
    return next((like for like in likes if like in ("ubuntu", "debian", "rhel", "fedora")), name), ""


def read_gpu() -> tuple[str, str, str, str, str]:
    """Name, driver, compute capability and CUDA version of the newest NVIDIA card, and a problem, if any."""
    # WSL's driver lies outside PATH in some shells.
    command = shutil.which("nvidia-smi") or shutil.which("/usr/lib/wsl/lib/nvidia-smi")
    if command is None:
        problem = "nvidia-smi is missing" if Path("/proc/driver/nvidia/version").exists() else ""
        return "", "", "", "", problem
    fields = "name,driver_version,compute_cap"
    fine, cards = _ask(command, f"--query-gpu={fields}", "--format=csv,noheader")
    if not fine:  # Drivers of before 2021 do not know compute_cap.
        fine, cards = _ask(command, "--query-gpu=name,driver_version", "--format=csv,noheader")
    if not fine or cards.startswith("No devices"):
        return "", "", "", "", cards.partition("\n")[0]
    rows = [[cell.strip() for cell in line.split(",")] + [""] for line in cards.splitlines() if line]
    name, driver, capability = max(rows, key=lambda row: _number(row[2] if row[2] else "0"))[:3]
    match = re.search(r"CUDA[A-Za-z ]*Version:?\s*(\d+\.\d+)", _ask(command)[1])
    return name, driver, capability, match[1] if match else "", ""


def _ask(*command: str) -> tuple[bool, str]:
    """Whether a command went well, and what it said. A driver in trouble can let nvidia-smi hang."""
    try:
        answer = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, text=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    return answer.returncode == 0, answer.stdout.strip()


# --- for the script ---------------------------------------------------------------------------------------


def main() -> None:
    """Prints the plan, one word and its text a line; commands are quoted for a shell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=".", help="the project's folder")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that makes the environment")
    parser.add_argument("--kind", choices=("base", "dev"), default="base", help="dev: with the test tools")
    parser.add_argument("--chosen", default="", help="build of PyTorch that was asked for")
    parser.add_argument("--installed", default="", help="version of PyTorch that is there")
    parser.add_argument("--index", default=TORCH_INDEX, help="where PyTorch's wheels are")
    parser.add_argument("--flash-attn", default="", help="a wheel of flash-attn")
    given = parser.parse_args()
    facts = read_facts(Path(given.root), given.chosen, given.installed)
    plan = plan_setup(
        facts,
        root=given.root,
        tests=given.kind == "dev",
        python=given.python,
        index=given.index,
        flash_attn=given.flash_attn,
    )
    lines = [("facts", summarise(facts)), ("build", plan.build)] + [("say", text) for text in plan.says]
    if plan.obstacle:
        lines.append(("stop", plan.obstacle))
    else:
        lines += [("venv", _quoted(plan.venv)), ("packages", _quoted(plan.packages))]
        lines += [("torch", _quoted(source)) for source in plan.torch]
        lines.append(("project", _quoted(plan.project)))
        lines += [("optional", _quoted(plan.optional))] if plan.optional else []
    for word, text in lines:
        print(word, text)


def _quoted(command: tuple[str, ...]) -> str:
    return " ".join(map(shlex.quote, command))


if __name__ == "__main__":
    main()
