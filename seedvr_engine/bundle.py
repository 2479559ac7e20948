"""What a maintainer needs to find a fault, in one file that its sender can read through first.

Holds the findings of `seedvr doctor`, the settings, the logs, and the database's schema and jobs. Holds no
token, no password, no visitor, no picture; names of clips and of the home folder are replaced.
"""

import json
import os
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from seedvr_engine import __version__
from seedvr_engine.doctor import findings
from seedvr_engine.errors import OutputError
from seedvr_engine.logs import mask, secrets_of
from seedvr_engine.settings import Settings

_LOG_BYTES = 20_000_000
# Columns that say what happened; who, and with which file, stays at home.
_COLUMNS = (
    "id, kind, moment_s, options, state, revision, deaths, kept, created_at, started_at, finished_at, ran_s,"
    " limit_s, stage, shot, progress, frames_done, frames_total, peak_bytes, notes, error, model, plan,"
    " version"
)
_README = """seedvr-engine {version}

doctor.txt     what `seedvr doctor` says of this machine
settings.json  the settings, without passwords
logs/          what the server and its worker have written
database.sql   the database's schema
jobs.json      jobs without owner and file; "CLIP 1" stands for a name

Look through it before you send it.
"""


def write_bundle(path: Path, settings: Settings) -> list[str]:
    """Writes a ZIP to `path`; returns the names of what is in it. Raises OutputError."""
    hide = _Hider(settings)
    fresh = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in _parts(settings):
                bundle.writestr(name, hide(text))
            names = bundle.namelist()
        fresh.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}.", remedy="Name a file elsewhere."
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
    return names


def _parts(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "README.txt", _README.format(version=__version__)
    yield "doctor.txt", "".join(f"{'ok  ' if item.good else 'look'} {item.text}\n" for item in findings())
    yield "settings.json", json.dumps(settings.public(), indent=2)
    for log in sorted((settings.data / "logs").glob("*")):
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            yield f"logs/{log.name}", file.read().decode(errors="replace")
    yield from _database(settings)


def _database(settings: Settings) -> Iterator[tuple[str, str]]:
    path = settings.data / "jobs.sqlite3"
    if not path.exists():
        return
    with closing(_reading(path)) as connection:
        schema = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        yield "database.sql", "".join(f"{row['sql']};\n" for row in schema)
        jobs = connection.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY created_at").fetchall()
        yield "jobs.json", json.dumps([dict(row) for row in jobs], indent=1, ensure_ascii=False)


class _Hider:
    """Replaces what is nobody's business: secrets, names of clips, the home folder."""

    def __init__(self, settings: Settings) -> None:
        self._secrets = secrets_of(settings)
        self._names: dict[str, str] = {}
        path = settings.data / "jobs.sqlite3"
        if path.exists():
            with closing(_reading(path)) as connection:
                names = [row["name"] for row in connection.execute("SELECT DISTINCT name FROM jobs")]
            for number, name in enumerate(sorted(names, key=len, reverse=True), 1):
                self._names |= {name: f"CLIP {number}", Path(name).stem: f"CLIP {number}"}
        home = os.path.expanduser("~")  # noqa: PTH111 - pathlib raises where there is no home
        self._home = home if len(home) > 3 else ""

    def __call__(self, text: str) -> str:
        text = mask(text, self._secrets)
        for name, instead in self._names.items():
            # A clip that is called "a" is in every word.
            text = text.replace(name, instead) if len(name) > 3 else text
        return text.replace(self._home, "~") if self._home else text


def _reading(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)
    connection.row_factory = sqlite3.Row
    return connection
