"""What a worker does beside restoring: it renews its lease, tells its progress, sees when to stop."""

import logging
import threading
import time
from pathlib import Path

from seedvr_engine.jobs.claims import Claim, Claims, LostJob, StopReason
from seedvr_engine.jobs.pictures import write_latest
from seedvr_engine.pipeline.messages import Pair, Progress

_INTERVAL_S = 0.4
_log = logging.getLogger(__name__)


class Beat:
    """A thread of its own, from the claim of a job to its end.

    folder: of the job, for its latest pictures. `stop` is set when the restoration is to end; `reason` says
    why, "lost" where the job is no longer this worker's.
    """

    def __init__(self, claims: Claims, claim: Claim, folder: Path) -> None:
        self.stop = threading.Event()
        self.reason: StopReason | str = ""
        self.progress: Progress | None = None
        self._claims, self._claim, self._folder = claims, claim, folder
        self._started = time.monotonic()
        self._told: Progress | None = None
        self._pair: Pair | None = None
        self._closed = False
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)
        self._thread.start()

    @property
    def ran_s(self) -> float:
        """Seconds since the claim."""
        return time.monotonic() - self._started

    def tell(self, progress: Progress) -> None:
        """Takes the progress, which goes to the store with the next beat."""
        self.progress = progress
        if self._is_over(progress) and not self.stop.is_set():
            self._due.set()

    def show(self, pair: Pair) -> None:
        """Takes the latest pictures, which are written at the next beat."""
        self._pair = pair

    def close(self) -> None:
        """Ends the thread."""
        self._closed = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._due.wait(_INTERVAL_S)
            self._due.clear()
            if self._closed:
                return
            try:
                self._beat()
                self._write_pictures()
            except LostJob:
                self._stop("lost")
            except Exception:
                # A disk that is full now may have room again; the lease says how long that may take.
                _log.exception("the state could not be written")

    def _beat(self) -> None:
        progress = self.progress
        reason = self._claims.beat(self._claim, self.ran_s, progress if progress is not self._told else None)
        self._told = progress
        if reason is not None:
            self._stop(reason)
        elif self._is_over(progress):
            self._stop(self._claims.ask_to_stop(self._claim, "time_limit"))

    def _is_over(self, progress: Progress | None) -> bool:
        """Whether the time limit strikes: never before this run got further, or "Continue" might not end."""
        limit_s = self._claim.job.limit_s
        return limit_s is not None and self.ran_s >= limit_s and progress is not None and progress.kept > 0

    def _stop(self, reason: StopReason | str) -> None:
        if not self.stop.is_set():
            self.reason = reason
            self.stop.set()

    def _write_pictures(self) -> None:
        pair, self._pair = self._pair, None
        if pair is not None:
            write_latest(self._folder, pair)
