"""What the page's events do: read the choices, insert jobs, tell what will come. Nothing here takes long."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from starlette.requests import Request

from seedvr_engine.errors import SeedVRError
from seedvr_engine.jobs.errors import NotReadyError, UnknownJobError
from seedvr_engine.jobs.messages import Job, Kind, StoredInput
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.pipeline.options import DEFAULT_SIZE, Options
from seedvr_engine.ui.advanced import values_of
from seedvr_engine.ui.choices import (
    EXACT,
    SIZES,
    options_of,
    other_side,
    preset_changes,
    preset_line,
    preset_options,
)
from seedvr_engine.ui.foresight import foresight, media_of
from seedvr_engine.ui.result import comparison_of, facts_of, head_of
from seedvr_engine.ui.words import trouble, trouble_values

Source = Mapping[str, Any]
OwnerOf = Callable[[Request], str]
InputOf = Callable[[Source, str], StoredInput]

_NOTHING_CHOSEN = NotReadyError(
    "No clip is chosen yet.", remedy="Drop a file above, or take one of the examples."
)
_ON_ITS_WAY = NotReadyError(
    "The upload is still on its way.", remedy="Press the button again when it has arrived."
)


class Actions:
    """Handlers of the page.

    fields: names of the options, in the order in which their values come.
    owner_of: who asks. input_of: the file behind a source ({"upload" | "input" | "example": …}) of an owner;
    raises InputError where there is none.
    """

    def __init__(
        self, processor: SeedVRProcessor, owner_of: OwnerOf, input_of: InputOf, fields: Sequence[str]
    ) -> None:
        self._processor = processor
        self._owner_of = owner_of
        self._input_of = input_of
        self._fields = tuple(fields)

    def restore(self, request: gr.Request, uploads: Any, others: Any, *values: Any) -> tuple[Any, ...]:
        """Inserts a job for every chosen clip.

        Returns the value of `started`, what went wrong, and emptied uploads and other sources.
        """
        try:
            sources = _sources(uploads, others)
            if (uploads or {}).get("pending"):
                raise _ON_ITS_WAY
            if not sources:
                raise _NOTHING_CHOSEN
            jobs = self._insert(sources, self._options(values), self._owner(request))
        except SeedVRError as error:
            return {}, trouble(error), gr.skip(), gr.skip()
        batch, job = jobs[0].batch, jobs[0].id
        return {"batch": batch} if batch else {"job": job}, "", None, []

    def preview(
        self, request: gr.Request, event: gr.EventData, uploads: Any, others: Any, *values: Any
    ) -> dict[str, Any]:
        """Inserts a preview of the first clip; returns the value of the preview part."""
        asked = event._data or {}
        kind: Kind = "clip" if asked.get("kind") == "clip" else "frame"
        try:
            sources = _sources(uploads, others)
            if not sources:
                raise _NOTHING_CHOSEN
            owner = self._owner(request)
            job = self._processor.process_video(
                self._input(sources[0], owner),
                self._options(values),
                owner=owner,
                name=str(sources[0].get("name", "")) or None,
                kind=kind,
                moment_s=max(0.0, float(asked.get("moment_s") or 0.0)),
            )
        except SeedVRError as error:
            return {"trouble": trouble_values(error)}
        return {"job": job.id}

    def chosen(
        self, request: gr.Request, uploads: Any, others: Any
    ) -> tuple[dict[str, Any], dict[str, Any], None]:
        """Looks at the first chosen clip. Returns its facts, the preview part's value, and no comparison."""
        sources = _sources(uploads, others)
        if not sources:
            return {}, {}, None
        try:
            media = media_of(self._input(sources[0], self._owner(request)))
        except SeedVRError:
            return {}, {}, None  # `foresee` says why.
        shown = {"source": dict(sources[0]), "duration_s": media["duration_s"], "rate": media["rate"]}
        return media, shown, None

    def button(self, uploads: Any) -> dict[str, Any]:
        """How the big button is while something is still on its way, and when not."""
        pending = bool((uploads or {}).get("pending"))
        return gr.update(value="Uploading…" if pending else "Restore", interactive=not pending)

    def foresee(self, request: gr.Request, uploads: Any, others: Any, *values: Any) -> str:
        """What the first chosen clip is, and what will come of it, as HTML."""
        sources = _sources(uploads, others)
        if not sources:
            return ""
        try:
            given = self._input(sources[0], self._owner(request))
            return foresight(self._processor, given, self._options(values), len(sources))
        except SeedVRError as error:
            return trouble(error)

    def finished(self, request: gr.Request, event: gr.EventData) -> tuple[str, dict[str, Any] | None, str]:
        """Shows a finished job: head, comparison, what was used."""
        try:
            job = self._job(request, event)
        except SeedVRError as error:
            return trouble(error), None, ""
        return head_of(job), comparison_of(job), facts_of(job)

    def preview_finished(self, request: gr.Request, event: gr.EventData) -> dict[str, Any] | None:
        """The comparison's value for a finished preview."""
        return comparison_of(self._job(request, event))

    def again(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Takes clip and settings of an earlier job: the other sources, then the fields' values."""
        job = self._job(request, event)
        source = {"job": job.id, "name": job.name, "size": job.input.bytes}
        return [[source], *self.values_for(job.options)]

    def picked(self, event: gr.EventData, others: Any) -> list[Source]:
        """Adds an example or a file of the inbox."""
        picked = {
            name: event._data[name] for name in ("example", "input", "name", "size") if event._data.get(name)
        }
        return [*(source for source in others or [] if source.get("name") != picked.get("name")), picked]

    def removed(self, event: gr.EventData, others: Any) -> list[Source]:
        """Takes one source out again."""
        index = int(event._data["index"])
        return [source for place, source in enumerate(others or []) if place != index]

    def apply_preset(self, preset: str, media: Any) -> list[Any]:
        """The fields' values for a preset, when to take it, and what it changes."""
        present = [model.name for model in self._processor.check_available_models() if model.present]
        size = (media["height"], media["width"]) if media else None
        options = preset_options(preset, present, size)
        return [*self.values_for(options), preset_line(preset), preset_changes(preset, options)]

    def values_for(self, options: Options) -> list[Any]:
        """The fields' values, in their order."""
        offered = {value for _, value in SIZES}
        values: dict[str, Any] = {"model": options.model, "size": options.size, "width": "", "height": ""}
        if options.size not in offered:
            width, _, height = options.size.partition("x")
            exact = width.isdigit() and height.isdigit()
            values |= {"size": EXACT, "width": width, "height": height} if exact else {"size": DEFAULT_SIZE}
        values |= values_of(options)
        return [values[name] for name in self._fields]

    def follow_side(self, side: str, media: Any, is_width: bool) -> tuple[Any, Any]:
        """The other side, in ratio, and the size's choice."""
        if not side.strip().isdigit():
            return ("", gr.skip()) if not side.strip() else (gr.skip(), gr.skip())
        if not media:
            return gr.skip(), EXACT
        own, other = media["width"], media["height"]
        if not is_width:
            own, other = other, own
        return str(other_side(int(side), own, other)), EXACT

    def choose_size(self, size: str, media: Any) -> tuple[str, str, Any]:
        """Width and height for a size, and whether Advanced, where they are, is to be opened."""
        if size != EXACT:
            return "", "", gr.skip()
        height, width = (2 * media["height"], 2 * media["width"]) if media else ("", "")
        return str(width), str(height), gr.update(open=True)

    def _insert(self, sources: Sequence[Source], options: Options, owner: str) -> list[Job]:
        batch = secrets.token_urlsafe(12) if len(sources) > 1 else None
        # Every file is looked at before the first job is inserted: a batch starts whole or not at all.
        inputs = [self._input(source, owner) for source in sources]
        return [
            self._processor.process_video(
                given, options, owner=owner, name=str(source.get("name", "")) or None, batch=batch
            )
            for source, given in zip(sources, inputs, strict=True)
        ]

    def _input(self, source: Source, owner: str) -> StoredInput:
        if "job" not in source:
            return self._input_of(source, owner)
        return self._own(str(source["job"]), owner).input

    def _job(self, request: gr.Request, event: gr.EventData) -> Job:
        return self._own(str(event._data["job"]), self._owner(request))

    def _own(self, job_id: str, owner: str) -> Job:
        job = self._processor.status(job_id)
        if job.owner != owner:
            raise UnknownJobError(
                "This clip is not here.", remedy="It was deleted, or it belongs to somebody else."
            )
        return job

    def _owner(self, request: gr.Request) -> str:
        assert request.request is not None
        return self._owner_of(request.request)

    def _options(self, values: Sequence[Any]) -> Options:
        return options_of(dict(zip(self._fields, values, strict=True)))


def _sources(uploads: Any, others: Any) -> list[Source]:
    arrived = [
        {"upload": item["id"], "name": item["name"], "size": item.get("size")}
        for item in (uploads or {}).get("uploads") or ()
    ]
    return [*arrived, *(others or ())]
