"""One job, from the claim to its last word."""

import logging
import sqlite3
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seedvr_engine import __version__
from seedvr_engine.errors import Cancelled, MemoryBudgetError, OutputError, SeedVRError, SilentHelperError
from seedvr_engine.jobs.beat import Beat
from seedvr_engine.jobs.claims import Claim, Claims, LostJob
from seedvr_engine.jobs.folders import Folders, remove_path, work_folders
from seedvr_engine.jobs.helper import helpers_for
from seedvr_engine.jobs.messages import JobError, State
from seedvr_engine.jobs.pictures import write_thumbnail
from seedvr_engine.jobs.previews import make_preview, remove_scratch
from seedvr_engine.jobs.rates import RateStore
from seedvr_engine.jobs.store import time_limit_error
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.pipeline.estimate import kind_of, measured
from seedvr_engine.pipeline.forecast import foresee
from seedvr_engine.pipeline.messages import Result
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.restore import restore

_TRIES_S = 60.0
# After these a worker is replaced: its memory is in pieces, or one of its processes hangs.
_SPOILING = (MemoryBudgetError, SilentHelperError, torch.OutOfMemoryError, MemoryError)
_log = logging.getLogger(__name__)


class Runner:
    """Runs claimed jobs, one at a time. ranks: processes of this worker, which may share a job's shots."""

    def __init__(self, claims: Claims, folders: Folders, rates: RateStore, ranks: int = 1) -> None:
        self._claims, self._folders, self._rates = claims, folders, rates
        self._ranks = ranks

    def run(self, claim: Claim) -> bool:
        """Restores a job and writes how it ended. Returns whether another worker should go on from here."""
        job = claim.job
        _log.info("%s of %s begins", job.kind, job.input.name)
        folder = self._folders.job(job.id)
        folder.mkdir(parents=True, exist_ok=True)
        beat = Beat(self._claims, claim, folder)
        state: State = "failed"
        facts: dict[str, Any] | None = None
        error: JobError | None = None
        is_spoilt = False
        try:
            facts = self._restore(claim, beat)
            state = "done"
        except LostJob:
            beat.reason = "lost"
        except Cancelled:
            state, error = _stopped(beat)
        except Exception as caught:
            state, error = _failed(caught, claim)
            is_spoilt = isinstance(caught, _SPOILING)
            if error.code == "internal":
                _log.exception("it failed")
        finally:
            beat.close()
        if beat.reason != "lost":
            self._finish(claim, beat, state, facts, error)
        return is_spoilt

    def _restore(self, claim: Claim, beat: Beat) -> dict[str, Any]:
        job, output = claim.job, claim.output
        info = probe(job.input.path)
        if output.exists():
            # A result has its name only when it is whole: an earlier run died just after that.
            for path in work_folders(output):
                remove_path(path)
            if job.kind != "full":
                remove_scratch(output.parent)
            return _recognised(claim)
        forecast = foresee(info, job.options, output if job.kind == "full" else None)
        self._claims.tell(
            claim, model=forecast.model.label, plan=forecast.plan_line, frames_total=forecast.frames
        )
        _show_input(info, claim, self._folders)

        helpers = helpers_for(job.options, job.kind, self._ranks)

        def into(path: Path, options: Options) -> Result:
            return restore(
                job.input.path,
                path,
                options,
                on_progress=beat.tell,
                on_picture=beat.show,
                cancelled=beat.stop.is_set,
                info=info,
                rates=self._rates.get(kind_of(forecast)),
                keep_model=True,
                helpers=helpers,
            )

        if job.kind == "full":
            result = into(output, job.options)
            if not helpers or len(result.shots) == 1:
                # What others have done is no measure of this device.
                self._rates.learn(kind_of(forecast), measured(result, forecast))
            return result.as_dict()
        factor = forecast.model.vae.time_factor
        return make_preview(job, info, forecast.geometry, factor, output.parent, into).as_dict()

    def _finish(
        self,
        claim: Claim,
        beat: Beat,
        state: State,
        facts: dict[str, Any] | None,
        error: JobError | None,
    ) -> None:
        ran_s = beat.ran_s

        def write() -> None:
            self._claims.finish(claim, state, ran_s=ran_s, facts=facts, error=error, progress=beat.progress)

        try:
            _persistently(write)
        except LostJob:
            _log.warning("the job was given to another worker")
            return
        seconds = {} if facts is None else {name: round(s, 2) for name, s in facts["stage_s"].items()}
        peak = beat.progress.peak_bytes if beat.progress else 0
        _log.info("%s after %.1f s, stages %s, peak %d bytes", state, ran_s, seconds, peak)
        if error is not None:
            _log.info("%s: %s", error.code, error.message)


def _show_input(info: MediaInfo, claim: Claim, folders: Folders) -> None:
    folder = folders.job(claim.job.id)
    with read_frames(info, stop=1) as frames:
        for frame in frames:
            write_thumbnail(folder, frame.rgb)


def _recognised(claim: Claim) -> dict[str, Any]:
    """What can be told of a result whose own facts were lost."""
    job, output = claim.job, claim.output
    height = width = 0
    if output.is_file():
        info = probe(output)
        height, width = info.height, info.width
    return {
        **{"output": str(output), "width": width, "height": height, "frames": job.frames_total, "shots": []},
        **{"model": job.model, "precision": "", "plan": job.plan, "elapsed_s": job.ran_s, "warnings": []},
        "stage_s": {},
    }


def _stopped(beat: Beat) -> tuple[State, JobError | None]:
    if beat.reason == "time_limit":
        return "interrupted", time_limit_error()
    return "cancelled", None


def _failed(error: Exception, claim: Claim) -> tuple[State, JobError]:
    details = "".join(traceback.format_exception(error))
    if isinstance(error, OutputError):
        folder = claim.output.parent
        remedy = f"Free some space in {folder}, or make sure that it can be written; then continue."
        return "interrupted", JobError(error.code, error.message, remedy, details)
    if isinstance(error, SeedVRError):
        path = claim.job.input.path
        if not path.is_file():
            message, remedy = f"{claim.job.name} is no longer on this machine.", "Upload it again."
            return "failed", JobError(error.code, message, remedy, details)
        message = error.message.replace(str(path), claim.job.name).replace(path.name, claim.job.name)
        return "failed", JobError(error.code, message, error.remedy, details)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        message = "Memory ran out, although everything that saves memory was tried."
        return "failed", JobError("memory", message, "Choose a smaller size or model.", details)
    message = f"This is a bug of seedvr-engine {__version__}: {type(error).__name__}: {error}."
    return "failed", JobError("internal", message, "Please report it with the details.", details)


def _persistently(write: Callable[[], None]) -> None:
    """Writes to the store, again and again where its disk is full."""
    deadline = time.monotonic() + _TRIES_S
    while True:
        try:
            write()
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)
        else:
            return
