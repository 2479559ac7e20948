"""A clip written as a folder of numbered PNG files, with the time of each in a text file beside them."""

import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seedvr_engine.media.opening import output_errors
from seedvr_engine.media.sequence import natural_key
from seedvr_engine.media.still import write_still
from seedvr_engine.media.target import Target

TIMES = "timestamps.txt"
_TIMES_HEAD = "# timestamp format v2"


class PictureFolder:
    """Writes frames as 000001.png, 000002.png, ... into a folder made for them."""

    def __init__(self, folder: Path, target: Target, comment: str = "") -> None:
        remove(folder)
        folder.mkdir()
        self._folder, self._target, self._comment = folder, target, comment
        self._times: list[float] = []

    def write(self, rgb: NDArray, time: Fraction) -> None:
        """rgb: (H, W, 3), uint8 or uint16 (kept with 16 bits); time: seconds."""
        depth = 16 if rgb.dtype == np.uint16 and self._target.bit_depth > 8 else 8
        path = self._folder / _name(len(self._times))
        write_still(path, rgb, self._target.quality, bit_depth=depth, comment=self._comment)
        self._times.append(float(time * 1000))

    def close(self, *, whole: bool = True) -> None:
        """Writes the times, in milliseconds, where the pictures are all there."""
        if whole:
            _write_times(self._folder, self._times)


def join_pictures(segments: Sequence[Path], output: Path, start: Fraction) -> None:
    """Gathers the pictures of several folders in one, numbered on, times counted from `start` seconds.

    Pictures are linked or copied, so that the segments stay whole until the output is.
    """
    part = output.with_name(output.name + ".part")
    times: list[float] = []
    with output_errors(output):
        remove(part)
        part.mkdir()
        try:
            for segment in segments:
                for picture in sorted(segment.glob("*.png"), key=lambda path: natural_key(path.name)):
                    _link_or_copy(picture, part / _name(len(times)))
                    times.append(0.0)
                own = (segment / TIMES).read_text().split("\n")[1:]
                own_times = [float(line) - float(start * 1000) for line in own if line]
                times[len(times) - len(own_times) :] = own_times
            _write_times(part, times)
            remove(output)
            part.replace(output)
        finally:
            remove(part)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _name(index: int) -> str:
    return f"{index + 1:06d}.png"


def _link_or_copy(source: Path, destination: Path) -> None:
    try:
        destination.hardlink_to(source)
    except OSError:  # Another disk, or one without links.
        shutil.copyfile(source, destination)


def _write_times(folder: Path, times: Sequence[float]) -> None:
    lines = [_TIMES_HEAD, *(f"{time:.6f}" for time in times)]
    (folder / TIMES).write_text("\n".join(lines) + "\n")
