"""Counts work and tells where a restoration stands."""

import resource
import sys
import time
from collections.abc import Callable, Mapping

import torch

from seedvr_engine.errors import Cancelled
from seedvr_engine.pipeline.messages import Progress, Stage

_INTERVAL_S = 0.2


class Meter:
    """Adds up the work of all stages, weighed by arithmetic, and reports a few times a second.

    weights: arithmetic of one frame in "encoding", "restoring", "decoding", in any unit.
    cancelled: asked at every step; `step` raises Cancelled when it says so.
    """

    def __init__(
        self,
        weights: Mapping[Stage, float],
        frames_total: int,
        device: torch.device,
        on_progress: Callable[[Progress], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.frames_total = max(1, frames_total)
        self.stage_s: dict[str, float] = {}
        self._weights = dict(weights)
        self._device = device
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._done: dict[Stage, float] = dict.fromkeys(weights, 0.0)
        self._started = self._stage_since = time.monotonic()
        self._before = 0.0
        self._written_before = 0
        self._reported = 0.0
        self._stage: Stage = "starting"
        self._shot = 0
        self._notes: list[str] = []

    def enter(self, stage: Stage, shot: int) -> None:
        """A stage begins."""
        now = time.monotonic()
        self.stage_s[self._stage] = self.stage_s.get(self._stage, 0.0) + now - self._stage_since
        self._stage, self._shot, self._stage_since = stage, shot, now
        self.report()

    def credit(self, stage: Stage, frames: float) -> None:
        """Work that an earlier run finished."""
        self._done[stage] += frames
        self._before = self.share
        self._written_before = int(self._done["decoding"])

    def step(self, frames: float) -> None:
        """Some frames went through the stage under way. Raises Cancelled."""
        self._done[self._stage] += frames
        self.check()
        if time.monotonic() - self._reported >= _INTERVAL_S:
            self.report()

    def check(self) -> None:
        """Raises Cancelled where the caller wants the restoration to stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("The restoration was stopped.", remedy="The same command goes on from here.")

    def note(self, sentence: str) -> None:
        """Something a person should know; goes with every report from now on."""
        self._notes.append(sentence)
        self.report()

    @property
    def notes(self) -> tuple[str, ...]:
        """All notes so far."""
        return tuple(self._notes)

    @property
    def share(self) -> float:
        """Share of all work that is done, 0 to 1."""
        whole = self.frames_total * sum(self._weights.values())
        return min(1.0, sum(self._weights[stage] * frames for stage, frames in self._done.items()) / whole)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of this run."""
        return time.monotonic() - self._started

    def report(self) -> None:
        """Tells now."""
        if self._on_progress is None:
            return
        self._reported = time.monotonic()
        now, peak = memory_bytes(self._device)
        share, elapsed = self.share, self.elapsed_s
        written = int(self._done["decoding"])
        fresh = share - self._before
        self._on_progress(
            Progress(
                stage=self._stage,
                shot=self._shot,
                done=share,
                frames_done=written,
                frames_total=self.frames_total,
                elapsed_s=elapsed,
                frames_per_s=fresh * self.frames_total / elapsed if fresh > 0 else None,
                left_s=elapsed * (1 - share) / fresh if fresh > 0.01 else None,
                memory_bytes=now,
                peak_bytes=peak,
                notes=self.notes,
            )
        )


def memory_bytes(device: torch.device) -> tuple[int, int]:
    """Memory in use now and at its peak: of the GPU's allocator, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    # ru_maxrss counts bytes on macOS, KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak
