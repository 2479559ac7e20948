"""Uploads: pieces that grow to a file, and what became of it.

$SEEDVR_DATA/uploads holds, for each, ID.part (what has come) and ID.json (whose it is, its name and size).
The offset of an upload is the size of its file and nothing else: after a kill in the middle of a request the
next piece joins where the file ends. A number kept beside the file would be older than the file.
"""

import json
import logging
import re
import secrets
import shutil
import threading
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from seedvr_engine.errors import InputError, OutputError, SeedVRError
from seedvr_engine.jobs.errors import NotReadyError
from seedvr_engine.jobs.messages import JobError, StoredInput
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.server.answers import NotFoundError, TooLargeError
from seedvr_engine.settings import Settings

_LOG = logging.getLogger(__name__)
_STALE_S = 86400
_FORGET_S = 30 * 86400
_SPARE_BYTES = 1 << 28
# A proxy gives up on an answer after 100 s.
_PATIENCE_S = 60


@dataclass(frozen=True)
class Upload:
    """A file on its way, or taken in.

    size, offset: bytes of the file, and how many of them have come.
    input: what it was taken in as; None before. problem: why it was not taken in.
    """

    id: str
    owner: str
    name: str
    size: int
    offset: int = 0
    input: StoredInput | None = None
    problem: JobError | None = None

    @property
    def complete(self) -> bool:
        """Whether all bytes have come."""
        return self.offset == self.size


class Uploads:
    """All uploads of a server. Thread-safe, but for two writers of one upload (see `tus`)."""

    def __init__(self, settings: Settings, processor: SeedVRProcessor) -> None:
        self._folder = settings.data / "uploads"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._max_bytes = settings.max_upload_bytes
        self._processor = processor
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="take-in")
        self._taking: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def create(self, owner: str, name: str, size: int) -> Upload:
        """Begins an upload. size: bytes. Raises TooLargeError, OutputError."""
        self.check_size(size)
        free = shutil.disk_usage(self._folder).free
        if size + _SPARE_BYTES > free:
            raise OutputError(
                f"The server has {free / 1e9:.1f} GB left, and the file has {size / 1e9:.1f} GB.",
                remedy="Delete results that are no longer needed, then try again.",
            )
        upload = Upload(secrets.token_hex(16), owner, clean_name(name), size)
        with _told_as_output():
            self._part(upload.id).touch(mode=0o600)
        self._write(upload)
        return upload

    def check_size(self, size: int) -> None:
        """Raises TooLargeError for a file that is larger than this server takes."""
        if self._max_bytes and size > self._max_bytes:
            raise TooLargeError(
                f"The file has {size / 1e9:.2f} GB; this server takes {self._max_bytes / 1e9:.2f} GB.",
                remedy="Cut it, or ask whoever runs the server to raise SEEDVR_MAX_UPLOAD.",
            )

    def get(self, owner: str, id: str) -> Upload:
        """Raises NotFoundError where there is none, or it is somebody else's."""
        upload = self._read(id)
        if upload is None or upload.owner != owner:
            raise NotFoundError(
                "There is no such upload; what stops arriving for a day is removed.",
                remedy="Upload it again.",
            )
        return upload

    def append(self, id: str, piece: bytes | bytearray) -> None:
        """Adds bytes at the end of what has come. Raises OutputError when the disk is full."""
        with _told_as_output(), self._part(id).open("ab", buffering=0) as file:
            rest = memoryview(piece)
            while rest:
                rest = rest[file.write(rest) :]

    def remove(self, owner: str, id: str) -> None:
        """Forgets an upload and what has come of it. Raises NotFoundError."""
        self.get(owner, id)
        self._remove(id)

    def take_in(self, upload: Upload) -> None:
        """Hands a file that is whole to the processor, in the background: reading it can take minutes."""
        with self._lock:
            if upload.id not in self._taking:
                self._taking[upload.id] = self._pool.submit(self._take_in, upload)

    def stored_input(self, owner: str, id: str) -> StoredInput:
        """What an upload was taken in as; waits for that for a minute.

        Raises NotFoundError, NotReadyError (not all has come), and what was wrong with the file.
        """
        upload = self.get(owner, id)
        if not upload.complete:
            share = f"{upload.offset:,} of {upload.size:,} bytes"
            raise NotReadyError(f"The upload is not complete: {share}.", remedy="Wait until it is.")
        with self._lock:
            future = self._taking.get(id)
        if future is not None:
            try:
                future.result(_PATIENCE_S)
            except TimeoutError as error:
                raise NotReadyError(
                    "The file is still being read.", remedy="Ask again in a minute."
                ) from error
            upload = self.get(owner, id)
        if upload.problem is not None:
            raise _as_error(upload.problem)
        if upload.input is None:
            raise NotReadyError("The file is still being read.", remedy="Ask again in a minute.")
        return upload.input

    def recover(self) -> None:
        """After a start: takes in what was whole and was not taken in before the end."""
        for path in self._folder.glob("*.json"):
            upload = self._read(path.stem)
            if upload and upload.complete and upload.input is None and upload.problem is None:
                self.take_in(upload)

    def sweep(self) -> None:
        """Removes what nobody has added to for a day, and what is known of taken-in files after a month."""
        for path in [*self._folder.glob("*.json"), *self._folder.glob("*.part")]:
            upload = self._read(path.stem)
            taken_in = upload is not None and upload.input is not None
            quiet_s = time.time() - max(map(_changed_at, (path, self._part(path.stem))))
            if quiet_s > (_FORGET_S if taken_in else _STALE_S):
                self._remove(path.stem)

    def close(self) -> None:
        """Waits for files that are being taken in."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take_in(self, upload: Upload) -> None:
        part = self._part(upload.id)
        try:
            stored = self._processor.add_input(part, upload.name, move=True, holder=_holder(upload.id))
            done = replace(upload, input=stored)
        except SeedVRError as error:
            done = replace(upload, problem=JobError(error.code, error.message, error.remedy))
        except Exception as error:
            _LOG.exception("An upload could not be taken in")
            done = replace(upload, problem=JobError("internal", f"The file could not be read: {error}."))
        if self._facts(upload.id).exists():
            self._write(done)
        elif done.input:
            # Cancelled meanwhile.
            self._processor.release_input(done.input.hash, _holder(upload.id))
        part.unlink(missing_ok=True)
        with self._lock:
            self._taking.pop(upload.id, None)

    def _part(self, id: str) -> Path:
        return self._folder / f"{_checked(id)}.part"

    def _facts(self, id: str) -> Path:
        return self._folder / f"{_checked(id)}.json"

    def _read(self, id: str) -> Upload | None:
        upload = self._read_facts(id)
        if upload is None or upload.input or upload.problem:
            return upload
        try:
            return replace(upload, offset=self._part(id).stat().st_size)
        except FileNotFoundError:
            # Just now it was handed over; what became of it is written before that counts as finished.
            with self._lock:
                is_taken = id in self._taking
            return replace(upload, offset=upload.size) if is_taken else self._read_facts(id)

    def _read_facts(self, id: str) -> Upload | None:
        """What is written of an upload; its offset is that of a whole one, or 0."""
        try:
            facts = json.loads(self._facts(id).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        stored, problem = facts.pop("input"), facts.pop("problem")
        upload = Upload(
            **facts,
            input=StoredInput(**{**stored, "path": Path(stored["path"])}) if stored else None,
            problem=JobError(**problem) if problem else None,
        )
        return replace(upload, offset=upload.size) if stored or problem else upload

    def _write(self, upload: Upload) -> None:
        facts: dict[str, Any] = asdict(upload)
        del facts["offset"]
        path = self._facts(upload.id)
        fresh = path.with_suffix(".new")
        with _told_as_output():
            fresh.write_text(json.dumps(facts, default=str), encoding="utf-8")
            fresh.replace(path)

    def _remove(self, id: str) -> None:
        upload = self._read(id)
        if upload and upload.input:
            self._processor.release_input(upload.input.hash, _holder(id))
        for path in (self._facts(id), self._part(id)):
            path.unlink(missing_ok=True)


def clean_name(name: str) -> str:
    """A file's name as people may see it: no folders, no control characters, 200 characters at most."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C").strip()
    return (printable or "upload")[-200:]


def _checked(id: str) -> str:
    """An id as it can stand in a path; one that is none of ours becomes one that nothing has."""
    return id if re.fullmatch(r"[0-9a-f]{32}", id) else "unknown"


def _holder(id: str) -> str:
    """Under which name an upload keeps the input that it became."""
    return f"upload {id}"


def _as_error(problem: JobError) -> SeedVRError:
    kind = OutputError if problem.code == OutputError.code else InputError
    return kind(problem.message, remedy=problem.remedy)


@contextmanager
def _told_as_output() -> Iterator[None]:
    """Turns failures of the disk into OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"The server cannot keep the upload: {error.strerror}.",
            remedy="Make room on its disk; the upload goes on where it stopped.",
        ) from error


def _changed_at(path: Path) -> float:
    """When a file was written last, Unix seconds; 0 for one that is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
