"""The SQLite file that jobs live in: one connection a thread, transactions, numbered migrations."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from seedvr_engine.jobs.errors import NewerDataError

_BUSY_TIMEOUT_S = 10.0


class Database:
    """Connections to one file, which is made or brought up to date when it is first opened.

    Raises NewerDataError where a later version of this program has written it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        _migrate(self.connection())

    def connection(self) -> sqlite3.Connection:
        """This thread's connection; it commits each statement by itself outside of a transaction."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self._path)
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside happens or nothing; no other process writes meanwhile."""
        connection = self.connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    # Where the file system cannot do WAL, SQLite keeps its older journal, which is slower and as safe.
    connection.execute("PRAGMA journal_mode = WAL")
    # Safe against every crash of a process; after a power cut the last changes may be missing.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    """Applies the migrations that the file lacks, all of them or none."""
    steps = _migrations()
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(steps):
            raise NewerDataError(
                "The data folder was written by a later version of seedvr-engine.",
                remedy="Update seedvr-engine, or set SEEDVR_DATA to another folder.",
            )
        for script in steps[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _migrations() -> list[str]:
    """The scripts, in order: 0001_*.sql is the first."""
    folder = files("seedvr_engine.jobs") / "migrations"
    scripts = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda i: i.name)
    numbers = [int(script.name[:4]) for script in scripts]
    assert numbers == list(range(1, len(scripts) + 1)), "migrations are numbered without gaps"
    return [script.read_text(encoding="utf-8") for script in scripts]


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit first, and a migration is to happen whole or not at all.
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
