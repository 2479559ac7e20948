"""setup_environment.sh, run for real on a tiny project with its own wheels: nothing is downloaded."""

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SCRIPT = REPOSITORY / "setup_environment.sh"
PLANNER = REPOSITORY / "seedvr_engine" / "setup_plan.py"

# Just enough of torch for the script to compute something with it.
TORCH = """
float32 = "float32"
class Matrix:
    def __init__(self, rows): self.rows = rows
    def reshape(self, height, width):
        return Matrix([self.rows[0][i * width:(i + 1) * width] for i in range(height)])
    @property
    def T(self): return Matrix([list(column) for column in zip(*self.rows)])
    def __matmul__(self, other):
        columns = list(zip(*other.rows))
        return Matrix([[sum(a * b for a, b in zip(row, column)) for column in columns] for row in self.rows])
    def tolist(self): return self.rows
def arange(count, dtype): return Matrix([[float(i) for i in range(count)]])
"""

# A build backend for the tiny project, so that no setuptools is needed: its editable wheel holds nothing.
BACKEND = """
import zipfile
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name, info = "tiny-1.0-py3-none-any.whl", "tiny-1.0.dist-info/"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny"
version = "1.0"
"""


def write_wheel(folder: Path, name: str, version: str, code: str) -> None:
    """Writes a wheel with one module."""
    files = {
        f"{name}.py": code,
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text.encode())}\n"
        wheel.writestr(f"{name}-{version}.dist-info/RECORD", record)


@dataclass(frozen=True)
class Project:
    """A copy of the script beside a tiny project."""

    root: Path
    environment: dict[str, str]

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.root / "setup_environment.sh"), *command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str) -> tuple[int, str, str]:
        """Returns exit code, stdout and stderr."""
        process = self.start(*command)
        stdout, stderr = process.communicate(timeout=240)
        return process.returncode, stdout, stderr

    def site_packages(self) -> Path:
        return next((self.root / ".venv" / "lib").glob("python3*/site-packages"))

    def spoil(self) -> None:
        """Leaves the environment as a set-up that was interrupted does."""
        (self.root / ".venv" / ".unfinished").touch()


def make_project(root: Path) -> Project:
    wheels = root.parent / "wheels"
    root.mkdir()
    wheels.mkdir()
    shutil.copy2(SCRIPT, root)
    (root / "seedvr_engine").mkdir()
    shutil.copy2(PLANNER, root / "seedvr_engine")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    (root / "requirements.txt").write_text("tinylib==1.0\n")
    (root / "requirements-dev.txt").write_text("-r requirements.txt\ntinytest==1.0\n")
    write_wheel(wheels, "tinylib", "1.0", "ANSWER = 42\n")
    write_wheel(wheels, "tinytest", "1.0", "")
    write_wheel(wheels, "torch", "2.13.0+cpu", TORCH)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "SEEDVR_"))}
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    chosen = {"SEEDVR_PYTHON": sys.executable, "SEEDVR_TORCH": "cpu"}
    return Project(root, kept | pip | chosen)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose environment is ready. Tests that spoil it mend it."""
    project = make_project(tmp_path_factory.mktemp("set-up") / "tiny project")
    code, stdout, stderr = project.run()
    assert code == 0, stderr
    assert stdout == ""
    assert "Ready: Python 3." in stderr
    return project


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    return make_project(tmp_path / "fresh")


def sourced(code: str, **environment: str) -> str:
    """What a line of bash says when the script's functions are there."""
    command = ["bash", "-c", f'source "{SCRIPT}"; {code}']
    result = subprocess.run(
        command, env=dict(os.environ) | environment, capture_output=True, text=True, timeout=60, check=True
    )
    return result.stdout + result.stderr


def test_a_failing_download_is_tried_again_with_growing_pauses() -> None:
    said = sourced('sleep() { echo "pause $1"; }; with_retries false || echo gave up')
    assert [word for word in said.splitlines() if word.startswith(("pause", "gave"))] == [
        "pause 2",
        "pause 10",
        "pause 30",
        "gave up",
    ]


def test_ready_it_is_silent_and_quick(made: Project) -> None:
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        assert made.run("true") == (0, "", "")
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.3


def tree_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything in a folder."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def test_a_check_says_what_is_here_and_changes_nothing(made: Project) -> None:
    before = tree_of(made.root)
    code, stdout, stderr = made.run("--check")
    assert (code, stdout) == (0, ""), stderr
    assert "GB free" in stderr
    assert "torch 2.13.0+cpu, computes right" in stderr
    assert tree_of(made.root) == before


def test_a_check_lists_the_commands_for_what_is_missing(fresh: Project) -> None:
    before = tree_of(fresh.root)
    code, stdout, stderr = fresh.run("--check")
    assert (code, stdout) == (1, "")
    assert "There is no environment yet." in stderr
    commands = [line.strip() for line in stderr.splitlines() if line.startswith("  ")]
    assert commands[0].startswith(f"{sys.executable} -m venv --clear ")
    assert [command.split()[:2] for command in commands[1:]] == [["pip", "install"]] * 5
    assert tree_of(fresh.root) == before


def test_a_check_tells_an_interrupted_set_up_and_a_torch_that_computes_wrong(made: Project) -> None:
    made.spoil()
    code, _, stderr = made.run("--check")
    assert code == 1
    assert "The last set-up was interrupted" in stderr
    (made.root / ".venv" / ".unfinished").unlink()
    module = made.site_packages() / "torch.py"
    right = module.read_text()
    module.write_text(right.replace("a * b", "a + b"))
    code, _, stderr = made.run("--check")
    module.write_text(right)
    assert code == 1
    assert "computes wrong numbers" in stderr
    assert made.run("--check")[0] == 0


def test_the_command_runs_inside_and_its_exit_code_passes_through(made: Project) -> None:
    program = "import sys, tinylib; print(sys.prefix, sys.argv[1:], tinylib.ANSWER); sys.exit(7)"
    code, stdout, stderr = made.run("python", "-c", program, "two words", "*")
    assert (code, stderr) == (7, "")
    assert stdout == f"{made.root / '.venv'} ['two words', '*'] 42\n"


def test_a_torn_package_is_mended(made: Project) -> None:
    module = made.site_packages() / "tinylib.py"
    module.write_text("")
    made.spoil()
    code, _, stderr = made.run("true")
    assert code == 0, stderr
    assert "interrupted; going on" in stderr
    assert module.read_text() == "ANSWER = 42\n"
    assert made.run("true") == (0, "", "")


@pytest.mark.slow
def test_a_torch_that_computes_wrong_is_not_called_ready(made: Project) -> None:
    module = made.site_packages() / "torch.py"
    right = module.read_text()
    module.write_text(right.replace("a * b", "a + b"))
    # Without the mark of an interruption nobody looks at the files: only the computation tells.
    (made.root / ".venv" / ".ready-base").unlink()
    code, _, stderr = made.run("echo", "started")
    assert code == 1
    assert "computes wrong numbers" in stderr
    assert "Delete" in stderr
    module.write_text(right)
    assert made.run("true")[0] == 0


def test_a_wheel_that_nothing_needs_may_be_missing(made: Project) -> None:
    wish = {"SEEDVR_FLASH_ATTN": "no-such-flash-attn"}
    code, _, stderr = Project(made.root, made.environment | wish).run("true")
    assert code == 0, stderr
    assert "Without flash-attn, then" in stderr
    assert "Ready" in stderr
    assert made.run("true")[0] == 0


def test_a_changed_lock_is_noticed(made: Project) -> None:
    lock = made.root / "requirements.txt"
    lock.write_text(lock.read_text() + "# changed\n")
    code, _, stderr = made.run("true")
    assert code == 0
    assert "Ready" in stderr
    assert made.run("true") == (0, "", "")


def test_test_tools_come_only_when_asked_for(made: Project) -> None:
    assert not (made.site_packages() / "tinytest.py").exists()
    code, _, stderr = made.run("--dev", "true")
    assert code == 0, stderr
    assert (made.site_packages() / "tinytest.py").exists()
    assert made.run("--dev", "true") == (0, "", "")
    assert made.run("true") == (0, "", "")


@pytest.mark.slow
def test_two_at_once_take_turns(made: Project) -> None:
    made.spoil()
    both = [made.start("echo", "done") for _ in range(2)]
    results = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    assert [stdout for stdout, _ in results] == ["done\n", "done\n"]
    assert sum("Ready" in stderr for _, stderr in results) == 1


def test_a_foreign_python_is_refused_with_a_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    assert "is no Python 3.11, 3.12 or 3.13" in sourced("(find_python) || true", SEEDVR_PYTHON=str(old))


def stop_at(project: Project, line: str, how: signal.Signals) -> tuple[int, str]:
    """Starts a set-up and stops all of it when it says a line. Returns exit code and stderr."""
    process = project.start("true")
    assert process.stderr is not None
    said: list[str] = []
    for text in process.stderr:
        said.append(text)
        if text.startswith(line):
            os.killpg(process.pid, how)
            break
    else:
        pytest.fail(f"It never said {line!r}: {said}")
    rest = process.communicate(timeout=240)[1]
    return process.returncode, "".join(said) + rest


@pytest.mark.slow
def test_ctrl_c_is_answered_with_a_sentence(made: Project) -> None:
    (made.root / ".venv" / ".ready-base").unlink(missing_ok=True)
    code, said = stop_at(made, "Installing", signal.SIGINT)
    assert code == 130
    assert "goes on from here" in said
    code, _, stderr = made.run("true")
    assert code == 0, stderr


@pytest.mark.slow
@pytest.mark.parametrize("line", ["Making", "Installing the", "Installing torch"])
def test_a_set_up_killed_anywhere_is_mended_by_the_next(fresh: Project, line: str) -> None:
    stop_at(fresh, line, signal.SIGKILL)
    code, stdout, stderr = fresh.run("python", "-c", "import tinylib, torch; print(tinylib.ANSWER)")
    assert (code, stdout) == (0, "42\n"), stderr
    assert fresh.run("true") == (0, "", "")


@pytest.mark.slow
def test_a_moved_folder_gets_a_new_environment(fresh: Project, tmp_path: Path) -> None:
    assert fresh.run("true")[0] == 0
    moved = Project(fresh.root.rename(tmp_path / "moved"), fresh.environment)
    code, stdout, stderr = moved.run("python", "-c", "import sys; print(sys.prefix)")
    assert (code, stdout) == (0, f"{moved.root / '.venv'}\n"), stderr
    assert "from elsewhere" in stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_real_project_sets_itself_up(tmp_path: Path) -> None:
    names = (
        "pyproject.toml",
        "requirements.txt",
        "requirements-dev.txt",
        "README.md",
        "LICENSE",
        SCRIPT.name,
    )
    for name in names:
        shutil.copy2(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / "seedvr_engine", tmp_path / "seedvr_engine")
    program = (
        "import av, cv2, huggingface_hub, omegaconf, seedvr_engine, torch; print(torch.ones(3).sum().item())"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEEDVR_")}
    command = [str(tmp_path / SCRIPT.name), "python", "-c", program]
    result = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=1100, check=False)
    assert (result.returncode, result.stdout) == (0, "3.0\n"), result.stderr
