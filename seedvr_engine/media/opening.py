"""Opening files without trusting them.

libav is handed one open file and nothing else: it can reach neither the network nor any other path, whatever
the file claims to be. A playlist, a concat script or a movie with external references therefore fails, and
is named.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer

from seedvr_engine.errors import InputError, OutputError

MAX_SIDE = 16384
_SNIFF_BYTES = 4096
_READ_BUFFER_BYTES = 1 << 18
_POINTER_FORMATS = {"hls", "concat", "dash", "imf", "sdp", "rtsp", "image2", "concatf", "ffmetadata"}
_POINTER_MARKS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"<CompositionPlaylist", b"<smil", b"[playlist]", b"v=0")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_POINTS_ELSEWHERE_REMEDY = "Give the video file itself; playlists and references are not followed."


class _OnlyThisFileError(OSError):
    """Raised inside libav when a file asks for another one."""


class _LocalFile:
    """An open file as libav sees it: nameless, so that its content alone says what it is."""

    name = "input"

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def _refuse(url: str, flags: int, options: Mapping[str, str]) -> Any:
    raise _OnlyThisFileError(url)


def check_file(path: Path) -> None:
    """Raises InputError unless `path` is a readable, regular, non-empty file and no playlist."""
    if not path.exists():
        raise InputError(f"{path} does not exist.", remedy="Check the spelling and the folder.")
    if path.is_dir():
        raise InputError(
            f"{path} is a folder, not a file.",
            remedy="Give a file, or add `--sequence FPS` to take a folder of pictures as one clip.",
        )
    if not path.is_file():
        raise InputError(f"{path} is not a regular file.", remedy="Copy the clip into a file first.")
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFF_BYTES)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}.", remedy="Check its permissions and its disk."
        ) from error
    if not head:
        raise InputError(f"{path.name} is empty (0 bytes).", remedy="Copy or download it again.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(_POINTER_MARKS) or (
        text.startswith(b"<?xml") and any(m in head for m in _POINTER_MARKS)
    ):
        raise InputError(
            f"{path.name} is a playlist that points to other files.", remedy=_POINTS_ELSEWHERE_REMEDY
        )


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Opens a local media file for reading and closes it afterwards.

    Raises InputError for a missing, empty, foreign or damaged file and for one that points to other files.
    """
    check_file(path)
    file = _LocalFile(path)
    try:
        container = _open(path, file)
        try:
            yield container
        finally:
            container.close()
    finally:
        file.close()


def _open(path: Path, file: _LocalFile) -> InputContainer:
    try:
        container = av.open(
            file,
            "r",
            options={"protocol_whitelist": "file"},
            buffer_size=_READ_BUFFER_BYTES,
            io_open=_refuse,
            metadata_errors="replace",
        )
    except (_OnlyThisFileError, av.error.PermissionError) as error:
        raise InputError(f"{path.name} points to other files.", remedy=_POINTS_ELSEWHERE_REMEDY) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(
            f"{path.name} is no video or picture that can be read, or it was cut off before its index.",
            remedy=f"If it plays elsewhere, mend it with `ffmpeg -i {path.name} -c copy mended.mkv`.",
        ) from error
    if _POINTER_FORMATS & set(container.format.name.split(",")):
        container.close()
        raise InputError(f"{path.name} points to other files.", remedy=_POINTS_ELSEWHERE_REMEDY)
    return container


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turns failures of the disk while `path` is written into OutputError."""
    try:
        yield
    except OSError as error:  # PyAV's errors for system failures are OSErrors too.
        if error.errno in _NO_SPACE:
            raise OutputError(
                f"No space is left for {path.name} in {path.parent}.",
                remedy="Free some space or choose another folder with -o, then run the same command again.",
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}:
            raise OutputError(
                f"{path} cannot be written: {os.strerror(error.errno)}.",
                remedy="Choose a folder that exists and that you may write to, with -o.",
            ) from error
        raise OutputError(
            f"Writing {path.name} failed: {error}.",
            remedy="Check the disk, or choose another format with -o.",
        ) from error
