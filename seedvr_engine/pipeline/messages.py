"""What a restoration tells while it runs and when it is done: plain values that travel between processes."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Stage = Literal["start", "encode", "restore", "decode", "join"]


@dataclass(frozen=True)
class Progress:
    """Where a restoration stands.

    stage: what is being done. shot: index of the shot under way, from 0.
    done: share of all work, 0 to 1, weighed by the time that it is predicted to take.
    frames_done: frames of the input whose output is written. frames_total: of the input, as far as is known
        before the file has been read to its end.
    frames_per_s: over this run, of all stages together; None before there is anything to measure.
    left_s: as predicted and as this run corrects it; None while there is only a guess.
    kept: pieces of work (runs of latents, segments) that this run has finished and put on disk: whoever stops
        it now loses nothing before the last of them.
    memory_bytes, peak_bytes: of the device, or of the process on a CPU.
    notes: what a person should know: the model, the plan, a step taken to save memory.
    """

    stage: Stage
    shot: int
    done: float
    frames_done: int
    frames_total: int
    elapsed_s: float
    frames_per_s: float | None = None
    left_s: float | None = None
    memory_bytes: int = 0
    peak_bytes: int = 0
    notes: tuple[str, ...] = ()
    kept: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Pair:
    """One frame before and after.

    number: in the file, from 0. time_s: on the file's own clock. before: as resized, after: as written; both
    (H, W, 3) uint8 of the output's size.
    """

    number: int
    time_s: float
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]


@dataclass(frozen=True)
class Result:
    """What came out.

    output: the file (or folder of pictures). width, height: of its frames. frames: how many were restored;
        at a rate of its own the output holds more or fewer.
    shots: first frame of every shot. model: what restored it. warnings: what could not be kept, a sentence
        each.
    stage_s: seconds spent in each stage. stage_frames: frames that this very run took through each stage,
        without those that an earlier run had done.
    """

    output: Path
    width: int
    height: int
    frames: int
    shots: tuple[int, ...]
    model: str
    precision: str
    plan: str
    elapsed_s: float
    warnings: tuple[str, ...] = ()
    stage_s: dict[str, float] = field(default_factory=dict)
    stage_frames: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "output": str(self.output)}
