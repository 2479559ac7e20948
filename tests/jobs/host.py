"""A server-like process that can be killed, and a look at the jobs from outside.

`python -m tests.jobs.host ROOT` starts a processor on ROOT, queues what it is told to, and stops when its
input ends.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from seedvr_engine.jobs import processes
from seedvr_engine.jobs.database import Database
from seedvr_engine.jobs.folders import Folders, work_folders
from seedvr_engine.jobs.messages import Job, Kind
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.jobs.store import JobStore
from seedvr_engine.pipeline.options import Options
from tests.jobs.stored import settings_in

PATIENCE_S = 120.0
SMALL = Options(model="preview", size="64x48", container="mkv", codec="ffv1")
# A second or two of work, so that every moment lasts.
HOSTED = replace(SMALL, size="128x96")


class Host:
    """A server in a process of its own."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-m", "tests.jobs.host", str(root)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "ready"

    def submit(self, path: Path, kind: Kind = "full") -> str:
        """Queues a job; returns its id."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"path": str(path), "kind": kind}) + "\n")
        self.process.stdin.flush()
        return self._line()

    def kill(self) -> None:
        """Ends the server where it stands."""
        self.process.kill()
        self._end()

    def close(self) -> None:
        """Ends the server as its owner would."""
        self._end()
        assert self.process.returncode == 0

    def _end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


class Outside:
    """What can be seen of a data folder without being its server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders = Folders.of(settings_in(root))
        self.jobs = JobStore(Database(self.folders.database), self.folders)

    def job(self, job_id: str) -> Job:
        return self.jobs.job(job_id)

    def output(self, job_id: str) -> Path:
        """Where the job's result belongs."""
        return self.folders.outputs / f"film_restored_{job_id[:8]}.mkv"

    def work(self, job_id: str) -> Path | None:
        """The folder with the finished work on a job."""
        return next(iter(work_folders(self.output(job_id))), None)

    def worker(self) -> psutil.Process | None:
        """The worker itself, not its launcher."""
        for pid, create_time in self.jobs.workers():
            process = processes.find(pid, create_time)
            if process is not None and "torch.distributed.run" not in process.cmdline():
                return process
        return None

    def wait(self, enough: Callable[[], object], what: str = "it", pause_s: float = 0.02) -> None:
        """Waits until something is so. Raises AssertionError where it does not come."""
        deadline = time.monotonic() + PATIENCE_S
        while not enough():
            assert time.monotonic() < deadline, f"{what} did not come: {self.jobs.jobs_of('local')}"
            time.sleep(pause_s)

    def freeze(self, moment: Callable[[], object], what: str = "the moment") -> psutil.Process:
        """Stops the worker in a moment of its work."""
        while True:
            self.wait(lambda: self.worker() or moment(), "a worker")
            worker = self.worker()
            assert worker is not None
            self.wait(lambda: moment() or not worker.is_running(), what, pause_s=0.001)  # noqa: B023
            if worker.is_running():
                worker.suspend()
                if moment():
                    return worker
                worker.resume()

    @contextmanager
    def writing_blocked(self) -> Iterator[None]:
        """Nobody can write to the database meanwhile; whoever wants to, waits."""
        with closing(sqlite3.connect(self.folders.database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def integrity(self) -> str:
        with closing(sqlite3.connect(self.folders.database)) as connection:
            return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def processes_of(root: Path) -> list[psutil.Process]:
    """Workers and launchers that belong to a data folder."""
    return [process for process in psutil.process_iter() if _works_on(process, root)]


def _works_on(process: psutil.Process, root: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or "seedvr_engine.jobs.worker" not in process.cmdline():
            return False
        return process.environ().get("SEEDVR_DATA") == str(root / "data")
    except psutil.Error:
        return False


def main() -> None:
    """The server-like process."""
    # What a test's own process was told about signals is not for this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    processor = SeedVRProcessor(settings_in(Path(sys.argv[1])))
    processor.start()
    _say("ready")
    for line in sys.stdin:
        asked = json.loads(line)
        moment_s = None if asked["kind"] == "full" else 0.5
        job = processor.process_video(Path(asked["path"]), HOSTED, kind=asked["kind"], moment_s=moment_s)
        _say(job.id)
    processor.stop()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
