"""What a visitor can do, for every way in: page, REST, Gradio's endpoints and MCP call the same functions.

Everything asks whose it is first; somebody else's job is answered like one that does not exist.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from seedvr_engine.checkpoints.catalog import MODELS
from seedvr_engine.errors import CheckpointError, UsageError
from seedvr_engine.jobs.errors import UnknownJobError
from seedvr_engine.jobs.messages import Job, Kind, StoredInput
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.pipeline.choice import PREVIEW
from seedvr_engine.pipeline.options import Options
from seedvr_engine.server.examples import example_path
from seedvr_engine.server.inbox import Inbox
from seedvr_engine.server.uploads import Uploads
from seedvr_engine.settings import Settings

_OPTIONS = TypeAdapter(Options)


class Desk:
    """One for each server. Safe to use from every thread."""

    def __init__(self, settings: Settings, processor: SeedVRProcessor) -> None:
        self.processor = processor
        self.uploads = Uploads(settings, processor)
        self.inbox = Inbox(settings.inputs)
        self._known: dict[tuple[Path, int, int], StoredInput] = {}

    def job(self, owner: str, id: str) -> Job:
        """Raises UnknownJobError for a job that there is not, or that is somebody else's."""
        with suppress(UnknownJobError):
            job = self.processor.status(id)
            if job.owner == owner:
                return job
        raise UnknownJobError("There is no such job.", remedy="It was deleted, or it is not yours.")

    def jobs(self, owner: str) -> list[Job]:
        """All of an owner, newest first."""
        return self.processor.jobs_of(owner)

    def batch(self, owner: str, id: str) -> list[Job]:
        """The jobs of a batch. Raises UnknownJobError where the owner has none in it."""
        jobs = [job for job in self.processor.batch_of(id) if job.owner == owner]
        if not jobs:
            raise UnknownJobError("There is no such batch.", remedy="It was deleted, or it is not yours.")
        return jobs

    def source(
        self, owner: str, *, upload: str | None = None, input: str | None = None
    ) -> StoredInput | Path:
        """The file that an upload became, or one of the inbox.

        Raises NotFoundError, NotReadyError (not all has come), InputError, UsageError.
        """
        if (upload is None) == (input is None):
            raise UsageError(
                "It has to be said what is to be restored, and once.",
                remedy="Send a file, or the id of an upload, or the name of a file in the inbox.",
            )
        if upload is not None:
            return self.uploads.stored_input(owner, upload)
        return self.inbox.path(input or "")

    def input_of(self, source: Mapping[str, Any], owner: str) -> StoredInput:
        """The file behind a choice in the page: {"upload": ID}, {"input": NAME} or {"example": NAME}.

        Raises like `source`.
        """
        if "example" in source:
            return self._taken_in(example_path(str(source["example"])))
        chosen = {key: str(source[key]) for key in ("upload", "input") if key in source}
        found = self.source(owner, **chosen)
        return found if isinstance(found, StoredInput) else self._taken_in(found)

    def submit(
        self,
        owner: str,
        source: StoredInput | Path,
        options: dict[str, Any] | Options | None = None,
        *,
        name: str | None = None,
        kind: Kind = "full",
        moment_s: float | None = None,
        batch: str | None = None,
    ) -> Job:
        """Queues a restoration. Raises UsageError, InputError, CheckpointError, QueueFullError."""
        chosen = options if isinstance(options, Options) else read_options(options or {})
        self._check_model(chosen.model)
        if batch is not None:
            self._check_batch(owner, batch)
        return self.processor.process_video(
            source, chosen, owner=owner, name=name, kind=kind, moment_s=moment_s, batch=batch
        )

    def cancel(self, owner: str, id: str) -> Job:
        """Stops a job. Raises UnknownJobError."""
        self.job(owner, id)
        self.processor.cancel(id)
        return self.job(owner, id)

    def resume(self, owner: str, id: str) -> Job:
        """Queues a job again that has ended without a result. Raises UnknownJobError, QueueFullError."""
        self.job(owner, id)
        return self.processor.resume(id)

    def delete(self, owner: str, id: str) -> None:
        """Removes a job and its files. Raises UnknownJobError."""
        self.job(owner, id)
        self.processor.delete(id)

    def _check_model(self, model: str) -> None:
        """On the command line a model can be a file; here that would open any file of the machine."""
        names = ("auto", PREVIEW, *MODELS)
        if model not in names:
            raise UsageError(f"There is no model {model!r}.", remedy=f"Choose one of {', '.join(names)}.")
        missing = {status.name for status in self.processor.check_available_models() if not status.present}
        if model in missing:
            raise CheckpointError(
                f"The model {model} is not on this machine.",
                remedy="Download it (in the page's system panel, or POST /api/models/NAME/download) first.",
            )

    def _taken_in(self, path: Path) -> StoredInput:
        """A file of the machine as an input; the page asks more than once, and it is copied once."""
        stat = path.stat()
        key = (path, stat.st_size, stat.st_mtime_ns)
        stored = self._known.get(key)
        if stored is None or not stored.path.is_file():
            stored = self._known[key] = self.processor.add_input(path, path.name)
        return stored

    def _check_batch(self, owner: str, batch: str) -> None:
        """Nobody adds to somebody else's batch."""
        if not 1 <= len(batch) <= 64:
            raise UsageError("The name of a batch has 1 to 64 characters.", remedy="Choose another.")
        if any(job.owner != owner for job in self.processor.batch_of(batch)):
            raise UsageError("This batch is taken.", remedy="Choose another name for it.")


def read_options(given: dict[str, Any]) -> Options:
    """Options as a program writes them. Raises UsageError for names and values that there are not."""
    known = [item.name for item in fields(Options)]
    for name in given:
        if name not in known:
            raise UsageError(f"There is no option {name!r}.", remedy=f"There are {', '.join(known)}.")
    try:
        return _OPTIONS.validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {first['msg']}.", remedy="/api/docs shows what is expected.") from error
