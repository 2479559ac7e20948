"""What programs read and write, as pydantic models: the OpenAPI page is made of them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from seedvr_engine.jobs.messages import Job, Kind, State
from seedvr_engine.server.answers import Problem


class InputView(BaseModel):
    """hash: SHA-256 of the content."""

    hash: str
    name: str
    bytes: int


class JobProblem(Problem):
    """details: what a maintainer wants to read; empty where there is nothing to add."""

    details: str = ""


class JobView(BaseModel):
    """A job as its owner sees it; the fields are explained at `jobs.messages.Job`. Times are Unix seconds."""

    id: str
    kind: Kind
    name: str
    input: InputView
    options: dict[str, Any]
    state: State
    stage: str
    shot: int
    progress: float = Field(description="0 to 1")
    frames_done: int
    frames_total: int
    frames_per_s: float | None
    left_s: float | None
    memory_bytes: int
    peak_bytes: int
    notes: list[str]
    queue_position: int | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    ran_s: float
    limit_s: float | None
    batch: str | None
    moment_s: float | None
    revision: int
    model: str
    plan: str
    version: str
    result: str | None = Field(description="Name of the finished file, under jobs/ID/result.")
    facts: dict[str, Any] | None
    error: JobProblem | None

    @staticmethod
    def of(job: Job) -> "JobView":
        """Leaves out the owner and places on the disk."""
        own = {name: getattr(job, name) for name in JobView.model_fields if hasattr(job, name)}
        facts = job.facts and {key: value for key, value in job.facts.items() if key != "output"}
        error = job.error
        own |= {
            "input": InputView(hash=job.input.hash, name=job.input.name, bytes=job.input.bytes),
            "options": job.options.as_dict(),
            "notes": list(job.notes),
            "result": job.result.name if job.result else None,
            "facts": facts,
            "error": error and JobProblem(**vars(error)),
        }
        return JobView(**own)


class JobRequest(BaseModel):
    """Exactly one of `upload` (id of a whole upload) and `input` (name of a file in the inbox).

    options: any of model, size, seed, … as on the command line. kind "frame" or "clip": a preview at
    moment_s, which goes before full jobs. batch: a name of your choice that several jobs share.
    """

    model_config = ConfigDict(extra="forbid")

    upload: str | None = None
    input: str | None = None
    options: dict[str, Any] = Field(default_factory=dict, examples=[{"model": "preview", "size": "2x"}])
    name: str | None = Field(None, max_length=200)
    kind: Kind = "full"
    moment_s: float | None = Field(None, ge=0)
    batch: str | None = None


class Submitted(BaseModel):
    """token: send it as `Authorization: Bearer TOKEN` to be the job's owner without a cookie."""

    id: str
    token: str
    state: State


class InboxView(BaseModel):
    """A file that lies on the machine."""

    name: str
    bytes: int
    modified_at: float


class ModelView(BaseModel):
    """A model. download_bytes: what its download brings. memory_bytes: what it needs of a GPU."""

    name: str
    label: str
    present: bool
    download_bytes: int
    memory_bytes: int


class DownloadView(BaseModel):
    """How a model's download stands."""

    model: str
    state: Literal["idle", "waiting", "running", "done", "failed"]
    done_bytes: int
    total_bytes: int
    error: Problem | None
