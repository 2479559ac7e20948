"""The image: its file is linted and read, and its steps are run, without a container engine."""

import http.server
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from seedvr_engine.container import FOLDERS, WORKSPACE, is_healthy
from tools.configuration import variables

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Step:
    """An instruction of the Dockerfile. stage: as the file names it."""

    stage: str
    name: str
    text: str


def read_dockerfile() -> list[Step]:
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE)
    steps: list[Step] = []
    stage = ""
    for line in text.replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            stage = rest.rpartition(" ")[2]
        if name:
            steps.append(Step(stage, name, rest.strip()))
    return steps


STEPS = read_dockerfile()


def steps_of(name: str, *stages: str) -> list[str]:
    return [step.text for step in STEPS if step.name == name and (not stages or step.stage in stages)]


def is_let_through(path: str) -> bool:
    """Whether .dockerignore leaves a file in: the last line that matches it or a folder above it decides."""
    parts = Path(path).parts
    names = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    inside = True
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").replace("**/", "*")
            if any(fnmatch(name, pattern) for name in names):
                inside = line.startswith("!")
    return inside


def context_files() -> list[str]:
    """What a build would be sent."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [path for path in listed if is_let_through(path) and (REPOSITORY / path).is_file()]


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint comes as a wheel for some systems only")
    result = subprocess.run([hadolint, "Dockerfile"], cwd=REPOSITORY, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")


def test_the_last_stage_has_no_compiler_and_no_root() -> None:
    installed = " ".join(steps_of("RUN", "system", "application", "pod", "local"))
    assert not re.search(r"gcc|g\+\+|build-essential|clang|nvcc|-dev\b|-devel", installed)
    assert "-devel" not in " ".join(steps_of("FROM"))
    assert STEPS[-1] == Step("local", "USER", "1000:1000")


def test_port_volume_and_place_are_those_of_a_pod() -> None:
    pod = json.loads((REPOSITORY / "runpod.json").read_text())
    assert steps_of("EXPOSE") == ["7860"]
    assert pod["ports"] == ["7860/http"]
    assert steps_of("VOLUME") == [pod["volumeMountPath"]] == [str(WORKSPACE)]
    # What lies under the volume is hidden by it.
    assert not any(place.startswith("/workspace") for place in steps_of("WORKDIR"))
    assert pod["imageName"].partition(":")[0] == "gemneye/seedvr-runpod"
    assert pod["env"].keys() <= variables(REPOSITORY)


def test_torch_comes_from_the_index_of_the_images_cuda() -> None:
    build = dict(text.partition("=")[::2] for text in steps_of("ARG", "", "environment"))
    assert build["TORCH"] == "cu" + "".join(build["CUDA"].split(".")[:2])


def test_all_that_is_copied_is_there_and_the_rest_stays_out() -> None:
    for text in steps_of("COPY", "environment"):
        for source in text.split()[:-1]:
            assert (REPOSITORY / source).is_file()
            assert is_let_through(source), source
    files = context_files()
    assert {"app.py", "seedvr_engine/preview/weights.safetensors"} <= set(files)
    assert {path.partition("/")[0] for path in files if "/" in path} == {"seedvr_engine", "examples"}
    assert not is_let_through(".git/config")
    assert not is_let_through("seedvr_engine/__pycache__/cli.cpython-311.pyc")


def test_compose_gives_the_page_one_volume_and_a_gpu() -> None:
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    service = compose["services"]["seedvr"]
    assert service["ports"] == ["127.0.0.1:7860:7860"]
    assert "workspace:/workspace" in service["volumes"]
    assert service["environment"].keys() <= variables(REPOSITORY)
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
    assert not compose["services"]["cpu"]["deploy"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can stop being root")
def test_started_by_root_it_makes_the_workspace_its_own_and_drops_root(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    program = (
        f"from pathlib import Path; from seedvr_engine.container import run; "
        f"run(['sh', '-c', 'id -u; id -g; id -G'], Path({str(workspace)!r}))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["1000", "1000", "1000"]
    places = [workspace, *(workspace / name for name in FOLDERS)]
    assert [(place.stat().st_uid, place.stat().st_gid) for place in places] == [(1000, 1000)] * 5


def test_a_command_passes_its_exit_code_on() -> None:
    # As anybody but root.
    start = "import os; os.geteuid = lambda: 1000; from seedvr_engine.container import run"
    command = [sys.executable, "-c", f"{start}; run(['sh', '-c', 'exit 7'])"]
    assert subprocess.run(command, cwd=REPOSITORY).returncode == 7


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_health_is_what_the_page_answers(free_port: int, status: int, healthy: bool) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    assert not is_healthy(free_port)
    with http.server.HTTPServer(("127.0.0.1", free_port), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert is_healthy(free_port) == healthy
        server.shutdown()


def build(root: Path) -> Path:
    """Copies what the image would hold; returns its working folder."""
    place = root / steps_of("WORKDIR", "application")[0].lstrip("/")
    for path in context_files():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, place / path)
    return place


@pytest.fixture
def started(tmp_path: Path, free_port: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """What the image starts, in a folder that holds only what the image holds."""
    place = build(tmp_path)
    command = json.loads(steps_of("CMD")[0])
    assert command[0] == "python"
    environment = os.environ | {
        "GRADIO_HOST": "127.0.0.1",
        "GRADIO_PORT": str(free_port),
        **{
            f"SEEDVR_{name}": str(tmp_path / "workspace" / name.lower())
            for name in ("CKPTS", "DATA", "INPUTS", "OUTPUTS")
        },
    }
    process = subprocess.Popen(
        [sys.executable, *command[1:]], cwd=place, env=environment, start_new_session=True
    )
    yield process, free_port
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_what_the_image_starts_gets_healthy_and_ends_when_asked(
    started: tuple[subprocess.Popen[bytes], int],
) -> None:
    process, port = started
    health = steps_of("HEALTHCHECK", "application")[0].partition("CMD ")[2]
    command = [sys.executable, *json.loads(health)[1:]]
    environment = os.environ | {"GRADIO_PORT": str(port)}
    deadline = time.monotonic() + 60
    while subprocess.run(command, cwd=REPOSITORY, env=environment).returncode != 0:
        assert process.poll() is None, "the application ended"
        assert time.monotonic() < deadline, "it never got healthy"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) in (0, 130, 143, -signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_environment_of_the_image_is_made_by_its_own_step(tmp_path: Path) -> None:
    place = tmp_path / "opt"
    for text in steps_of("COPY", "environment"):
        *sources, target = text.split()
        (place / target).mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy2(REPOSITORY / source, place / target)
    step = steps_of("RUN", "environment")[-1]
    # No build of CUDA is to be had everywhere; and no flash-attn.
    step = re.sub(r"SEEDVR_TORCH=\S+", "SEEDVR_TORCH=cpu", step)
    step = re.sub(r"SEEDVR_(TORCH_INDEX|FLASH_ATTN)=\S+ ", "", step)
    assert shlex.split(step) == ["SEEDVR_TORCH=cpu", "./setup_environment.sh"]
    subprocess.run(step, shell=True, cwd=place, check=True, timeout=1400)
    # The code comes later, in another layer.
    for path in context_files():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, place / path)
    doctor = [str(place / ".venv" / "bin" / "seedvr"), "doctor"]
    answer = subprocess.run(doctor, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "PyTorch 2.13.0" in answer.stdout + answer.stderr
