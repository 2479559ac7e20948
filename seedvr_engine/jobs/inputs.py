"""Inputs: each content is kept once, however often it comes and whatever it is called."""

import hashlib
import os
import re
import shutil
import time
import uuid
from pathlib import Path

from seedvr_engine.jobs.database import Database
from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.messages import StoredInput
from seedvr_engine.media.opening import check_file, output_errors

_BLOCK_BYTES = 1 << 22
# A file that was taken in is given so long until a job, or an upload, says that it uses it.
_SPARED_S = 3600.0
_UNUSED = (
    "spared_until < ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE input_hash = inputs.hash)"
    " AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.hash = inputs.hash)"
)


class InputStore:
    """The folder of inputs, and its table."""

    def __init__(self, database: Database, folders: Folders) -> None:
        self._database, self._folders = database, folders

    def add(self, path: Path, name: str, *, move: bool = False, holder: str | None = None) -> StoredInput:
        """Takes a file in. move: it need not stay where it is. holder: keeps it until `release`.

        Raises InputError where it cannot be read, OutputError where there is no room.
        """
        check_file(path)
        part = self._folders.inputs / f".{uuid.uuid4().hex}.part"
        try:
            with output_errors(self._folders.inputs / name):
                digest = _hashed(path) if move else _copied(path, part)
                if move:
                    shutil.move(path, part)
            return self._keep(part, digest, name, holder)
        finally:
            part.unlink(missing_ok=True)

    def _keep(self, part: Path, digest: str, name: str, holder: str | None) -> StoredInput:
        size = part.stat().st_size
        # Within the transaction, so that nobody removes the file between the row and the name.
        with self._database.transaction() as connection:
            row = connection.execute("SELECT file FROM inputs WHERE hash = ?", (digest,)).fetchone()
            file = row["file"] if row else f"{digest}{_suffix(name)}"
            place = self._folders.inputs / file
            if not place.exists():
                part.replace(place)
            connection.execute(
                "INSERT INTO inputs (hash, file, bytes, spared_until) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (hash) DO UPDATE SET spared_until = excluded.spared_until",
                (digest, file, size, time.time() + _SPARED_S),
            )
            if holder is not None:
                hold = "INSERT OR IGNORE INTO holds (hash, holder) VALUES (?, ?)"
                connection.execute(hold, (digest, holder))
        return StoredInput(digest, place, name, size)

    def is_there(self, stored: StoredInput) -> bool:
        """Whether the input is known and its file is where it belongs."""
        select = "SELECT file FROM inputs WHERE hash = ?"
        row = self._database.connection().execute(select, (stored.hash,)).fetchone()
        return row is not None and (self._folders.inputs / row["file"]).is_file()

    def release(self, digest: str, holder: str) -> None:
        """The holder no longer needs the input; it goes when nobody else does."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM holds WHERE hash = ? AND holder = ?", (digest, holder))
            connection.execute("UPDATE inputs SET spared_until = 0 WHERE hash = ?", (digest,))
        self.remove_unused()

    def remove_unused(self) -> None:
        """Removes the inputs that nobody uses any more."""
        with self._database.transaction() as connection:
            unused = connection.execute(
                f"DELETE FROM inputs WHERE {_UNUSED} RETURNING file", (time.time(),)
            ).fetchall()
            for row in unused:
                (self._folders.inputs / row["file"]).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what a crash left over: half files, and files without a row. Nobody may add meanwhile."""
        select = "SELECT file FROM inputs"
        known = {row["file"] for row in self._database.connection().execute(select)}
        for path in self._folders.inputs.iterdir():
            if path.name not in known and path.is_file():
                path.unlink(missing_ok=True)


def _suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copied(path: Path, part: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source, part.open("wb") as copy:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()
