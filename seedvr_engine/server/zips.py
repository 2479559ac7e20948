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
    """The bytes of a ZIP that holds files under their own names, uncompressed: video does not shrink.

    A file that vanished meanwhile is left out.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            if not path.is_file():
                continue
            entry = zipfile.ZipInfo.from_file(path, path.name)
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=True) as place:
                while piece := file.read(_PIECE_BYTES):
                    place.write(piece)
                    yield pipe.take()
    yield pipe.take()
