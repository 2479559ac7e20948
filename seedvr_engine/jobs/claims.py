"""A worker's side of the store: it claims a job, holds it with a lease, and tells what becomes of it.

Every claim has a number that no other claim of the job has, its fence. Once the job has been given to
somebody else, or was ended, nothing that the old holder writes is taken any more: it gets `LostJob`.
"""

import json
import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from seedvr_engine import __version__
from seedvr_engine.jobs.database import Database
from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.messages import Job, JobError, State
from seedvr_engine.jobs.rows import SELECT_JOB, job_of, set_clause
from seedvr_engine.pipeline.messages import Progress

LEASE_S = 30.0
StopReason = Literal["cancel", "time_limit"]


class LostJob(Exception):  # noqa: N818 - nothing went wrong; somebody else has it
    """The job is no longer this worker's."""


@dataclass(frozen=True)
class Claim:
    """A job that this worker has. output: where the result belongs. fence: see above."""

    job: Job
    output: Path
    fence: int
    spent_s: float


class Claims:
    """server: the name of the server that the worker belongs to. worker: its own."""

    def __init__(self, database: Database, folders: Folders, server: str, worker: str) -> None:
        self._database, self._folders = database, folders
        self._server, self._worker = server, worker

    def claim(self, timeout_s: float = 0) -> Claim | None:
        """Takes the job whose turn it is, in one transaction; None without one.

        timeout_s: the time limit, 0 for none. Jobs go to the workers of the data folder's server alone.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT id, spent_s FROM jobs WHERE state = 'queued'"
                " AND EXISTS (SELECT 1 FROM server WHERE name = ?) ORDER BY priority, position LIMIT 1",
                (self._server,),
            ).fetchone()
            if row is None:
                return None
            now = time.time()
            clause, values = set_clause(
                {
                    **{"state": "running", "worker": self._worker, "lease_until": now + LEASE_S},
                    **{
                        "started_at": now,
                        "finished_at": None,
                        "version": __version__,
                        "kept": 0,
                        "notes": "[]",
                    },
                    **{"limit_s": max(0.0, timeout_s - row["spent_s"]) if timeout_s else None, "stage": ""},
                    **dict.fromkeys(("stop_reason", "stop_at", "error", "facts")),
                }
            )
            connection.execute(
                f"UPDATE jobs SET {clause}, fence = fence + 1, revision = revision + 1 WHERE id = :id",
                {**values, "id": row["id"]},
            )
            claimed = connection.execute(f"{SELECT_JOB} WHERE jobs.id = ?", (row["id"],)).fetchone()
        job = job_of(claimed, self._folders)
        output = self._folders.output(job.id, job.kind, claimed["output"])
        return Claim(job, output, claimed["fence"], row["spent_s"])

    def beat(self, claim: Claim, ran_s: float, progress: Progress | None = None) -> StopReason | None:
        """Renews the lease; tells how long the run has lasted and where it stands.

        Returns why the job is to stop, None where it is not. Raises LostJob.
        """
        values: dict[str, Any] = {
            **{"lease_until": time.time() + LEASE_S, "ran_s": claim.job.ran_s + ran_s},
            **{"spent_s": claim.spent_s + ran_s},
        }
        if progress is not None:
            values |= _progress_columns(progress)
        row = self._write(claim, values, told=progress is not None)
        reason: StopReason | None = row["stop_reason"]
        return reason

    def tell(self, claim: Claim, **values: Any) -> None:
        """Writes columns of the job (model, plan, frames_total). Raises LostJob."""
        self._write(claim, values, told=True)

    def ask_to_stop(self, claim: Claim, reason: StopReason) -> StopReason:
        """Notes that the run is to end; returns why, as somebody may have asked before. Raises LostJob."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "UPDATE jobs SET stop_reason = coalesce(stop_reason, ?), stop_at = coalesce(stop_at, ?)"
                " WHERE id = ? AND fence = ? AND state = 'running' RETURNING stop_reason",
                (reason, time.time(), claim.job.id, claim.fence),
            ).fetchone()
        if row is None:
            raise LostJob
        first: StopReason = row["stop_reason"]
        return first

    def finish(
        self,
        claim: Claim,
        state: State,
        *,
        ran_s: float,
        facts: dict[str, Any] | None = None,
        error: JobError | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Writes how it ended. Raises LostJob."""
        values: dict[str, Any] = {
            **{"state": state, "finished_at": time.time(), "deaths": 0},
            **{"ran_s": claim.job.ran_s + ran_s, "spent_s": claim.spent_s + ran_s},
            **dict.fromkeys(("worker", "lease_until", "stop_reason", "stop_at", "left_s")),
            "facts": None if facts is None else json.dumps(facts),
            "error": None if error is None else json.dumps(asdict(error)),
        }
        if progress is not None:
            values = _progress_columns(progress) | values
        if state == "done":
            values["progress"] = 1.0
        self._write(claim, values, told=True)

    def _write(self, claim: Claim, values: dict[str, Any], *, told: bool) -> sqlite3.Row:
        clause, parameters = set_clause(values)
        with self._database.transaction() as connection:
            row = connection.execute(
                f"UPDATE jobs SET {clause}, revision = revision + {int(told)}"
                " WHERE id = :job AND fence = :held AND state = 'running' RETURNING stop_reason",
                {**parameters, "job": claim.job.id, "held": claim.fence},
            ).fetchone()
        if row is None:
            raise LostJob
        found: sqlite3.Row = row
        return found


def _progress_columns(progress: Progress) -> dict[str, Any]:
    return {
        **{"stage": progress.stage, "shot": progress.shot, "progress": progress.done},
        **{"frames_done": progress.frames_done, "frames_total": progress.frames_total},
        **{"frames_per_s": progress.frames_per_s, "left_s": progress.left_s},
        **{"memory_bytes": progress.memory_bytes, "peak_bytes": progress.peak_bytes},
        **{"notes": json.dumps(progress.notes), "kept": progress.kept},
    }
