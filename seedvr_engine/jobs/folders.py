"""Where the files of jobs lie."""

import fcntl
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from seedvr_engine.errors import OutputError
from seedvr_engine.jobs.errors import DataFolderInUseError
from seedvr_engine.settings import Settings

_LONGEST_STEM_BYTES = 120


@dataclass(frozen=True)
class Folders:
    """data: the database, and everything that belongs to single jobs. outputs: results."""

    data: Path
    outputs: Path

    @staticmethod
    def of(settings: Settings) -> "Folders":
        """The folders of these settings, made where they are missing. Raises OutputError."""
        folders = Folders(settings.data, settings.outputs)
        for folder in (folders.inputs, folders.jobs, folders.logs, folders.outputs):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(
                    f"The folder {folder} cannot be made: {error.strerror}.",
                    remedy="Set SEEDVR_DATA and SEEDVR_OUTPUTS to folders that can be written.",
                ) from error
        return folders

    @property
    def database(self) -> Path:
        return self.data / "jobs.sqlite3"

    @property
    def inputs(self) -> Path:
        return self.data / "inputs"

    @property
    def jobs(self) -> Path:
        return self.data / "jobs"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    def job(self, job_id: str) -> Path:
        """The folder of one job, which may not be there yet."""
        return self.jobs / job_id

    def output(self, job_id: str, kind: str, name: str) -> Path:
        """Where a job's result belongs: previews stay in the job's folder."""
        return self.outputs / name if kind == "full" else self.job(job_id) / name

    def remove(self, job_id: str, kind: str, name: str) -> None:
        """Removes the result, kept work and folder of a job."""
        output = self.output(job_id, kind, name)
        for path in (output, *work_folders(output)):
            remove_path(path)
        remove_path(self.job(job_id))


def work_folders(output: Path) -> list[Path]:
    """Hidden folders beside an output that hold finished work on it."""
    prefix = f".{output.name}."
    if not output.parent.is_dir():
        return []
    return [path for path in output.parent.iterdir() if path.name.startswith(prefix)]


def remove_path(path: Path) -> None:
    """Removes a file or a folder; one that is gone already is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def result_name(name: str, job_id: str, suffix: str) -> str:
    """The name of a result: STEM_restored_ID8.EXT, whatever characters the input's name holds."""
    stem = re.sub(r"[^\w .()\[\]+-]", "_", name)
    stem = Path(stem).stem.strip(" .") or "clip"
    stem = stem.encode()[:_LONGEST_STEM_BYTES].decode(errors="ignore")
    return f"{stem}_restored_{job_id[:8]}{suffix}"


class FolderLock:
    """Keeps a second server out of a data folder; the system lets go of it when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Raises DataFolderInUseError where another process has it."""
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise DataFolderInUseError(
                f"Another server (process {holder}) works with the data folder {self._path.parent}.",
                remedy="Use that one, stop it first, or set SEEDVR_DATA to another folder.",
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Lets the next one in."""
        if self._file is not None:
            self._file.close()
            self._file = None
