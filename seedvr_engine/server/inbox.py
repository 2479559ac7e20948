"""Files that lie on the machine already, in the folder that SEEDVR_INPUTS names, and nowhere else."""

import mimetypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seedvr_engine.media.still import PICTURE_SUFFIXES
from seedvr_engine.server.answers import NotFoundError

_MOST = 1000
# Containers that mimetypes does not know on every system.
_SUFFIXES = PICTURE_SUFFIXES | {".mkv", ".mov", ".mxf", ".ts", ".mts", ".m2ts", ".vob", ".dv", ".y4m", ".flv"}


@dataclass(frozen=True)
class InboxFile:
    """name: the path below the inbox, with "/". modified_at: Unix seconds."""

    name: str
    bytes: int
    modified_at: float


class Inbox:
    """folder: need not exist. Nothing outside of it can be named: neither by ".." nor by a link in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self) -> list[InboxFile]:
        """Videos and pictures in it, at any depth, the newest first; the first thousand of them."""
        found = []
        for path in self._walk():
            if _is_media(path) and self._is_inside(path):
                stat = path.stat()
                found.append(
                    InboxFile(path.relative_to(self._folder).as_posix(), stat.st_size, stat.st_mtime)
                )
            if len(found) == _MOST:
                break
        return sorted(found, key=lambda file: file.modified_at, reverse=True)

    def path(self, name: str) -> Path:
        """Where a file of the inbox lies. Raises NotFoundError for everything else."""
        path = self._folder / name
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if "\0" in name or hidden or not self._is_inside(path) or not path.is_file():
            raise NotFoundError(
                f"There is no {name!r} in the inbox.",
                remedy="Put it into the folder that SEEDVR_INPUTS names.",
            )
        return path

    def _walk(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))

    def _is_inside(self, path: Path) -> bool:
        try:
            return path.resolve(strict=True).is_relative_to(self._folder.resolve())
        except (OSError, ValueError):
            return False


def _is_media(path: Path) -> bool:
    kind, _ = mimetypes.guess_type(path.name)
    return path.suffix.lower() in _SUFFIXES or (kind or "").startswith(("video/", "image/"))
