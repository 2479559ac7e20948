"""Starts the worker when there is something to do, watches it, and ends it where it does not obey."""

import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import psutil

from seedvr_engine.jobs import processes
from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.messages import JobError
from seedvr_engine.jobs.store import JobStore, Running
from seedvr_engine.pipeline.machine import (
    cpu,
    devices_that_share,
    forget_free,
    remember_free,
    set_processes,
)
from seedvr_engine.settings import Settings, variable_of

WorkerState = Literal["off", "starting", "idle", "busy"]

# A worker that was asked to stop has so long. Whoever cancels waits no more than 3 s, what ending it takes
# included; at the time limit nobody waits, and a worker that stops by itself keeps its model.
PATIENCE_S = {"cancel": 1.5, "time_limit": 10.0}
# After a computer's sleep every lease has run out, and a living worker needs a moment to renew its own.
_SECOND_LOOK_S = 3.0
_MOST_FAILED_STARTS = 3
_OUTPUT_BYTES, _TAIL_BYTES = 1_000_000, 4000

_log = logging.getLogger(__name__)


class Supervisor:
    """Everything about the worker's processes. One thread calls `look` a few times a second.

    server: the name by which workers know whose they are, see `jobs.worker`.
    """

    def __init__(self, settings: Settings, folders: Folders, store: JobStore, server: str) -> None:
        self._settings, self._folders, self._store = settings, folders, store
        self._server = server
        self._launcher: subprocess.Popen[bytes] | None = None
        self._failed_starts = 0
        self._next_start = 0.0
        self._silent_since: dict[tuple[str, int], float] = {}

    def recover(self) -> None:
        """Ends what a crashed server has left running, and puts its jobs back."""
        self._end_processes()
        for running in self._store.running():
            self._store.requeue(running, died=False)

    def look(self) -> None:
        """One round: jobs that are to stop, workers that are gone or silent, jobs that wait."""
        if self._launcher is not None and self._launcher.poll() is not None:
            self._bury()
        for running in self._store.running():
            if self._launcher is None:
                _log.warning("its worker is gone", extra={"job": running.id})
                self._store.requeue(running, died=True)
            elif self._is_deaf(running):
                _log.info("the worker did not stop by itself and is ended", extra={"job": running.id})
                self._end_processes()
                self._store.stopped(running)
            elif self._is_silent(running):
                _log.warning("the worker does not answer and is ended", extra={"job": running.id})
                self._end_processes()
                self._store.requeue(running, died=True)
        if self._launcher is None and time.monotonic() >= self._next_start and self._store.has_queued():
            self._launch()

    def stop(self) -> None:
        """Ends the worker; a job under way goes on from its kept work at the next start."""
        self._end_processes()
        for running in self._store.running():
            self._store.requeue(running, died=False)

    def state(self) -> WorkerState:
        """What the worker does."""
        if self._launcher is None:
            return "off"
        if self._store.running():
            return "busy"
        return "idle" if self._has_begun() else "starting"

    def _is_deaf(self, running: Running) -> bool:
        """Whether it was asked to stop and had time enough."""
        if running.stop_at is None or running.stop_reason is None:
            return False
        return time.time() - running.stop_at > PATIENCE_S[running.stop_reason]

    def _is_silent(self, running: Running) -> bool:
        """Whether a lease ran out, and still is when looked at a second time."""
        run = (running.id, running.fence)
        if running.lease_until > time.time():
            self._silent_since.pop(run, None)
            return False
        first = self._silent_since.setdefault(run, time.monotonic())
        return time.monotonic() - first > _SECOND_LOOK_S

    def _launch(self) -> None:
        ranks = len(devices_that_share(self._settings.gpus))
        # Estimates here count on the share of the host's memory that each of them has.
        set_processes(ranks)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        command += ["-m", "seedvr_engine.jobs.worker", self._server]
        # Estimates for the next job count on what this one will give back.
        remember_free()
        with self._output().open("ab") as output:
            self._launcher = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(ranks),
                start_new_session=True,
            )
        self._store.add_worker(self._launcher.pid, processes.birth(self._launcher.pid))
        _log.info("worker started, process %d", self._launcher.pid)

    def _environment(self, ranks: int) -> dict[str, str]:
        """The server's own, with what its settings say and where its code lies."""
        own = {name: str(getattr(self._settings, name)) for name in ("ckpts", "data", "outputs")}
        own |= {name: str(getattr(self._settings, name)) for name in ("timeout_s", "keep_warm_s")}
        # torchrun would leave each of several processes a single thread.
        threads = str(max(1, cpu().cores // ranks))
        named = {variable_of(name): value for name, value in own.items()}
        return {"OMP_NUM_THREADS": threads} | processes.environment_with_code() | named

    def _output(self) -> Path:
        """Where the worker's own output goes, which is read when it does not start."""
        path = self._folders.logs / "worker-output.log"
        if path.exists() and path.stat().st_size > _OUTPUT_BYTES:
            path.replace(path.with_suffix(".old.log"))
        return path

    def _has_begun(self) -> bool:
        """Whether the worker itself runs, which registers beside its launcher."""
        return len(self._store.workers()) > 1

    def _bury(self) -> None:
        """The launcher has ended: idle for long, replaced after a lack of memory, or dead."""
        assert self._launcher is not None
        code = self._launcher.returncode
        has_begun = self._has_begun()
        _log.info("worker ended, code %d", code)
        self._end_processes()
        if has_begun:
            self._failed_starts = 0
            return
        self._failed_starts += 1
        self._next_start = time.monotonic() + min(30.0, 2.0**self._failed_starts)
        if self._failed_starts >= _MOST_FAILED_STARTS:
            self._store.fail_next(_cannot_start(code, self._output()))

    def _end_processes(self) -> None:
        """Kills the worker with its launcher, whoever started them."""
        found = (processes.find(pid, create_time) for pid, create_time in self._store.workers())
        processes.end_all([process for process in found if process is not None])
        if self._launcher is not None:
            if self._launcher.poll() is None:
                processes.end_all([psutil.Process(self._launcher.pid)])
            self._launcher.wait()
            self._launcher = None
            forget_free()
        self._store.forget_workers()
        self._silent_since.clear()


def _cannot_start(code: int, output: Path) -> JobError:
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - _TAIL_BYTES))
        tail = file.read().decode(errors="replace")
    return JobError(
        "worker",
        f"The worker cannot be started (exit code {code}).",
        "Run `seedvr doctor`; the last lines of its output are below.",
        tail,
    )
