"""The other ranks of a worker: each has a GPU of its own and takes shots off the hands of rank 0.

Rank 0 claims jobs and speaks for them (`jobs.worker`). A helper looks which job is under way, and asks for
shots of it (`pipeline.sharing`) until the job is over. After an error it leaves the job alone, and rank 0
does the shots itself; where the process dies, torchrun ends the worker, and the next one goes on from the
work that is kept.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import psutil

from seedvr_engine.errors import SeedVRError
from seedvr_engine.jobs import liveness, processes
from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.messages import Kind
from seedvr_engine.jobs.store import JobStore, Running
from seedvr_engine.logs import logging_job
from seedvr_engine.pipeline.heap import give_back_gpu
from seedvr_engine.pipeline.machine import devices_that_share
from seedvr_engine.pipeline.model import drop
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.restore import help_restore

_POLL_S, _LOOK_S, _PATIENCE_S = 0.1, 0.3, 3.0
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
        """Helps with one job after another until rank 0 ends, which ends this process wherever it stands."""
        liveness.end_after(self._owner, _PATIENCE_S)
        seen: tuple[str, int] | None = None
        while processes.is_alive(self._owner):
            running = self._running()
            if running is None or (running.id, running.fence) == seen:
                time.sleep(_POLL_S)
                continue
            seen = (running.id, running.fence)
            with logging_job(running.id):
                self._help(running)

    def _running(self) -> Running | None:
        """The job under way; None too while the database is busy."""
        with suppress(sqlite3.OperationalError):
            return next(iter(self._store.running()), None)
        return None

    def _help(self, running: Running) -> None:
        try:
            job = self._store.job(running.id)
            if self._rank > helpers_for(job.options, job.kind, self._ranks):
                if job.options.device == self._device:
                    # Rank 0 works here now and wants the memory.
                    drop()
                return
            output = self._folders.output(job.id, job.kind, running.output)
            options = replace(job.options, device=self._device)
            count = help_restore(job.input.path, output, options, is_over=self._is_over(running))
            _log.info("%d shots done on %s", count, self._device)
        except SeedVRError as error:
            _log.warning("no help from %s: %s", self._device, error.message)
        except Exception:
            _log.exception("no help from %s", self._device)
        finally:
            give_back_gpu()

    def _is_over(self, running: Running) -> Callable[[], bool]:
        """Asks the store now and then whether the run goes on."""
        next_look, answer = 0.0, False

        def is_over() -> bool:
            nonlocal next_look, answer
            if not answer and time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK_S
                answer = not processes.is_alive(self._owner) or not self._goes_on(running)
            return answer

        return is_over

    def _goes_on(self, running: Running) -> bool:
        now = self._running()
        is_same = now is not None and (now.id, now.fence) == (running.id, running.fence)
        return is_same and now is not None and now.stop_reason is None
