"""The server as its users have it: `python app.py` in a process of its own, with folders of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.media.clips import scene, write_clip

ROOT = Path(__file__).resolve().parents[2]
_START_S, _STOP_S, _JOB_S = 150.0, 30.0, 150.0


@dataclass
class Server:
    """A running server. folder: holds data, outputs, inputs, ckpts and log."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def client(self, **options: Any) -> httpx.Client:
        """A visitor: keeps cookies."""
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "printed.txt").read_text()

    def kill(self) -> None:
        """Ends the process where it stands."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[Server]:
    """A server on a free port, until the end of the block. variables: of its environment."""
    server = start(folder, **variables)
    try:
        yield server
    finally:
        stop(server)


def start(folder: Path, port: int | None = None, **variables: str) -> Server:
    """Starts a server and waits until it answers."""
    port = port or free_port()
    folders = {
        f"SEEDVR_{name.upper()}": str(folder / name) for name in ("data", "outputs", "inputs", "ckpts")
    }
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("SEEDVR_", "GRADIO_"))}
    environment = {**clean, **folders, "GRADIO_HOST": "127.0.0.1", "GRADIO_PORT": str(port), **variables}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "printed.txt").open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")],
            stdout=printed,
            stderr=printed,
            env=environment,
            cwd=folder,
        )
    server = Server(f"http://127.0.0.1:{port}", folder, process)
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{server.url}/healthz", timeout=5).raise_for_status()
            return server
        except httpx.HTTPError:
            time.sleep(0.1)
    process.kill()
    raise AssertionError(f"The server did not start:\n{server.log()}")


def stop(server: Server) -> None:
    """Ends a server in peace, or not."""
    if server.process.poll() is None:
        server.process.terminate()
        try:
            server.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            raise


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def small_clip(path: Path, *, seed: int = 1, frames: int = 3) -> Path:
    """A clip that the preview model restores within a second or two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_clip(path, scene(seed, frames, (24, 32), speed=0.5))


def submit(client: httpx.Client, clip: Path, **options: Any) -> dict[str, Any]:
    """A job for a clip, in one request."""

    with clip.open("rb") as file:
        answer = client.post(
            "/api/jobs",
            files={"file": (clip.name, file)},
            data={"options": json.dumps({"model": "preview", **options})},
        )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def wait_for(client: httpx.Client, job: str, *states: str) -> dict[str, Any]:
    """Asks until a job is in one of these states."""
    deadline = time.monotonic() + _JOB_S
    while time.monotonic() < deadline:
        now = client.get(f"/api/jobs/{job}").json()
        if now["state"] in states:
            return dict(now)
        time.sleep(0.1)
    raise AssertionError(f"The job did not become {states}: {now}")
