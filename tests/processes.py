"""The `seedvr` command in real processes, which can be killed.

Importing torch takes seconds, so the processes are forked from one that has done it already.
"""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Event = dict[str, Any]

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["seedvr_engine.cli", "seedvr_engine.pipeline.restore", __name__])


class Command:
    """`seedvr ARGUMENTS --json` in a process of its own; its output is read as it comes.

    pieces: (latents in a run, frames in a segment) where a tiny clip is to have several of each; every frame
    is then told. errors: a file for what goes to stderr.
    """

    def __init__(self, *arguments: Any, pieces: tuple[int, int] | None = None, errors: Path | None = None):
        reading, writing = PROCESSES.Pipe(duplex=False)
        words = [*map(str, arguments), "--json"]
        self._process = PROCESSES.Process(target=_run, args=(words, pieces, writing, errors), daemon=True)
        self._process.start()
        writing.close()
        self._stdout = open(os.dup(reading.fileno()))  # noqa: SIM115, PTH123 - open as long as the process
        reading.close()
        self.events: list[Event] = []

    def __iter__(self) -> Iterator[Event]:
        """The objects on stdout, as they come; anything else there is an error."""
        for line in self._stdout:
            self.events.append(json.loads(line))
            yield self.events[-1]

    def reach(self, enough: Callable[[Event], bool]) -> Event:
        """Waits for a progress line; fails where the command ends without."""
        for event in self:
            if event["event"] == "progress" and enough(event):
                return event
        raise AssertionError(f"the command ended before: {self.events[-1:]}")

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Ends the process where it stands."""
        self.signal(signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def wait(self) -> int:
        """Reads the rest; returns the exit code."""
        for _ in self:
            pass
        self._process.join()
        self._stdout.close()
        return self._process.exitcode


def _run(words: list[str], pieces: tuple[int, int] | None, stdout: Connection, errors: Path | None) -> None:
    sys.stdout = open(stdout.fileno(), "w")  # noqa: SIM115, PTH123
    if errors is not None:
        sys.stderr = errors.open("w")
        os.dup2(sys.stderr.fileno(), 2)
    if pieces is not None:
        from seedvr_engine.pipeline import counts, progress
        from seedvr_engine.pipeline.stages import encode

        encode.RUN_LATENTS, counts.SEGMENT_FRAMES = pieces
        progress._INTERVAL_S = 0.0
    from seedvr_engine.cli import main

    sys.argv = ["seedvr", *words]
    main()
