"""What a command line names: files, and everything worth restoring in folders, and where results go."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seedvr_engine.errors import InputError, UsageError
from seedvr_engine.media.opening import output_errors
from seedvr_engine.media.still import PICTURE_SUFFIXES

VIDEO_SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".m2ts"),
    *(".mts", ".3gp", ".ogv", ".vob", ".dv", ".mxf", ".gif", ".asf", ".f4v", ".y4m", ".nut"),
}
_RESTORED = "_restored"


@dataclass(frozen=True)
class Source:
    """One input.

    below: its folder inside of the folder that was named; None where the file itself was. name: what its
    result is named after; None for its own name without the suffix.
    """

    path: Path
    below: Path | None = None
    name: str | None = None


def named_sources(inputs: Sequence[Path], *, as_sequences: bool, into_folder: bool = False) -> list[Source]:
    """Every named file, and every video and picture at any depth of a named folder.

    as_sequences: a folder of pictures is one clip. into_folder: results come together in one folder, those of
    a named folder in the folders that they had. Hidden files and what an earlier run restored are left
    out. Raises InputError for a folder with nothing in it.
    """
    found: list[Source] = []
    for path in inputs:
        found += _inside(path) if path.is_dir() and not as_sequences else [Source(path)]
    if as_sequences:
        return found
    return _told_apart(_told_apart(found), by_folder=True) if into_folder else _told_apart(found)


def _told_apart(sources: Sequence[Source], *, by_folder: bool = False) -> list[Source]:
    """Names results that would get the same name.

    `a.mov` and `a.mp4` of one folder get their suffixes; by_folder: `1990/a.mp4` and `1991/a.mp4`, which come
    together, the names of their folders.
    """

    def result(source: Source) -> tuple[Path, str]:
        place = (source.below or Path()) if by_folder else source.path.parent
        return place, source.name or source.path.stem

    together = Counter(map(result, {source.path: source for source in sources}.values()))

    def named(source: Source) -> Source:
        place, name = result(source)
        if together[place, name] == 1:
            return source
        return replace(source, name=f"{source.path.parent.name}_{name}" if by_folder else source.path.name)

    return [named(source) for source in sources]


def _inside(folder: Path) -> list[Source]:
    suffixes = VIDEO_SUFFIXES | PICTURE_SUFFIXES
    media = [path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file()]
    if not media:
        raise InputError(
            f"The folder {folder} holds no video and no picture.",
            remedy="Name a folder that does, or use --sequence FPS for pictures that are one clip.",
        )
    below = (path.relative_to(folder) for path in sorted(media))
    return [Source(folder / path, path.parent) for path in below if not _is_passed_over(path)]


def _is_passed_over(path: Path) -> bool:
    # A clip that was restored to pictures is a folder with that name.
    return any(part.startswith(".") or Path(part).stem.endswith(_RESTORED) for part in path.parts)


def is_batch(inputs: Sequence[Path], output: Path | None, *, as_sequences: bool) -> bool:
    """Whether `output` can only be a folder to put results in."""
    several = len(inputs) > 1 or (not as_sequences and any(path.is_dir() for path in inputs))
    return several and output is not None


def folder_for(source: Source, output: Path) -> Path:
    """The folder in which a batch puts the result of an input; made if need be.

    Raises UsageError where `output` is one file, OutputError where it cannot be made.
    """
    if output.suffix and not output.is_dir():
        raise UsageError(
            f"{output} is one file, and there are several inputs.", remedy="Name a folder with `-o`."
        )
    folder = output / (source.below or Path())
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder
