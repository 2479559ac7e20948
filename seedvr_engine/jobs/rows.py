"""Jobs as rows of the database."""

import json
import sqlite3
from dataclasses import fields
from typing import Any

from seedvr_engine.jobs.folders import Folders
from seedvr_engine.jobs.messages import Job, JobError, StoredInput
from seedvr_engine.pipeline.options import Options

SELECT_JOB = """
SELECT jobs.*, inputs.file AS input_file, inputs.bytes AS input_bytes, queue.place AS queue_position
FROM jobs JOIN inputs ON inputs.hash = jobs.input_hash LEFT JOIN queue ON queue.id = jobs.id
"""

_PLAIN = (
    *("id", "owner", "kind", "name", "state", "created_at", "revision", "batch", "moment_s", "stage", "shot"),
    *("progress", "frames_done", "frames_total", "frames_per_s", "left_s", "memory_bytes", "peak_bytes"),
    *("queue_position", "started_at", "finished_at", "ran_s", "limit_s", "model", "plan", "version"),
)
_OPTION_NAMES = {field.name for field in fields(Options)}


def job_of(row: sqlite3.Row, folders: Folders) -> Job:
    """The job that a row of `SELECT_JOB` tells of."""
    stored = StoredInput(
        row["input_hash"], folders.inputs / row["input_file"], row["name"], row["input_bytes"]
    )
    result = folders.output(row["id"], row["kind"], row["output"]) if row["state"] == "done" else None
    return Job(
        **{name: row[name] for name in _PLAIN},
        input=stored,
        options=options_of(row["options"]),
        notes=tuple(json.loads(row["notes"])),
        result=result,
        facts=json.loads(row["facts"]) if row["facts"] else None,
        error=JobError(**json.loads(row["error"])) if row["error"] else None,
    )


def options_of(text: str) -> Options:
    """Options from JSON; one that a later version no longer has is left out."""
    given: dict[str, Any] = json.loads(text)
    return Options(**{name: value for name, value in given.items() if name in _OPTION_NAMES})


def set_clause(values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """`a = :a, b = :b` and its parameters, for columns named in code."""
    return ", ".join(f"{name} = :{name}" for name in values), values
