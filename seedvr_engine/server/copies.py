"""Copies for the browser, each made once, by a process of its own that yields to everything else."""

import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seedvr_engine.errors import SeedVRError
from seedvr_engine.jobs.processes import environment_with_code
from seedvr_engine.media.view import Copy

_LOG = logging.getLogger(__name__)
_AT_ONCE = 2
# After a failure: how long the answer is the failure, before another try.
_AGAIN_AFTER_S = 30.0


class CopyError(SeedVRError):
    """A copy for the browser could not be made."""

    code = "view"


@dataclass
class Making:
    """A copy on its way. progress: 0 to 1. failed_at: on the monotonic clock, when it could not be made."""

    progress: float = 0.0
    failed_at: float | None = None


class Copies:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[Path, Making] = {}
        self._processes: set[subprocess.Popen[str]] = set()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copies")
        self._closed = False

    def get(self, copy: Copy) -> Path | Making:
        """The copy where it is whole, else how far it is; the first call begins it. Raises CopyError."""
        with self._lock:
            making = self._making.get(copy.destination)
            if making is not None and making.failed_at is not None:
                if time.monotonic() - making.failed_at < _AGAIN_AFTER_S:
                    raise CopyError(
                        "The video could not be prepared for the browser.",
                        remedy="Compare single frames, or download the result.",
                    )
                making = None
            if making is None:
                if copy.destination.is_file():
                    return copy.destination
                making = self._making[copy.destination] = Making()
                self._pool.submit(self._make, copy, making)
            return making

    def close(self) -> None:
        """Ends what is being made."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, copy: Copy, making: Making) -> None:
        code = 1
        try:
            copy.destination.parent.mkdir(parents=True, exist_ok=True)
            code = self._run(copy, making)
        except OSError:
            _LOG.exception("A copy for the browser could not be made")
        with self._lock:
            if code == 0:
                del self._making[copy.destination]
            else:
                making.failed_at = time.monotonic()

    def _run(self, copy: Copy, making: Making) -> int:
        """Runs the process to its end; its stdin stays open as long as this one lives."""
        command = [sys.executable, "-m", "seedvr_engine.media.view", copy.to_json()]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment_with_code()
        ) as process:
            with self._lock:
                if self._closed:
                    process.kill()
                self._processes.add(process)
            try:
                assert process.stdout is not None
                assert process.stderr is not None
                for line in process.stdout:
                    making.progress = float(line)
                errors = process.stderr.read()
                code = process.wait()
            finally:
                with self._lock:
                    self._processes.discard(process)
        if code and not self._closed:
            _LOG.error("A copy for the browser could not be made: %s", errors[-2000:])
        return code
