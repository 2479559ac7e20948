"""What the store, the processor, the server and the page tell each other: plain values, no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seedvr_engine.pipeline.options import Options

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
Kind = Literal["full", "frame", "clip"]

# Nothing more happens to a job in one of these, unless its owner asks for it.
FINAL_STATES: frozenset[State] = frozenset(("done", "failed", "cancelled", "interrupted"))


@dataclass(frozen=True)
class StoredInput:
    """A file that was taken in, kept once however often it comes.

    hash: SHA-256 of its content, hexadecimal. path: where it lies. name: what its owner calls it.
    """

    hash: str
    path: Path
    name: str
    bytes: int


@dataclass(frozen=True)
class JobError:
    """Why a job ended without a result.

    code: of the error's class ("input", "memory", ...). message, remedy: sentences for people.
    details: what a maintainer wants to read (a traceback); empty where there is nothing to add.
    """

    code: str
    message: str
    remedy: str = ""
    details: str = ""


@dataclass(frozen=True)
class Job:
    """One restoration, as it stands.

    owner: who may see it ("visitor:…", "user:…", "local"). batch: shared by the jobs of one batch.
    kind: "full", or a preview: "frame" (one picture) or "clip" (2 s) at `moment_s`.
    stage: as in `pipeline.messages`; "" before it runs. progress: share of all work, 0 to 1.
    queue_position: 1 for the next one to run; None when not queued.
    ran_s: seconds of running, all runs together; limit_s: what the time limit leaves to this run, None for no
        limit.
    result: the finished file; None before. facts: what came out, as in `pipeline.messages.Result`.
    revision: grows with every change.
    Times are Unix seconds.
    """

    id: str
    owner: str
    kind: Kind
    name: str
    input: StoredInput
    options: Options
    state: State
    created_at: float
    revision: int
    batch: str | None = None
    moment_s: float | None = None
    stage: str = ""
    shot: int = 0
    progress: float = 0.0
    frames_done: int = 0
    frames_total: int = 0
    frames_per_s: float | None = None
    left_s: float | None = None
    memory_bytes: int = 0
    peak_bytes: int = 0
    notes: tuple[str, ...] = ()
    queue_position: int | None = None
    started_at: float | None = None
    finished_at: float | None = None
    ran_s: float = 0.0
    limit_s: float | None = None
    result: Path | None = None
    facts: dict[str, Any] | None = None
    error: JobError | None = None
    model: str = ""
    plan: str = ""
    version: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens unless its owner asks for it."""
        return self.state in FINAL_STATES
