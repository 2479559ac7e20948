"""What a restoration looks like in a terminal, or to a program that reads JSON lines."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from seedvr_engine.errors import SeedVRError
from seedvr_engine.pipeline.messages import Progress, Result


class Reporter(Protocol):
    """Tells a person or a program what happens to each input; without one, to the whole command."""

    def begin(self, source: Path) -> None: ...
    def progress(self, progress: Progress) -> None: ...
    def done(self, source: Path, result: Result) -> None: ...
    def skipped(self, source: Path, output: Path) -> None: ...
    def failed(self, source: Path | None, error: SeedVRError) -> None: ...
    def summary(self, done: int, skipped: int, failed: int) -> None: ...
    def close(self) -> None: ...


class JsonLines:
    """One JSON object a line on stdout; nothing else goes there."""

    def begin(self, source: Path) -> None:
        self._write("begin", input=str(source))

    def progress(self, progress: Progress) -> None:
        self._write("progress", **progress.as_dict())

    def done(self, source: Path, result: Result) -> None:
        self._write("done", input=str(source), **result.as_dict())

    def skipped(self, source: Path, output: Path) -> None:
        self._write("skipped", input=str(source), output=str(output))

    def failed(self, source: Path | None, error: SeedVRError) -> None:
        name = None if source is None else str(source)
        self._write("failed", input=name, code=error.code, message=error.message, remedy=error.remedy)
        print(error, file=sys.stderr)

    def summary(self, done: int, skipped: int, failed: int) -> None:
        self._write("summary", done=done, skipped=skipped, failed=failed)

    def close(self) -> None:
        sys.stdout.flush()

    @staticmethod
    def _write(event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), flush=True)


@dataclass
class Terminal:
    """A bar with shot, stage, frames, frames per second and time left; sentences for everything else."""

    console: Console = field(default_factory=lambda: Console(stderr=True, soft_wrap=True, highlight=False))

    def __post_init__(self) -> None:
        self._bar: Bar | None = None
        self._told: tuple[str, ...] = ()

    def begin(self, source: Path) -> None:
        self._told = ()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
            console=self.console,
            transient=True,
        )
        self._task = self._bar.add_task(escape(source.name), total=1.0, facts="starting")
        self._bar.start()

    def progress(self, progress: Progress) -> None:
        for note in progress.notes[len(self._told) :]:
            self.console.print(escape(note))
        self._told = progress.notes
        assert self._bar is not None
        self._bar.update(self._task, completed=progress.done, facts=facts_of(progress))

    def done(self, source: Path, result: Result) -> None:
        self.close()
        for warning in (sentence for sentence in result.warnings if sentence not in self._told):
            self.console.print(f"[yellow]Note:[/] {escape(warning)}")
        frames = "a picture" if result.frames == 1 else f"{result.frames} frames"
        self.console.print(
            f"[green]Done:[/] {escape(str(result.output))}, {frames} of {result.width}x{result.height} "
            f"in {clock(result.elapsed_s)}."
        )

    def skipped(self, source: Path, output: Path) -> None:
        self.console.print(f"Skipped: {escape(source.name)}, as {escape(str(output))} is there.")

    def failed(self, source: Path | None, error: SeedVRError) -> None:
        self.close()
        self.console.print(f"[red]{escape(error.message)}[/] {escape(error.remedy)}".rstrip())

    def summary(self, done: int, skipped: int, failed: int) -> None:
        self.console.print(f"{done} restored, {skipped} skipped, {failed} failed.")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def facts_of(progress: Progress) -> str:
    """The part of a progress line that changes: shot, stage, frames, speed, time left."""
    facts = [
        f"shot {progress.shot + 1}, {progress.stage}",
        f"{progress.frames_done} of {progress.frames_total} frames",
    ]
    if progress.frames_per_s is not None:
        facts.append(f"{progress.frames_per_s:.2f} frames/s")
    if progress.left_s is not None:
        facts.append(f"{clock(progress.left_s)} left")
    return " · ".join(facts)


def clock(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
