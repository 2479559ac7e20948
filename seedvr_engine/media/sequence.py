"""A folder of pictures as one clip."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from seedvr_engine.errors import InputError, UsageError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.media.still import PICTURE_SUFFIXES


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts "frame 2" before "frame 10": runs of digits compare as numbers, the rest as text in any case."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]


def sequence_files(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in natural order; hidden files and other kinds are left out."""
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not a folder.", remedy="Give a folder of pictures, or leave `--sequence` out."
        )
    pictures = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(pictures, key=lambda path: natural_key(path.name))


def probe_sequence(folder: Path, rate: Fraction | int | float | str) -> MediaInfo:
    """Describes a folder of pictures shown `rate` a second.

    Size, depth and colour are those of the first picture; the reader refuses one of another size when it
    comes to it.
    Raises InputError where there is no picture, UsageError for a rate that is not positive.
    """
    try:
        frames_per_second = Fraction(rate).limit_denominator(1001)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise UsageError(
            f"{rate} is no frame rate.", remedy="Give a number such as 25 or 30000/1001."
        ) from error
    if frames_per_second <= 0:
        raise UsageError(f"{rate} is no frame rate.", remedy="Give a number above 0, such as 25.")
    files = sequence_files(folder)
    if not files:
        raise InputError(
            f"{folder} holds no pictures (PNG, JPEG, WebP, TIFF).",
            remedy="Check that this is the right folder.",
        )
    first = probe(files[0])
    return replace(
        first,
        path=folder,
        kind="sequence",
        rate=frames_per_second,
        time_base=1 / frames_per_second,
        duration_s=float(len(files) / frames_per_second),
        frames_estimate=len(files),
        metadata={},
    )
