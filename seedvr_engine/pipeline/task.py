"""What the stages of one restoration share."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import torch

from seedvr_engine import __version__
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.write import Target
from seedvr_engine.pipeline.counts import Segment, segments_of
from seedvr_engine.pipeline.excerpt import number_at
from seedvr_engine.pipeline.messages import Pair
from seedvr_engine.pipeline.model import Model
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.plan import Plan
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.shots import Originals, ShotStream
from seedvr_engine.pipeline.size import Geometry
from seedvr_engine.pipeline.work import Work

_PAIR_INTERVAL_S = 1.0


class Viewer:
    """Shows a frame before and after, about once a second, to whoever wants to look."""

    def __init__(
        self, on_picture: Callable[[Pair], None] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_picture, self._clock = on_picture, clock
        self._shown = -math.inf

    @property
    def is_due(self) -> bool:
        """Whether the next frame is to be shown."""
        return self._on_picture is not None and self._clock() - self._shown >= _PAIR_INTERVAL_S

    def show(self, pair: Pair) -> None:
        """Shows a pair now."""
        assert self._on_picture is not None
        self._on_picture(pair)
        # What showing takes is not part of the interval: a slow viewer must not slow down the restoration.
        self._shown = self._clock()


@dataclass
class Task:
    """Everything that the stages of one restoration share.

    counted: shots whose frames are all in the progress, whoever restored them.
    """

    info: MediaInfo
    options: Options
    geometry: Geometry
    target: Target
    output: Path
    model: Model
    plan: Plan
    work: Work
    meter: Meter
    residual: bool
    originals: Originals
    viewer: Viewer
    stream: ShotStream | None = None
    warnings: list[str] = field(default_factory=list)
    counted: set[int] = field(default_factory=set)

    @property
    def time_factor(self) -> int:
        """Frames per latent frame."""
        return self.model.vae.config.time_factor

    @property
    def cache_device(self) -> torch.device | None:
        """Where the temporal caches wait."""
        return torch.device("cpu") if self.plan.cache_place == "host" else None

    @property
    def piece_latents(self) -> int:
        """Latents that go through the autoencoder together."""
        return max(1, self.plan.piece_frames // self.time_factor)

    @property
    def clock_zero(self) -> Fraction:
        """Where the file's own clock begins, which in MPEG streams is anywhere."""
        return self.info.start if self.info.free_running else Fraction(0)

    @property
    def span(self) -> tuple[Fraction | None, Fraction | None]:
        """Start and end on the file's own clock."""
        start, end = self.options.span
        zero = self.clock_zero
        return (None if start is None else start + zero), (None if end is None else end + zero)

    @property
    def beginning(self) -> int:
        """The frame to read from: nothing before the start is decoded where packets tell their times."""
        start, _ = self.span
        return 0 if start is None else number_at(self.info, start)

    @property
    def comment(self) -> str:
        """The file's own comment, and what restored it."""
        made = f"Restored with {self.model.choice.label} by seedvr-engine {__version__}"
        own = self.info.metadata.get("comment", "")
        return f"{own}; {made}" if own else made

    def segments(self, shot: int) -> list[Segment]:
        """The segments that a shot becomes."""
        return segments_of(self.work, shot, self.time_factor)
