"""Models that are fetched while the page is open: one at a time, in the background of this process.

What has come stays when a download fails or the process ends, and the next attempt goes on from there.
"""

import logging
import threading
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from seedvr_engine.checkpoints.catalog import MODELS
from seedvr_engine.checkpoints.download import OnProgress, Retry, download_model
from seedvr_engine.errors import Cancelled, SeedVRError, UsageError
from seedvr_engine.jobs.messages import JobError
from seedvr_engine.settings import get_settings

_LOG = logging.getLogger(__name__)

DownloadState = Literal["idle", "waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Download:
    """How a model's download stands. total_bytes: 0 until it is known. problem: why it failed."""

    model: str
    state: DownloadState = "idle"
    done_bytes: int = 0
    total_bytes: int = 0
    problem: JobError | None = None


class Downloads:
    """Downloads of one process; safe to use from every thread.

    root: the checkpoint folder.
    """

    def __init__(self, root: Path, retry: Retry | None = None) -> None:
        self._root, self._retry = root, retry
        self._states = {name: Download(name) for name in MODELS}
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, model: str) -> Download:
        """Fetches a model when its turn comes; one that is under way already goes on. Raises UsageError."""
        with self._lock:
            if self._state(model).state not in ("waiting", "running"):
                self._states[model] = Download(model, "waiting")
                self._waiting.put(model)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="downloads", daemon=True)
                self._thread.start()
            return self._states[model]

    def state(self, model: str) -> Download:
        """How a model's download stands. Raises UsageError for a model that there is not."""
        with self._lock:
            return self._state(model)

    def stop(self) -> None:
        """Ends what is under way; it goes on from there the next time."""
        self._ending.set()
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(5)

    def _state(self, model: str) -> Download:
        if model not in self._states:
            raise UsageError(
                f"There is no model {model!r} to download.", remedy=f"Choose one of {', '.join(MODELS)}."
            )
        return self._states[model]

    def _work(self) -> None:
        while (model := self._waiting.get()) is not None and not self._ending.is_set():
            self._set(model, state="running")
            try:
                download_model(model, root=self._root, on_progress=self._teller(model), retry=self._retry)
            except Cancelled:
                self._set(model, state="idle")
            except SeedVRError as error:
                _LOG.warning("The download of %s failed: %s", model, error)
                self._set(model, state="failed", problem=JobError(error.code, error.message, error.remedy))
            except Exception as error:
                _LOG.exception("The download of %s failed", model)
                self._set(
                    model, state="failed", problem=JobError("internal", f"The download failed: {error}.")
                )
            else:
                self._set(model, state="done", done_bytes=self.state(model).total_bytes)

    def _teller(self, model: str) -> OnProgress:
        def tell(done: int, total: int) -> None:
            if self._ending.is_set():
                raise Cancelled("The server ends.")
            self._set(model, done_bytes=done, total_bytes=total)

        return tell

    def _set(self, model: str, **changes: object) -> None:
        with self._lock:
            self._states[model] = replace(self._states[model], **changes)  # type: ignore[arg-type]


@cache
def get_downloads() -> Downloads:
    """The downloads of this process, into the checkpoint folder of the settings."""
    return Downloads(get_settings().ckpts)
