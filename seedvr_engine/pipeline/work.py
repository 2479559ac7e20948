"""Finished work on disk, so that nothing of it is done twice.

A hidden folder beside the output, named by a hash of input, options, model and version:

    state.json                              the shots found so far, and what was wrong with the input
    lock                                    held by the process that owns the restoration
    shot-000000.lock                        held by the process, owner or helper, that takes the shot further
    over                                    told helpers, when it was written, to stop
    shot-000000/condition/000000-000016     latents of the condition, in runs
    shot-000000/restored/000000-000033      latents of one pass of the transformer
    segments/000000000                      encoded output, one file (or folder) for each run of frames; an
                                            empty folder where a lower frame rate leaves all of them out

Every file gets its name when it is whole; what has its name is finished.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from seedvr_engine.errors import UsageError
from seedvr_engine.media.opening import output_errors
from seedvr_engine.media.whole import give_name

_HASHED_BYTES = 2**20
_KEPT_S = 7 * 24 * 3600
_SIGN_S = 10.0


@dataclass
class Shot:
    """Frames between two cuts. first: number in the file. frames: how many; None until its end was seen."""

    first: int
    frames: int | None = None


def work_key(source: Path, *facts: Any) -> str:
    """Names the work on one input with one set of facts (options, model, version): 16 hexadecimal digits.

    source: a file, told by size, time and its first and last megabyte, or a folder, by names, sizes and
        times.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    if source.is_dir():
        for path in sorted(source.iterdir()):
            digest.update(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]
    size = source.stat().st_size
    digest.update(f"{size} {source.stat().st_mtime_ns}".encode())
    with source.open("rb") as file:
        digest.update(file.read(_HASHED_BYTES))
        file.seek(max(0, size - _HASHED_BYTES))
        digest.update(file.read(_HASHED_BYTES))
    return digest.hexdigest()[:16]


def other_work(output: Path, key: str) -> str:
    """Clears away what earlier restorations to this output, with other choices, have left unfinished.

    After a week nobody comes back to it and it goes; younger work stays.
    Returns a sentence about what stays, empty where nothing does.
    """
    pattern = re.compile(re.escape(f".{output.name}.") + "[0-9a-f]{16}")
    folders = [path for path in output.parent.iterdir() if pattern.fullmatch(path.name) and path.is_dir()]
    stay = [path for path in folders if not path.name.endswith(key) and not _cleared(path)]
    if not stay:
        return ""
    size = sum(_bytes(path) for path in stay)
    return (
        f"Unfinished work of other choices for this output takes {size / 1e6:.0f} MB in {output.parent} "
        f"({', '.join(path.name for path in stay)}); it is removed a week after its last use."
    )


def _cleared(folder: Path) -> bool:
    """Removes a folder that is a week old and in nobody's hands."""
    with suppress(OSError):
        if time.time() - (folder / "state.json").stat().st_mtime < _KEPT_S:
            return False
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
            return True
    return False


def _bytes(folder: Path) -> int:
    total = 0
    # Helpers of an earlier run may still remove something here; os.walk does not mind.
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(place) / name).stat().st_size
    return total


class Work:
    """The folder of one restoration; made when there is something to keep.

    as_helper: another process owns it and saves what shots there are (`pipeline.sharing`).
    finished: numbers of the shots whose segments were all seen. stretch_latents: of the owner's plan.
    Raises OutputError where it cannot be written, UsageError where it has an owner already.
    """

    def __init__(self, output: Path, key: str, *, as_helper: bool = False) -> None:
        self.key = key
        self.folder = output.parent / f".{output.name}.{key}"
        self.shots: list[Shot] = []
        self.finished: set[int] = set()
        self.ended = False
        self.stretch_latents: int | None = None
        self.warnings: list[str] = []
        self._state = self.folder / "state.json"
        self._lock: IO[str] | None = None
        self._held: Path | None = None
        self._next_sign = 0.0
        if self.folder.is_dir() and not as_helper:
            self._hold()
        self.load()

    def load(self) -> None:
        """Reads the shots found so far."""
        # A state that a power cut left unreadable is found anew; latents and segments beside it still hold.
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            state = json.loads(self._state.read_text())
            self.shots, self.ended = [Shot(**shot) for shot in state["shots"]], state["ended"]
            self.warnings, self.stretch_latents = state["warnings"], state.get("stretch_latents")

    def _hold(self) -> None:
        """Keeps other processes out until this one ends. Raises UsageError where one is in."""
        with output_errors(self.folder):
            self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise UsageError(
                "The same restoration is running already.", remedy="Wait for it, or choose another output."
            ) from error

    def save(self) -> None:
        """Writes the shots found so far."""
        shots = [asdict(shot) for shot in self.shots]
        state = {"shots": shots, "ended": self.ended, "warnings": self.warnings}
        state["stretch_latents"] = self.stretch_latents
        part = self._state.with_suffix(".part")
        with output_errors(self._state):
            (self.folder / "segments").mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                self._hold()
            part.write_text(json.dumps(state))
            give_name(part, self._state)

    @contextmanager
    def holding(self, shot: int) -> Iterator[bool]:
        """Keeps other processes off a shot meanwhile; False where one of them holds it."""
        path = self._shot_folder(shot).with_suffix(".lock")
        with output_errors(path):
            # Its time is the holder's sign of life, which opening it must not change.
            lock = path.open("a")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            self._held, self._next_sign = path, 0.0
            try:
                self.show_life()
                yield True
            finally:
                self._held = None

    def show_life(self) -> None:
        """To be called between steps of work: tells others that whoever holds a shot gets on with it."""
        if self._held is not None and time.monotonic() >= self._next_sign:
            self._next_sign = time.monotonic() + _SIGN_S
            with suppress(FileNotFoundError):
                os.utime(self._held)

    def silent_s(self, shot: int) -> float:
        """Seconds since whoever holds a shot has shown life."""
        return time.time() - self._shot_folder(shot).with_suffix(".lock").stat().st_mtime

    def dismiss_helpers(self) -> None:
        """Helpers are to stop."""
        with suppress(OSError):
            (self.folder / "over").touch()

    def is_over(self, since: float) -> bool:
        """Whether helpers that have been there since then (Unix seconds) are to stop."""
        try:
            return (self.folder / "over").stat().st_mtime > since
        except FileNotFoundError:
            return False

    def is_held(self, shot: int) -> bool:
        """Whether another process, or another part of this one, holds a shot now."""
        with self.holding(shot) as is_mine:
            return not is_mine

    def condition(self, shot: int) -> "Latents":
        """The condition latents of a shot."""
        return Latents(self._shot_folder(shot) / "condition")

    def restored(self, shot: int) -> "Latents":
        """The restored latents of a shot, one run for each stretch; stretches may share latents."""
        return Latents(self._shot_folder(shot) / "restored")

    def segment(self, first_frame: int) -> Path:
        """Where the segment that begins with this frame of the file belongs."""
        return self.folder / "segments" / f"{first_frame:09d}"

    def segments(self) -> list[Path]:
        """All finished segments that hold frames, in order."""
        found = (self.folder / "segments").glob("*")
        return sorted(path for path in found if re.fullmatch(r"\d{9}", path.name) and not _is_empty(path))

    def keep_empty(self, segment: Path) -> None:
        """Keeps that no frame of a segment is shown."""
        with output_errors(segment):
            segment.mkdir()

    def forget_latents(self, shot: int) -> None:
        """Frees the disk of latents that nothing needs any more."""
        shutil.rmtree(self._shot_folder(shot), ignore_errors=True)

    def close(self) -> None:
        """Lets other processes in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def bytes(self) -> int:
        """Size of all that is kept."""
        return _bytes(self.folder)

    def remove(self) -> None:
        """Removes everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def remove_if_empty(self) -> None:
        """Removes the folder where nothing in it would save any work."""
        if not any(self.folder.glob("shot-*/*/*.safetensors")) and not self.segments():
            self.remove()

    def _shot_folder(self, shot: int) -> Path:
        return self.folder / f"shot-{shot:06d}"


def _is_empty(segment: Path) -> bool:
    return segment.is_dir() and not any(segment.iterdir())


class Latents:
    """Latents (T, H, W, C) of a shot on disk, in runs that are written once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def runs(self) -> list[tuple[int, int]]:
        """Finished runs (start, stop), in order."""
        try:
            stems = [path.stem for path in self._folder.glob("*.safetensors")]
        except FileNotFoundError:  # Removed meanwhile, by the process that has finished the shot.
            return []
        return sorted((int(start), int(stop)) for start, stop in (stem.split("-") for stem in stems))

    def contiguous(self) -> int:
        """How many latents there are without a gap, counted from the first."""
        end = 0
        for start, stop in self.runs():
            if start > end:
                break
            end = max(end, stop)
        return end

    def write(self, start: int, latents: Tensor) -> None:
        """Keeps a run (T, H, W, C); it counts once it is whole."""
        path = self._path(start, start + len(latents))
        part = path.with_suffix(".part")
        with output_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with _system_errors():
                    save_file({"latents": latents.contiguous().cpu()}, part)
                give_name(part, path)
            finally:
                part.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forgets all runs."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def read(self, start: int, stop: int) -> Tensor:
        """Latents start to stop; where runs share latents, they fade from the earlier into the later run."""
        out: Tensor | None = None
        filled, before = start, 0
        for run, begin, latents in self._covering(start, stop):
            if begin > filled:
                break
            if out is None:
                out = latents.new_empty((stop - start, *latents.shape[1:]))
            shared = min(max(0, filled - begin), len(latents))
            here = out[begin - start : begin - start + len(latents)]
            here[shared:] = latents[shared:]
            here[:shared] = faded(here[:shared], latents[:shared], begin - run[0], before - run[0])
            filled, before = max(filled, begin + len(latents)), max(before, run[1])
        if out is None or filled < stop:
            raise ValueError(f"latents {filled} to {stop} of {self._folder} are not there")
        return out

    def _covering(self, start: int, stop: int) -> Iterator[tuple[tuple[int, int], int, Tensor]]:
        """(a run, start of its part that is asked for, that part); no more than the part is read."""
        for run_start, run_stop in self.runs():
            begin, end = max(start, run_start), min(stop, run_stop)
            if begin < end:
                with safe_open(self._path(run_start, run_stop), "pt") as file:
                    yield (
                        (run_start, run_stop),
                        begin,
                        file.get_slice("latents")[begin - run_start : end - run_start],
                    )

    def _path(self, start: int, stop: int) -> Path:
        return self._folder / f"{start:06d}-{stop:06d}.safetensors"


def faded(earlier: Tensor, later: Tensor, first: int, shared: int) -> Tensor:
    """From the earlier run into the later one, evenly over the latents that they share.

    earlier, later: (T, H, W, C), the same latents of both. first: of these, counted from the later run's
        start. shared: how many latents the runs share in all.
    """
    steps = torch.arange(first + 1, first + 1 + len(later), dtype=torch.float32)
    weight = (steps / (shared + 1)).view(-1, 1, 1, 1)
    return torch.lerp(earlier.float(), later.float(), weight).to(later.dtype)


@contextmanager
def _system_errors() -> Iterator[None]:
    """safetensors tells of a full disk in words alone; what called it wants the system's number."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error)) from error
