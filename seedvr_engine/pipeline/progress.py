"""Counts work and tells where a restoration stands."""

import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from seedvr_engine.errors import Cancelled
from seedvr_engine.pipeline.estimate import Estimate
from seedvr_engine.pipeline.messages import Progress, Stage
from seedvr_engine.pipeline.pace import Pace, Standing

_INTERVAL_S = 0.2
# A step may take long; somebody who watches wants a sign of life once a second.
_SILENCE_S, _LOOK_S = 0.6, 0.1


class Meter:
    """Adds up the work of all stages, weighed by the time that it takes, and reports a few times a second.

    estimate: what was predicted. device: whose memory is told. cancelled: asked at every step, which then
    raises Cancelled. clock: seconds, as `time.monotonic`.
    """

    def __init__(
        self,
        estimate: Estimate,
        device: torch.device,
        on_progress: Callable[[Progress], None] | None,
        cancelled: Callable[[], bool] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.frames_total = estimate.forecast.frames
        self.kept = 0
        self._pace = Pace(estimate)
        self._device = device
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._clock = clock
        self._done: dict[tuple[Stage, int], float] = {}
        self._credited: dict[Stage, float] = {}
        self._spent_s: dict[Stage, float] = {}
        self._started = self._stage_since = self._step = clock()
        self._reported = self._told_share = 0.0
        self._stage: Stage = "start"
        self._shot = 0
        self._notes: list[str] = []
        self._is_finished = False
        self._lock = threading.RLock()
        self._failure: BaseException | None = None

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Reports in silences too, from a thread of its own, until the end of the block."""
        over = threading.Event()
        thread = threading.Thread(target=self._tick, args=(over,), name="progress", daemon=True)
        if self._on_progress is not None:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if thread.is_alive():
                thread.join()

    def _tick(self, over: threading.Event) -> None:
        while not over.wait(_LOOK_S):
            if self._clock() - self._reported < _SILENCE_S:
                continue
            try:
                self.report()
            except BaseException as error:
                # Raised again where the restoration can be ended.
                self._failure = error
                return

    def enter(self, stage: Stage, shot: int) -> None:
        """A stage begins."""
        with self._lock:
            self._leave()
            self._stage, self._shot = stage, shot
            self.report()

    def finish(self) -> None:
        """Everything is done."""
        with self._lock:
            self._leave()
            self._is_finished = True
            self.report()

    def _leave(self) -> None:
        now = self._clock()
        self._spent_s[self._stage] = self._spent_s.get(self._stage, 0.0) + now - self._stage_since
        self._stage_since = self._step = now

    def credit(self, stage: Stage, shot: int, frames: float) -> None:
        """The first frames of a shot went through a stage in an earlier run."""
        with self._lock:
            before = self._done.get((stage, shot), 0.0)
            self._done[stage, shot] = max(frames, before)
            self._credited[stage] = self._credited.get(stage, 0.0) + self._done[stage, shot] - before

    def add(self, stage: Stage, shot: int, frames: float) -> None:
        """The first frames of a shot went through a stage meanwhile, in another process."""
        with self._lock:
            self._done[stage, shot] = max(frames, self._done.get((stage, shot), 0.0))

    def reach(self, frames: float) -> None:
        """So many frames of the shot went through the stage under way. Raises Cancelled.

        Going back, as after a lack of memory, takes nothing away.
        """
        with self._lock:
            place = (self._stage, self._shot)
            self._done[place] = max(frames, self._done.get(place, 0.0))
            self._step = self._clock()
        self.check()
        if self._clock() - self._reported >= _INTERVAL_S:
            self.report()

    def check(self) -> None:
        """Raises Cancelled where the caller wants the restoration to stop."""
        if self._failure is not None:
            raise self._failure
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("The restoration was stopped.", remedy="The same command goes on from here.")

    def keep(self) -> None:
        """A piece of work was put on disk."""
        self.kept += 1

    def note(self, sentence: str) -> None:
        """Something a person should know; goes with every report from now on."""
        with self._lock:
            self._notes.append(sentence)
            self.report()

    @property
    def notes(self) -> tuple[str, ...]:
        """All notes so far."""
        return tuple(self._notes)

    @property
    def stage_s(self) -> dict[str, float]:
        """Seconds spent in the stages that have been left."""
        return {str(stage): seconds for stage, seconds in self._spent_s.items()}

    @property
    def stage_frames(self) -> dict[str, float]:
        """Frames that this very run took through each stage."""
        return {str(stage): frames for stage, frames in self._fresh().items()}

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of this run."""
        return self._clock() - self._started

    def report(self) -> None:
        """Tells now."""
        if self._on_progress is None:
            return
        with self._lock:
            self._reported = self._clock()
            self._on_progress(self._progress())

    def _progress(self) -> Progress:
        now, peak = memory_bytes(self._device)
        standing = self._standing()
        share = 1.0 if self._is_finished else self._pace.share(standing)
        # Where a clip proves longer than its container said, the share falls; nobody wants to be told so.
        self._told_share = max(self._told_share, share)
        return Progress(
            stage=self._stage,
            shot=self._shot,
            done=self._told_share,
            frames_done=int(standing.done.get("decode", 0.0)),
            frames_total=self.frames_total,
            elapsed_s=self.elapsed_s,
            frames_per_s=self._pace.frames_per_s(standing),
            left_s=0.0 if self._is_finished else self._pace.left_s(standing),
            memory_bytes=now,
            peak_bytes=peak,
            notes=self.notes,
            kept=self.kept,
        )

    def _standing(self) -> Standing:
        spent = dict(self._spent_s)
        spent[self._stage] = spent.get(self._stage, 0.0) + self._step - self._stage_since
        silent = 0.0 if self._is_finished else self._clock() - self._step
        return Standing(self._stage, self.frames_total, self._total(), self._fresh(), spent, silent)

    def _total(self) -> dict[Stage, float]:
        total: dict[Stage, float] = {}
        for (stage, _), frames in self._done.items():
            total[stage] = total.get(stage, 0.0) + frames
        return total

    def _fresh(self) -> dict[Stage, float]:
        return {stage: frames - self._credited.get(stage, 0.0) for stage, frames in self._total().items()}


def memory_bytes(device: torch.device) -> tuple[int, int]:
    """Memory in use now and at its peak: of the GPU's allocator, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    # ru_maxrss counts bytes on macOS, KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak
