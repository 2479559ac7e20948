"""The one door to jobs: submits them, tells how they stand, stops, resumes and deletes them."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from seedvr_engine.errors import InputError, UsageError
from seedvr_engine.jobs import liveness
from seedvr_engine.jobs.database import Database
from seedvr_engine.jobs.errors import UnknownJobError
from seedvr_engine.jobs.folders import FolderLock, Folders, result_name
from seedvr_engine.jobs.inputs import InputStore
from seedvr_engine.jobs.messages import Job, Kind, StoredInput
from seedvr_engine.jobs.models import ModelStatus, model_statuses
from seedvr_engine.jobs.rates import RateStore
from seedvr_engine.jobs.store import JobStore, NewJob
from seedvr_engine.jobs.supervisor import Supervisor
from seedvr_engine.jobs.system import SystemStatus, system_status
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.pipeline.estimate import Estimate, estimate, kind_of
from seedvr_engine.pipeline.forecast import foresee, frames_expected, output_path
from seedvr_engine.pipeline.options import LONGEST_S, Options
from seedvr_engine.pipeline.size import Size, geometry
from seedvr_engine.settings import Settings, get_settings

_LOOK_S, _CLEAN_S = 0.1, 60.0
_STOP_S = 10.0
_DAY_S = 86400.0
_log = logging.getLogger(__name__)


class SeedVRProcessor:
    """Owns a data folder, its queue and its worker; safe to use from every thread. Knows no torch.

    settings: those it was made with.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._folders = Folders.of(settings)
        self._lock = FolderLock(self._folders.data / "lock")
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._changes = 0
        self._thread: threading.Thread | None = None
        self._database: Database | None = None

    def start(self) -> None:
        """Takes the data folder, puts right what a crash left over, and begins to work.

        Raises DataFolderInUseError where another server has the folder.
        """
        self._lock.acquire()
        try:
            self._begin()
        except BaseException:
            self._lock.release()
            raise

    def _begin(self) -> None:
        self._database = Database(self._folders.database)
        self._store = JobStore(self._database, self._folders)
        self._inputs = InputStore(self._database, self._folders)
        self._rates = RateStore(self._database)
        server = liveness.server_name(os.getpid())
        self._supervisor = Supervisor(self.settings, self._folders, self._store, server)
        self._store.enter_server(server)
        self._supervisor.recover()
        self._inputs.sweep()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the worker and lets go of the data folder; a job under way goes on after the next start."""
        self._stopping.set()
        self._notify()
        try:
            if self._thread is not None:
                self._thread.join(_STOP_S)
                self._thread = None
                self._supervisor.stop()
        finally:
            self._lock.release()

    def check_available_models(self) -> list[ModelStatus]:
        """Every model that can be chosen, present or not."""
        return model_statuses(self.settings.ckpts)

    def add_input(
        self, path: Path, name: str, *, move: bool = False, holder: str | None = None
    ) -> StoredInput:
        """Takes a file in; the same content is kept once.

        move: it need not stay where it is. holder: an upload, say, which keeps the input until
            `release_input`.
        Raises InputError where it is no video or picture.
        """
        self._checked(path, name)
        return self._inputs.add(path, name, move=move, holder=holder)

    def release_input(self, digest: str, holder: str) -> None:
        """The holder no longer needs an input, which goes once no job needs it either."""
        self._inputs.release(digest, holder)

    def process_video(
        self,
        input: Path | StoredInput,
        options: Options | None = None,
        *,
        owner: str = "local",
        name: str | None = None,
        kind: Kind = "full",
        moment_s: float | None = None,
        batch: str | None = None,
    ) -> Job:
        """Queues a restoration.

        kind: "frame" and "clip" are previews at `moment_s` seconds, which go before full jobs.
        Raises InputError, UsageError, QueueFullError.
        """
        options = options or Options()
        stored = input if isinstance(input, StoredInput) else self.add_input(input, name or input.name)
        stored = replace(stored, name=name or stored.name)
        if not self._inputs.is_there(stored):
            raise InputError(f"{stored.name} is no longer here.", remedy="Upload it again.")
        info = self._checked(stored.path, stored.name)
        _check_preview(kind, moment_s, info)
        # Told now rather than when its turn comes: a format or size that cannot be made.
        suffix = output_path(info, options, None).suffix
        self._check_output_size(info, options)
        job_id = uuid.uuid4().hex
        output = {"full": result_name(stored.name, job_id, suffix), "frame": "after.png", "clip": "after.mp4"}
        new = NewJob(
            id=job_id,
            owner=owner,
            kind=kind,
            name=stored.name,
            input=stored,
            options=options,
            output=output[kind],
            batch=batch,
            moment_s=None if kind == "full" else moment_s or 0.0,
            frames_total=frames_expected(info, options) if kind == "full" else 0,
        )
        limits = self.settings
        return self._store.add(new, most=limits.max_queued, most_of_owner=limits.max_queued_per_visitor)

    def cancel(self, job_id: str) -> None:
        """Stops a job, within 3 s where it runs; one that has ended stays. Raises UnknownJobError."""
        self._store.cancel(job_id)

    def resume(self, job_id: str) -> Job:
        """Queues a job again that was interrupted or cancelled or failed; it goes on from its kept work.

        Raises UnknownJobError, QueueFullError, UsageError for one that is done.
        """
        limits = self.settings
        return self._store.resume(job_id, most=limits.max_queued, most_of_owner=limits.max_queued_per_visitor)

    def status(self, job_id: str) -> Job:
        """The job as it stands. Raises UnknownJobError."""
        return self._store.job(job_id)

    def events(self, job_id: str) -> Iterator[Job]:
        """The job now, then after every change; ends when it is final or deleted, or when the server stops.

        Raises UnknownJobError.
        """
        job = self._store.job(job_id)
        yield job
        while not job.is_final and not self._stopping.is_set():
            seen = self._changes
            try:
                now = self._store.job(job_id)
            except UnknownJobError:
                return
            if (now.revision, now.queue_position) != (job.revision, job.queue_position):
                yield now
                job = now
                continue
            with self._changed:
                self._changed.wait_for(lambda: self._changes != seen or self._stopping.is_set())  # noqa: B023

    def jobs_of(self, owner: str) -> list[Job]:
        """All jobs of an owner, newest first."""
        return self._store.jobs_of(owner)

    def batch_of(self, batch: str) -> list[Job]:
        """The jobs of a batch, in their order."""
        return self._store.batch_of(batch)

    def delete(self, job_id: str) -> None:
        """Stops a job and removes it with its files: result, kept work, and the input nobody else uses.

        Raises UnknownJobError.
        """
        self._store.cancel(job_id)
        deadline = time.monotonic() + _STOP_S
        while self._store.is_running(job_id) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        self._store.remove(job_id)
        self._inputs.remove_unused()

    def foresee(self, input: Path | StoredInput, options: Options) -> Estimate:
        """What restoring an input will be and how long it will take, from what this machine was seen to do.

        Raises InputError, UsageError, CheckpointError, MemoryBudgetError.
        """
        path, name = (input.path, input.name) if isinstance(input, StoredInput) else (input, input.name)
        forecast = foresee(self._checked(path, name), options)
        return estimate(forecast, self._rates.get(kind_of(forecast)))

    def counts(self) -> dict[str, int]:
        """How many jobs there are of each state."""
        return self._store.counts()

    def system(self) -> SystemStatus:
        """GPUs, memory, disk, worker and queue."""
        return system_status(self._folders, self._supervisor.state(), self._store.counts())

    def folder_of(self, job_id: str) -> Path:
        """Where latest_before.jpg, latest_after.jpg, thumbnail.jpg and a preview's files lie."""
        return self._folders.job(job_id)

    def _checked(self, path: Path, name: str) -> MediaInfo:
        """What an input is. Raises InputError for what is not restored or exceeds the limits."""
        try:
            info = probe(path)
        except InputError as error:
            words = (
                text.replace(str(path), name).replace(path.name, name)
                for text in (error.message, error.remedy)
            )
            message, remedy = words
            raise InputError(message, remedy=remedy) from error
        most_s, most_pixels = self.settings.max_duration_s, self.settings.max_pixels
        if most_s and info.duration_s is not None and info.duration_s > most_s:
            raise InputError(
                f"{name} lasts {info.duration_s / 60:.0f} minutes; {most_s / 60:.0f} are allowed here.",
                remedy="Cut it into parts first.",
            )
        if most_pixels and info.width * info.height > most_pixels:
            raise InputError(
                f"{name} has {info.width}x{info.height} pixels; "
                f"{most_pixels / 1e6:.0f} million are allowed here.",
                remedy="Make it smaller first.",
            )
        return info

    def _check_output_size(self, info: MediaInfo, options: Options) -> None:
        size = Size.parse(options.size)
        height, width = geometry((info.height, info.width), size, options.fit).output
        most = self.settings.max_pixels
        if most and height * width > most:
            raise UsageError(
                f"{width}x{height} is more than the {most / 1e6:.0f} million pixels that are allowed here.",
                remedy="Choose a smaller size.",
            )

    def _supervise(self) -> None:
        assert self._database is not None
        connection = self._database.connection()
        version, cleaned = None, time.monotonic()
        while not self._stopping.wait(_LOOK_S):
            try:
                # The first number changes whenever another connection, of whatever process, has written.
                data_version = connection.execute("PRAGMA data_version").fetchone()[0]
                now = (data_version, connection.total_changes)
                if now != version:
                    version = now
                    self._notify()
                self._supervisor.look()
                if time.monotonic() - cleaned > _CLEAN_S:
                    cleaned = time.monotonic()
                    self._clean()
            except Exception:
                # Whatever it was, a full disk most likely: without this thread no job would ever run again.
                _log.exception("supervising failed; it goes on")

    def _clean(self) -> None:
        """Removes what has been kept long enough."""
        days = self.settings.keep_results_days
        if days:
            for job in self._store.finished_before(time.time() - days * _DAY_S):
                _log.info("removed, as results are kept %g days", days, extra={"job": job.id})
                self._store.remove(job.id)
        self._inputs.remove_unused()

    def _notify(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()


def _check_preview(kind: Kind, moment_s: float | None, info: MediaInfo) -> None:
    if kind == "clip" and info.kind == "image":
        raise UsageError("A picture has no two seconds.", remedy="Preview the picture itself.")
    # Not a number is no such number either.
    if moment_s is not None and not 0 <= moment_s <= LONGEST_S:
        raise UsageError(f"The moment is {moment_s} s.", remedy="Choose one within the clip.")


@cache
def get_processor() -> SeedVRProcessor:
    """The processor of this process, started."""
    processor = SeedVRProcessor(get_settings())
    processor.start()
    return processor
