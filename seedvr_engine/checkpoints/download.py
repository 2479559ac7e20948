"""Fetches checkpoints from the Hugging Face hub, into CKPTS/REPOSITORY/FILE.

What has come stays in a hidden `.NAME.ETAG.part` beside the file, across errors, kills and days, and the
next attempt goes on from there; the file gets its name when it is whole and its hash is right.
(`hf_hub_download` throws away what has come when it fails, which hurts with files of 33 GB.)
"""

import errno
import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import Timeout
from huggingface_hub.utils import WeakFileLock

from seedvr_engine.checkpoints.catalog import CatalogFile, files_to_download, mending_command
from seedvr_engine.checkpoints.hashes import file_sha256, remember_sha256
from seedvr_engine.checkpoints.hub import PassingError, Remote, content, describe
from seedvr_engine.errors import CheckpointError, OutputError
from seedvr_engine.settings import get_settings

OnProgress = Callable[[int, int], None]

_SPARE_BYTES = 1 << 28
_T = TypeVar("_T")


@dataclass(frozen=True)
class Retry:
    """How patiently a download is tried again.

    attempts: failures in a row, with no new byte between them, before giving up.
    first_s, longest_s: the pause doubles from the first to the longest; up to half of it is taken off by
        chance, so that many machines that failed together do not come back together.
    stall_s: silence of the server after which a connection is given up.
    """

    attempts: int = 8
    first_s: float = 1.0
    longest_s: float = 60.0
    stall_s: float = 30.0

    def pause_s(self, failures: int, told_s: float = 0.0) -> float:
        """Seconds to wait after so many failures in a row (1 or more); told_s: what the server asked for."""
        longest = min(self.longest_s, self.first_s * 2.0 ** (failures - 1))
        return max(longest * random.uniform(0.5, 1.0), min(told_s, self.longest_s))


class _WrongContentError(PassingError):
    """All bytes came, and they are not the file's."""


def download_model(
    model: str,
    *,
    official: bool = False,
    root: Path | None = None,
    on_progress: OnProgress | None = None,
    retry: Retry | None = None,
) -> list[Path]:
    """Fetches all that a model needs: DiT, VAE, both text embeddings.

    model: "3b", "7b", "7b-sharp" or "all". official: the authors' float32 files instead of float16.
    root: the checkpoint folder; that of the settings when not given.
    on_progress: (bytes done, bytes in all), over all files together; an exception from it ends the download.
    Returns the paths. Whole files are not fetched again. Raises CheckpointError, OutputError, UsageError.
    """
    root, patience = root or get_settings().ckpts, retry or Retry()
    entries = files_to_download(model, official=official)
    missing = [entry for entry in entries if not _is_known(entry, entry.path_below(root))]
    remotes = [look_up(entry, retry=patience) for entry in missing]
    check_room(root, remotes)
    total, before = sum(remote.size_bytes for remote in remotes), 0
    for remote in remotes:

        def tell(done: int, _: int, before: int = before) -> None:
            if on_progress:
                on_progress(before + done, total)

        download_with_retry(remote, root, on_progress=tell, retry=patience)
        before += remote.size_bytes
    return [entry.path_below(root) for entry in entries]


def look_up(entry: CatalogFile, *, retry: Retry | None = None) -> Remote:
    """Asks the hub for a file's commit, hash and size, more than once if need be. Raises CheckpointError."""
    patience = retry or Retry()
    return _patiently(entry, lambda: describe(entry, stall_s=patience.stall_s), lambda: 0, patience)


def download_with_retry(
    remote: Remote, root: Path, *, on_progress: OnProgress | None = None, retry: Retry | None = None
) -> Path:
    """Fetches one file to `root`/REPOSITORY/FILE, going on after every failure that may pass.

    remote: from `look_up`. on_progress: (bytes done, bytes in all).
    Returns the path; its content has the hash that catalog and hub state. A file of other content that was
    there is replaced when the new one is whole. Raises CheckpointError (refused, wrong content, gave up) and
    OutputError.
    """
    patience = retry or Retry()
    path = remote.entry.path_below(root)
    part = part_path(remote, root)
    with _alone(path):
        if not _is_whole(remote, path):
            fetch = lambda: _fetch(remote, part, on_progress, patience.stall_s)  # noqa: E731
            _patiently(remote.entry, fetch, lambda: _size(part), patience)
            with _writing(path):
                part.replace(path)
            if len(remote.etag) == 64:
                stat = path.stat()
                remember_sha256(path, remote.etag, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)
    return path


def part_path(remote: Remote, root: Path) -> Path:
    """Where what has come of a file is kept until it is whole; another content has another path."""
    path = remote.entry.path_below(root)
    return path.with_name(f".{path.name}.{remote.etag[:16]}.part")


def check_room(root: Path, remotes: Sequence[Remote]) -> None:
    """Raises OutputError unless the disk has room for what is still to come of these files."""
    missing = sum(remote.size_bytes - _size(part_path(remote, root)) for remote in remotes)
    existing = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    if remotes and missing + _SPARE_BYTES > free:
        raise OutputError(
            f"The download needs {missing / 1e9:.1f} GB, and {existing} has {free / 1e9:.1f} GB free.",
            remedy="Make room, or let SEEDVR_CKPTS name a folder on a larger disk.",
        )


def _fetch(remote: Remote, part: Path, on_progress: OnProgress | None, stall_s: float) -> None:
    """Brings `part` from what it holds to the whole file, and checks it. Raises PassingError."""
    checks = _Checks(remote)
    done = checks.read(part)
    if done < remote.size_bytes:
        with content(remote, done, stall_s=stall_s) as (start, pieces):
            if start < done:
                checks = _Checks(remote)
            done = start
            for piece in _written(pieces, part, start):
                checks.update(piece)
                done += len(piece)
                if on_progress and done <= remote.size_bytes:
                    on_progress(done, remote.size_bytes)
        if done < remote.size_bytes:
            raise PassingError("the connection broke off")
    if done > remote.size_bytes or not checks.right():
        part.unlink()
        raise _WrongContentError("what came is not the file that the hub describes")


def _written(pieces: Iterator[bytes], part: Path, start: int) -> Iterator[bytes]:
    """Writes pieces to `part` from byte `start` on and passes them on when they are in the file."""
    with _writing(part):
        file = part.open("ab" if start else "wb", buffering=0)
    with file:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                with _writing(part):
                    rest = rest[file.write(rest) :]
            yield piece
        with _writing(part):
            os.fsync(file.fileno())


class _Checks:
    """Hashes of a file's bytes in order, against what hub and catalog state."""

    def __init__(self, remote: Remote) -> None:
        git = hashlib.sha1(f"blob {remote.size_bytes}\0".encode(), usedforsecurity=False)
        of_hub = hashlib.sha256() if len(remote.etag) == 64 else git
        self._hashes = [(of_hub, remote.etag)]
        if remote.entry.sha256 not in ("", remote.etag):
            self._hashes.append((hashlib.sha256(), remote.entry.sha256))

    def update(self, piece: bytes) -> None:
        """Takes the next bytes."""
        for digest, _ in self._hashes:
            digest.update(piece)

    def read(self, path: Path) -> int:
        """Takes a file's bytes; returns their number, 0 for no file."""
        if not path.is_file():
            return 0
        with path.open("rb") as file:
            while piece := file.read(1 << 22):
                self.update(piece)
            return file.tell()

    def right(self) -> bool:
        """Whether all hashes are as stated."""
        return all(digest.hexdigest() == stated for digest, stated in self._hashes)


def _patiently(
    entry: CatalogFile, attempt: Callable[[], _T], bytes_kept: Callable[[], int], retry: Retry
) -> _T:
    """Tries until it succeeds, or fails `retry.attempts` times without keeping a new byte."""
    failures = wrong = 0
    while True:
        before = bytes_kept()
        try:
            return attempt()
        except PassingError as error:
            trouble = error
        failures = 1 if bytes_kept() > before else failures + 1
        wrong += isinstance(trouble, _WrongContentError)
        if failures >= retry.attempts or wrong == 2:
            again = f"run `{mending_command(entry.model)}` again; it goes on where it stopped"
            remedy = "Check HF_ENDPOINT and proxies." if wrong else f"Check the network, then {again}."
            raise CheckpointError(f"{entry.repository}/{entry.file} did not come: {trouble}.", remedy=remedy)
        time.sleep(retry.pause_s(failures, trouble.told_s))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keeps two processes from writing one file. Raises CheckpointError when another is at it."""
    lock = path.with_name(f".{path.name}.lock")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    try:
        with WeakFileLock(lock, timeout=0.2):
            yield
            lock.unlink(missing_ok=True)
    except Timeout as error:
        raise CheckpointError(
            f"{path} is being downloaded by another process.",
            remedy="Wait until that is done, then try again.",
        ) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns failures of the disk into OutputError."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Make room; the download goes on where it stopped." if full else "Check who may write there."
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.", remedy=remedy) from error


def _is_whole(remote: Remote, path: Path) -> bool:
    """Whether the file that the hub describes is there already."""
    if _size(path) != remote.size_bytes:
        return False
    if len(remote.etag) == 64:
        return file_sha256(path) == remote.etag
    checks = _Checks(remote)
    checks.read(path)
    return checks.right()


def _is_known(entry: CatalogFile, path: Path) -> bool:
    """Whether the file of the catalog is there. Hashes it if that was not done before."""
    right_size = path.is_file() and entry.size_bytes in (None, path.stat().st_size)
    return right_size and bool(entry.sha256) and file_sha256(path) == entry.sha256


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
