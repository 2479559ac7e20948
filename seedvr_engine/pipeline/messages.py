"""What a restoration tells while it runs and when it is done: plain values that travel between processes."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Stage = Literal["start", "encode", "restore", "decode", "join"]


@dataclass(frozen=True)
class Progress:
    """Where a restoration stands.

    stage: what is being done. shot: index of the shot under way, from 0.
    done: share of all work, 0 to 1, weighed by the arithmetic that it takes.
    frames_done: output frames written. frames_total: as far as is known before the file has been read to its
        end.
    frames_per_s, left_s: over this run; None before there is anything to measure.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Result:
    """What came out.

    output: the file (or folder of pictures). width, height: of its frames. frames: how many.
    shots: first frame of every shot. model: what restored it. warnings: what could not be kept, a sentence
        each.
    stage_s: seconds spent in each stage.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "output": str(self.output)}
