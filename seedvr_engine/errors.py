"""The failures a user can meet, each with a sentence and a remedy.

Every error raised on purpose derives from `SeedVRError`. Its message says what happened and what it means;
`remedy` says what to do. The command line prints both and exits with `exit_code`; a page shows them and keeps
the traceback folded away. Anything else that reaches the top is a bug of ours (exit code 1).
"""

from typing import ClassVar


class SeedVRError(Exception):
    """A failure with a sentence for its reader.

    message: what happened and what it means, one sentence.
    remedy: what to do about it, one sentence; empty where nothing can be done.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class UsageError(SeedVRError):
    """Options that contradict each other or make no sense for this input."""

    exit_code = 2
    code = "usage"


class InputError(SeedVRError):
    """A file that is missing, broken, empty, or not something we restore."""

    exit_code = 3
    code = "input"


class CheckpointError(SeedVRError):
    """A checkpoint that is missing, incomplete, changed, or of another model."""

    exit_code = 4
    code = "checkpoint"


class MemoryBudgetError(SeedVRError):
    """Not enough device or host memory, after everything that saves memory was tried."""

    exit_code = 5
    code = "memory"


class OutputError(SeedVRError):
    """No room on the disk, or a place that cannot be written."""

    exit_code = 6
    code = "output"


class SilentHelperError(SeedVRError):
    """A process that shares the work holds a part of it and does not move; everything else is finished."""

    code = "helper"


class TimeLimitError(SeedVRError):
    """The time limit was reached; finished work is kept."""

    exit_code = 7
    code = "time_limit"


class Cancelled(SeedVRError):  # noqa: N818 - the name that callers know
    """Stopped on request; finished work is kept."""

    exit_code = 130
    code = "cancelled"
