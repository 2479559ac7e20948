"""One ZIP of many files, made while it is sent: nothing is stored twice, and memory stays small."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

_PIECE_BYTES = 1 << 20


class _Pipe:
    """A file that can only be written; what was written is taken out again."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        """All that was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zip_stream(paths: Sequence[Path]) -> Iterator[bytes]:
    """The bytes of a ZIP that holds files, and folders of files, under their own names.

    Uncompressed: neither video nor PNG shrinks. A file that vanished meanwhile is left out.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for path, name in _named(paths):
            if not path.is_file():
                continue
            entry = zipfile.ZipInfo.from_file(path, name)
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=True) as place:
                while piece := file.read(_PIECE_BYTES):
                    place.write(piece)
                    yield pipe.take()
    yield pipe.take()


def _named(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Files and what they are called in the ZIP."""
    for path in paths:
        if path.is_dir():
            yield from ((file, f"{path.name}/{file.name}") for file in sorted(path.iterdir()))
        else:
            yield path, path.name
