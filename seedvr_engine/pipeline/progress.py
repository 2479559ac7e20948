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

    weights: arithmetic of one frame in "encode", "restore", "decode", in any unit.
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
        self.kept = 0
        self._weights = dict(weights)
        self._device = device
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._done: dict[tuple[Stage, int], float] = {}
        self._started = self._stage_since = time.monotonic()
        self._credited = 0.0
        self._reported = self._told_share = 0.0
        self._stage: Stage = "start"
        self._shot = 0
        self._notes: list[str] = []

    def enter(self, stage: Stage, shot: int) -> None:
        """A stage begins."""
        now = time.monotonic()
        self.stage_s[self._stage] = self.stage_s.get(self._stage, 0.0) + now - self._stage_since
        self._stage, self._shot, self._stage_since = stage, shot, now
        self.report()

    def credit(self, stage: Stage, shot: int, frames: float) -> None:
        """The first frames of a shot went through a stage in an earlier run."""
        before = self.share
        self._done[stage, shot] = max(frames, self._done.get((stage, shot), 0.0))
        self._credited += self.share - before

    def reach(self, frames: float) -> None:
        """So many frames of the shot went through the stage under way. Raises Cancelled.

        Going back, as after a lack of memory, takes nothing away.
        """
        place = (self._stage, self._shot)
        self._done[place] = max(frames, self._done.get(place, 0.0))
        self.check()
        if time.monotonic() - self._reported >= _INTERVAL_S:
            self.report()

    def check(self) -> None:
        """Raises Cancelled where the caller wants the restoration to stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("The restoration was stopped.", remedy="The same command goes on from here.")

    def keep(self) -> None:
        """A piece of work was put on disk."""
        self.kept += 1

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
        done = sum(self._weights[stage] * frames for (stage, _), frames in self._done.items())
        return min(1.0, done / whole)

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
        # Where a clip proves longer than its container said, the share falls; nobody wants to be told so.
        share = self._told_share = max(self._told_share, self.share)
        elapsed = self.elapsed_s
        written = int(sum(frames for (stage, _), frames in self._done.items() if stage == "decode"))
        fresh = share - self._credited
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
                kept=self.kept,
            )
        )


def memory_bytes(device: torch.device) -> tuple[int, int]:
    """Memory in use now and at its peak: of the GPU's allocator, or of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    # ru_maxrss counts bytes on macOS, KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak
