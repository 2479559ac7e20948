"""What the set-up would install, machine by machine: a table of facts and plans."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from seedvr_engine.setup_plan import TORCH_INDEX, Facts, Plan, _read_distribution, plan_setup, read_gpu

PLANNER = Path(__file__).parents[1] / "seedvr_engine" / "setup_plan.py"

DEBIAN = Facts(distribution="debian", release="13", python=(3, 13))
UBUNTU = Facts(distribution="ubuntu", release="24.04", python=(3, 12))
FEDORA = Facts(distribution="fedora", release="43", python=(3, 13))
MACOS = Facts(system="Darwin", machine="arm64", distribution="", release="", python=(3, 13))
WSL = replace(UBUNTU, wsl=True)

ADA = {"gpu": "NVIDIA GeForce RTX 4090", "capability": "8.9"}
BLACKWELL = {"gpu": "NVIDIA GeForce RTX 5090", "capability": "12.0"}
VOLTA = {"gpu": "Tesla V100", "capability": "7.0"}
KEPLER = {"gpu": "Tesla K80", "capability": "3.7"}

# Each system with CPU, CUDA 12.6, 12.8, 13 where it can have it: facts, build, a piece of what is said.
TABLE = [
    *(
        pytest.param(
            replace(system, python=python, **given), build, said, id=f"{name}-{python[1]}-{build}-{n}"
        )
        for name, system in {"debian": DEBIAN, "ubuntu": UBUNTU, "fedora": FEDORA, "wsl": WSL}.items()
        for python in ((3, 11), (3, 12), (3, 13))
        for n, (given, build, said) in enumerate(
            (
                ({}, "cpu", "No NVIDIA GPU found"),
                ({**ADA, "cuda": "12.5"}, "cpu", "too old for torch"),
                ({**ADA, "cuda": "12.6"}, "cu126", "torch 2.13.0 for CUDA 12.6."),
                ({**ADA, "cuda": "12.8"}, "cu126", "torch 2.13.0 for CUDA 12.6."),
                ({**ADA, "cuda": "13.0"}, "cu130", "torch 2.13.0 for CUDA 13.0."),
                # Blackwell needs CUDA 13, which needs driver 580.
                ({**BLACKWELL, "cuda": "12.8"}, "cpu", "to 580 or newer"),
                ({**BLACKWELL, "cuda": "13.0"}, "cu130", "for CUDA 13.0."),
                # CUDA 13 dropped Volta and older; 12.6 still has them.
                ({**VOLTA, "cuda": "13.0"}, "cu126", "for CUDA 12.6."),
                ({**KEPLER, "cuda": "13.0"}, "cpu", "no longer knows a card this old"),
            )
        )
    ),
    *(
        pytest.param(replace(MACOS, python=(3, minor)), "plain", "No NVIDIA GPU found", id=f"macos-{minor}")
        for minor in (11, 12, 13)
    ),
    pytest.param(replace(UBUNTU, machine="aarch64", **ADA, cuda="13.0"), "plain", "as PyPI has it", id="arm"),
    pytest.param(
        replace(DEBIAN, gpu_problem="no devices"), "cpu", "gives no answer (no devices)", id="silent"
    ),
    pytest.param(replace(WSL, gpu_problem="no devices"), "cpu", "installed in Windows", id="silent-wsl"),
    pytest.param(
        replace(DEBIAN, **ADA, cuda="13.0", chosen="cpu"), "cpu", "as SEEDVR_TORCH says", id="asked"
    ),
]


@pytest.mark.parametrize(("facts", "build", "said"), TABLE)
def test_every_machine_gets_the_commands_that_fit_it(facts: Facts, build: str, said: str) -> None:
    plan = plan_setup(facts, root="/p", python="python3")
    assert plan.build == build
    assert plan.obstacle == ""
    assert said in " ".join(plan.says)
    assert plan.venv == ("python3", "-m", "venv", "--clear", "/p/.venv")
    assert plan.packages == ("install", "--quiet", "--requirement", "/p/requirements.txt")
    assert plan.project[-2:] == ("--editable", "/p")
    assert plan.torch == expected_sources(build)


def expected_sources(build: str) -> tuple[tuple[str, ...], ...]:
    """pip's own sources first, then PyTorch's index for this build, then what PyPI has."""
    install = ("install", "--constraint", "/p/requirements.txt")
    if build == "plain":
        return ((*install, "torch==2.13.0"),)
    exact = f"torch==2.13.0+{build}"
    return (
        (*install, exact),
        (*install, "--index-url", f"{TORCH_INDEX}/{build}", exact),
        (*install, "torch==2.13.0"),
    )


OBSTACLES = [
    (replace(DEBIAN, python=(3, 14)), "sudo apt install python3.13 python3.13-venv"),
    (replace(DEBIAN, release="12", python=(3, 9)), "sudo apt install python3.11 python3.11-venv"),
    (replace(UBUNTU, release="22.04", python=(3, 10)), "sudo apt install python3.11 python3.11-venv"),
    (replace(UBUNTU, has_venv=False), "sudo apt install python3.12 python3.12-venv"),
    (replace(UBUNTU, release="20.04", python=(3, 8)), "uv python install 3.13"),
    (replace(WSL, python=(3, 10)), "sudo apt install python3.12 python3.12-venv"),
    (replace(FEDORA, python=(3, 14)), "sudo dnf install python3.13"),
    (replace(FEDORA, distribution="rhel", release="9", python=(3, 9)), "sudo dnf install python3.12"),
    (replace(MACOS, python=(3, 9)), "brew install python@3.13"),
    (Facts(distribution="arch", release="", python=(3, 14)), "uv python install 3.13"),
    (replace(MACOS, machine="x86_64"), "no builds for Macs with an Intel processor"),
    (Facts(distribution="alpine", musl=True), "musl"),
    (Facts(system="MINGW64_NT-10.0"), "wsl --install"),
    (replace(DEBIAN, free_bytes=1024**3), "needs about 2 GB, but only 1 GB are free"),
    (replace(MACOS, free_bytes=1024**3), "needs about 2 GB"),
    (replace(DEBIAN, **ADA, cuda="13.0", free_bytes=5 * 1024**3), "needs about 8 GB, but only 5 GB"),
]


@pytest.mark.parametrize(("facts", "remedy"), OBSTACLES)
def test_what_is_in_the_way_comes_with_its_remedy_and_without_commands(facts: Facts, remedy: str) -> None:
    plan = plan_setup(facts)
    assert remedy in plan.obstacle
    assert plan == Plan(plan.build, plan.says, plan.obstacle)


def test_a_torch_that_is_there_is_not_installed_again() -> None:
    assert plan_setup(replace(DEBIAN, installed="2.13.0+cpu", free_bytes=0)).torch == ()
    assert plan_setup(replace(MACOS, installed="2.13.0")).torch == ()
    # Another build is another package.
    assert plan_setup(replace(DEBIAN, installed="2.13.0+cpu", **ADA, cuda="13.0")).torch != ()


def test_the_test_tools_have_their_own_lock() -> None:
    assert plan_setup(DEBIAN, root="/p", tests=True).packages[-1] == "/p/requirements-dev.txt"


def test_flash_attn_comes_as_a_wheel_or_not_at_all() -> None:
    assert plan_setup(DEBIAN).optional == ()
    assert plan_setup(DEBIAN, flash_attn="flash.whl").optional[-3:] == ("--only-binary", ":all:", "flash.whl")


@pytest.mark.parametrize("cuda", ["12.10", "12.9"])
def test_versions_compare_as_numbers(cuda: str) -> None:
    assert plan_setup(replace(DEBIAN, **ADA, cuda=cuda)).build == "cu126"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nVERSION_ID="12"\n', ("debian", "12")),
        ('NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"\n', ("ubuntu", "")),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', ("rhel", "")),
        ("ID=arch\n", ("arch", "")),
    ],
)
def test_a_derivative_goes_by_its_parents_name(tmp_path: Path, text: str, expected: tuple[str, str]) -> None:
    (tmp_path / "os-release").write_text(text)
    assert _read_distribution(tmp_path / "os-release") == expected


def driver(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a stand-in for nvidia-smi in front of everything else."""
    (folder / "nvidia-smi").write_text("#!/bin/sh\n" + script)
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_the_newest_of_several_cards_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ("Tesla V100, 580.95, 7.0", "NVIDIA RTX 5090, 580.95, 12.0", "NVIDIA L40S, 580.95, 8.9")
    cards = "; ".join(f"echo '{row}'" for row in rows)
    header = "echo '| Driver Version: 580.95  CUDA Version: 13.0  |'"
    driver(tmp_path, f"if [ $# = 0 ]; then {header}; else {cards}; fi\n", monkeypatch)
    assert read_gpu() == ("NVIDIA RTX 5090", "580.95", "12.0", "13.0", "")


def test_a_driver_that_fails_is_told_and_not_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, "echo 'Failed to initialize NVML: version mismatch'\nexit 18\n", monkeypatch)
    assert read_gpu() == ("", "", "", "", "Failed to initialize NVML: version mismatch")


def test_a_driver_that_knows_no_compute_capability_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = "*compute_cap*) exit 2 ;; --query*) echo 'Tesla K80, 440.33' ;; *) echo 'CUDA Version: 10.2' ;;"
    driver(tmp_path, f"case $1 in {answers} esac\n", monkeypatch)
    assert read_gpu() == ("Tesla K80", "440.33", "", "10.2", "")


def test_a_python_that_is_too_old_can_still_say_what_to_do() -> None:
    old = sorted((Path.home() / ".pyenv" / "versions").glob("3.[89].*/bin/python3"))
    if not old:
        pytest.skip("no old Python here")
    answer = subprocess.run(
        [str(old[0]), "-I", str(PLANNER)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "stop Python 3.11, 3.12 or 3.13 with its venv module is needed; this is 3." in answer.stdout
