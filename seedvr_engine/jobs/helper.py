"""The other ranks of a worker: each has a GPU of its own and takes shots off the hands of rank 0.

Rank 0 claims jobs and speaks for them (`jobs.worker`). A helper looks which job is under way, and asks for
shots of it (`pipeline.sharing`) until the job is over. What goes wrong here costs time and nothing else: the
helper leaves the job alone, and rank 0 does the shots itself.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import psutil

from seedvr_engine.errors import SeedVRError
from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.messages import Kind
from seedvr_engine.jobs.store import JobStore, Running
from seedvr_engine.logs import logging_job
from seedvr_engine.pipeline.heap import give_back_gpu
from seedvr_engine.pipeline.machine import devices_that_share
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.restore import help_restore

_POLL_S, _LOOK_S = 0.1, 0.3
_log = logging.getLogger(__name__)


def helpers_for(options: Options, kind: Kind, ranks: int) -> int:
    """How many ranks beside rank 0 may take shots: none for a preview or a device that was named."""
    if kind != "full" or options.device != "auto":
        return 0
    return min(options.gpus or ranks, ranks) - 1


class Helper:
    """One rank. owner: the process of rank 0, with which it ends."""

    def __init__(
        self, store: JobStore, folders: Folders, rank: int, ranks: int, owner: psutil.Process
    ) -> None:
        self._store, self._folders, self._owner = store, folders, owner
        self._rank, self._ranks = rank, ranks
        self._device = devices_that_share(ranks)[rank]

    def work(self) -> None:
        """Helps with one job after another until rank 0 ends."""
        seen: tuple[str, int] | None = None
        while self._is_needed():
            running = next(iter(self._store.running()), None)
            if running is None or (running.id, running.fence) == seen:
                time.sleep(_POLL_S)
                continue
            seen = (running.id, running.fence)
            with logging_job(running.id):
                self._help(running)

    def _help(self, running: Running) -> None:
        job = self._store.job(running.id)
        if self._rank > helpers_for(job.options, job.kind, self._ranks):
            return
        output = self._folders.output(job.id, job.kind, running.output)
        options = replace(job.options, device=self._device)
        try:
            count = help_restore(job.input.path, output, options, is_over=self._is_over(running))
        except SeedVRError as error:
            _log.warning("no help from %s: %s", self._device, error.message)
        except Exception:
            _log.exception("no help from %s", self._device)
        else:
            _log.info("%d shots done on %s", count, self._device)
        give_back_gpu()

    def _is_over(self, running: Running) -> Callable[[], bool]:
        """Asks the store now and then whether the run goes on."""
        next_look, answer = 0.0, False

        def is_over() -> bool:
            nonlocal next_look, answer
            if not answer and time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK_S
                answer = not self._is_needed() or not self._goes_on(running)
            return answer

        return is_over

    def _goes_on(self, running: Running) -> bool:
        now = [
            other for other in self._store.running() if (other.id, other.fence) == (running.id, running.fence)
        ]
        return bool(now) and now[0].stop_reason is None

    def _is_needed(self) -> bool:
        try:
            return self._owner.is_running() and self._owner.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
