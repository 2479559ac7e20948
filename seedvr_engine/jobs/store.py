"""The jobs of one data folder, as the web process sees them: added, listed, stopped, resumed, deleted.

What a worker does to the job it runs is in `jobs.claims`.
"""

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seedvr_engine.jobs.database import Database
from seedvr_engine.jobs.errors import NotReadyError, QueueFullError, UnknownJobError
from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.messages import FINAL_STATES, Job, JobError, Kind, StoredInput
from seedvr_engine.jobs.rows import SELECT_JOB, job_of, set_clause
from seedvr_engine.pipeline.options import Options

MOST_DEATHS = 3
_PREVIEW_PRIORITY, _FULL_PRIORITY = 0, 1
_FRESH_RUN: dict[str, Any] = {
    **dict.fromkeys(("error", "finished_at", "worker", "lease_until", "stop_reason", "stop_at")),
    **dict.fromkeys(("frames_per_s", "left_s", "limit_s", "facts")),
    **{"state": "queued", "stage": "", "kept": 0},
}


@dataclass(frozen=True)
class NewJob:
    """What is known of a job when it is submitted. output: the name of its result."""

    id: str
    owner: str
    kind: Kind
    name: str
    input: StoredInput
    options: Options
    output: str
    batch: str | None = None
    moment_s: float | None = None
    frames_total: int = 0


@dataclass(frozen=True)
class Running:
    """A job under way, as its supervisor sees it. Times are Unix seconds. output: the name of its result."""

    id: str
    worker: str
    fence: int
    lease_until: float
    stop_reason: str | None
    stop_at: float | None
    output: str


class JobStore:
    """Safe to use from every thread."""

    def __init__(self, database: Database, folders: Folders) -> None:
        self._database, self._folders = database, folders

    def add(self, new: NewJob, *, most: int = 0, most_of_owner: int = 0) -> Job:
        """Queues a job. most, most_of_owner: unfinished jobs allowed, 0 for any number.

        Raises QueueFullError.
        """
        with self._database.transaction() as connection:
            self._check_room(connection, new.owner, most, most_of_owner)
            spared = "UPDATE inputs SET spared_until = 0 WHERE hash = ?"
            connection.execute(spared, (new.input.hash,))
            connection.execute(
                "INSERT INTO jobs (id, owner, kind, batch, name, input_hash, options, moment_s, output,"
                " priority, created_at, frames_total, state, position)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued',"
                " (SELECT coalesce(max(position), 0) + 1 FROM jobs))",
                (
                    *(new.id, new.owner, new.kind, new.batch, new.name, new.input.hash),
                    *(json.dumps(new.options.as_dict()), new.moment_s, new.output),
                    *(_FULL_PRIORITY if new.kind == "full" else _PREVIEW_PRIORITY, time.time()),
                    new.frames_total,
                ),
            )
        return self.job(new.id)

    def _check_room(self, connection: sqlite3.Connection, owner: str, most: int, most_of_owner: int) -> None:
        unfinished = "SELECT count(*), count(*) FILTER (WHERE owner = ?) FROM jobs"
        where = " WHERE state IN ('queued', 'running')"
        in_all, of_owner = connection.execute(unfinished + where, (owner,)).fetchone()
        if most and in_all >= most:
            raise QueueFullError(
                f"{in_all} jobs are waiting already, and no more are taken.",
                remedy="Try again when some are done.",
            )
        if most_of_owner and of_owner >= most_of_owner:
            raise QueueFullError(
                f"You have {of_owner} unfinished jobs already, and no more are taken.",
                remedy="Wait until some are done, or cancel one.",
            )

    def job(self, job_id: str) -> Job:
        """Raises UnknownJobError."""
        row = self._database.connection().execute(f"{SELECT_JOB} WHERE jobs.id = ?", (job_id,)).fetchone()
        if row is None:
            raise _unknown()
        return job_of(row, self._folders)

    def jobs_of(self, owner: str) -> list[Job]:
        """Newest first."""
        return self._jobs("WHERE jobs.owner = ? ORDER BY jobs.created_at DESC, jobs.position DESC", (owner,))

    def batch_of(self, batch: str) -> list[Job]:
        """In the order in which they were submitted."""
        return self._jobs("WHERE jobs.batch = ? ORDER BY jobs.created_at, jobs.position", (batch,))

    def finished_before(self, moment: float) -> list[Job]:
        """Jobs that came to an end before this time, in Unix seconds."""
        states = ", ".join(f"'{state}'" for state in sorted(FINAL_STATES))
        return self._jobs(f"WHERE jobs.state IN ({states}) AND jobs.finished_at < ?", (moment,))

    def _jobs(self, rest: str, values: Sequence[Any]) -> list[Job]:
        rows = self._database.connection().execute(f"{SELECT_JOB} {rest}", values)
        return [job_of(row, self._folders) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs there are of each state."""
        rows = self._database.connection().execute("SELECT state, count(*) FROM jobs GROUP BY state")
        return dict(map(tuple, rows))

    def cancel(self, job_id: str) -> None:
        """Ends a queued job; asks the worker of a running one to stop. Raises UnknownJobError."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if row is None:
                raise _unknown()
            if row["state"] == "queued":
                _update(connection, job_id, {"state": "cancelled", "finished_at": time.time()})
            elif row["state"] == "running":
                _update(connection, job_id, {"stop_reason": "cancel", "stop_at": time.time()})

    def resume(self, job_id: str, *, most: int = 0, most_of_owner: int = 0) -> Job:
        """Queues a job again that ended without a result; its time limit begins anew.

        Raises UnknownJobError, NotReadyError, QueueFullError.
        """
        with self._database.transaction() as connection:
            row = connection.execute("SELECT state, owner FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if row is None:
                raise _unknown()
            if row["state"] == "done":
                raise NotReadyError("This job is done.", remedy="Start a new one with its settings.")
            if row["state"] in FINAL_STATES:
                self._check_room(connection, row["owner"], most, most_of_owner)
                last = connection.execute("SELECT max(position) FROM jobs").fetchone()[0]
                fresh = {**_FRESH_RUN, "position": last + 1, "spent_s": 0, "deaths": 0}
                _update(connection, job_id, fresh)
        return self.job(job_id)

    def remove(self, job_id: str) -> None:
        """Removes a job that is not running: result, kept work, folder, row. Raises UnknownJobError."""
        select = "SELECT kind, output FROM jobs WHERE id = ?"
        row = self._database.connection().execute(select, (job_id,)).fetchone()
        if row is None:
            raise _unknown()
        # Files first: after a crash in between there is still a job by which to remove the rest.
        self._folders.remove(job_id, row["kind"], row["output"])
        self._database.connection().execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def is_running(self, job_id: str) -> bool:
        """Whether a worker has the job now."""
        where = "SELECT 1 FROM jobs WHERE id = ? AND state = 'running'"
        return self._database.connection().execute(where, (job_id,)).fetchone() is not None

    def running(self) -> list[Running]:
        """All jobs under way."""
        columns = "id, worker, fence, lease_until, stop_reason, stop_at, output"
        rows = self._database.connection().execute(f"SELECT {columns} FROM jobs WHERE state = 'running'")
        return [Running(*row) for row in rows]

    def has_queued(self) -> bool:
        """Whether there is anything to do."""
        first = "SELECT 1 FROM jobs WHERE state = 'queued' LIMIT 1"
        return self._database.connection().execute(first).fetchone() is not None

    def stopped(self, running: Running) -> None:
        """Ends a job whose worker was ended because it did not stop by itself."""
        end: dict[str, Any] = {"state": "cancelled", "finished_at": time.time()}
        if running.stop_reason == "time_limit":
            end |= {"state": "interrupted", "error": json.dumps(asdict(time_limit_error()))}
        self._end_run(running, end)

    def requeue(self, running: Running, *, died: bool) -> None:
        """Puts a job back whose worker is gone; its place in the queue is before all that came later.

        died: the worker died over it. The third time that happens without new work kept, the job fails.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT deaths, kept, stop_reason FROM jobs WHERE id = ? AND fence = ? AND state = 'running'",
                (running.id, running.fence),
            ).fetchone()
            if row is None:
                return
            deaths = (0 if row["kept"] else row["deaths"]) + died
            if row["stop_reason"] == "cancel":
                fresh = {**_FRESH_RUN, "state": "cancelled", "finished_at": time.time()}
            elif deaths >= MOST_DEATHS:
                fresh = {**_FRESH_RUN, **failure(_died_often(deaths))}
            else:
                fresh = dict(_FRESH_RUN)
            _update(connection, running.id, {**fresh, "deaths": deaths, "fence": running.fence + 1})

    def fail_next(self, error: JobError) -> None:
        """Fails the job whose turn it is, where no worker can be had for it."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT id FROM queue WHERE place = 1").fetchone()
            if row is not None:
                _update(connection, row["id"], failure(error))

    def _end_run(self, running: Running, values: dict[str, Any]) -> None:
        with self._database.transaction() as connection:
            is_its = "SELECT 1 FROM jobs WHERE id = ? AND fence = ? AND state = 'running'"
            if connection.execute(is_its, (running.id, running.fence)).fetchone():
                free = dict.fromkeys(("worker", "lease_until", "frames_per_s", "left_s"))
                _update(connection, running.id, {**free, **values, "fence": running.fence + 1})

    def enter_server(self, name: str) -> None:
        """From now on only the workers of this server get jobs."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO server (only, name) VALUES (1, ?)", (name,))

    def add_worker(self, pid: int, create_time: float) -> None:
        """Remembers a process, so that a later server can end it."""
        insert = "INSERT OR REPLACE INTO workers (pid, create_time) VALUES (?, ?)"
        self._database.connection().execute(insert, (pid, create_time))

    def workers(self) -> list[tuple[int, float]]:
        """(pid, create_time) of every process that was remembered."""
        rows = self._database.connection().execute("SELECT pid, create_time FROM workers")
        return [(row["pid"], row["create_time"]) for row in rows]

    def forget_workers(self) -> None:
        """They are gone."""
        self._database.connection().execute("DELETE FROM workers")


def failure(error: JobError) -> dict[str, Any]:
    """The columns of a job that failed."""
    return {"state": "failed", "finished_at": time.time(), "error": json.dumps(asdict(error))}


def _update(connection: sqlite3.Connection, job_id: str, values: dict[str, Any]) -> None:
    clause, parameters = set_clause(values)
    update = f"UPDATE jobs SET {clause}, revision = revision + 1 WHERE id = :job_id"
    connection.execute(update, {**parameters, "job_id": job_id})


def time_limit_error() -> JobError:
    """What a job that met the time limit says."""
    return JobError(
        "time_limit",
        "The time limit was reached; what is finished is kept.",
        "Continue goes on from there, with the same limit once more.",
    )


def _died_often(deaths: int) -> JobError:
    return JobError(
        "worker",
        f"The worker died {deaths} times over this job without getting further, most likely because the "
        "machine ran out of memory.",
        "Choose a smaller size or model, then start it again.",
    )


def _unknown() -> UnknownJobError:
    return UnknownJobError("There is no such job.", remedy="It may have been deleted.")
