"""Jobs for programs: /api/jobs, /api/batches, /api/inbox."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from seedvr_engine.errors import UsageError
from seedvr_engine.jobs.errors import NotReadyError, UnknownJobError
from seedvr_engine.jobs.messages import Job, StoredInput
from seedvr_engine.server.answers import NotFoundError, Problem
from seedvr_engine.server.desk import Desk
from seedvr_engine.server.forms import form_file
from seedvr_engine.server.shapes import InboxView, JobRequest, JobView, Submitted
from seedvr_engine.server.uploads import clean_name
from seedvr_engine.server.visitors import Visitors, owner_of
from seedvr_engine.server.zips import zip_stream

_LOOK_S = 0.25
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": JobRequest.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "options": {"type": "string", "description": "A JSON object."},
                    },
                }
            },
        },
    }
}
_FAILURES: dict[int | str, dict[str, Any]] = {404: {"model": Problem}, 409: {"model": Problem}}


def jobs_router(desk: Desk, visitors: Visitors, scratch: Path) -> APIRouter:
    """scratch: a folder for files that come in one request."""
    router = APIRouter(prefix="/api", tags=["jobs"], responses=_FAILURES)

    def own_job(request: Request, id: str) -> Job:
        return desk.job(owner_of(request), id)

    @router.post("/jobs", status_code=201, openapi_extra=_BODY)
    async def submit(request: Request) -> Submitted:
        """Queues a restoration of a file, an upload, or a file in the inbox."""
        owner = owner_of(request)
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            asked, source = await _from_form(request, desk, scratch)
        else:
            asked = _parse(await request.body())
            source = await run_in_threadpool(desk.source, owner, upload=asked.upload, input=asked.input)
        job = await run_in_threadpool(
            desk.submit,
            owner,
            source,
            asked.options,
            name=clean_name(asked.name) if asked.name else None,
            kind=asked.kind,
            moment_s=asked.moment_s,
            batch=asked.batch,
        )
        return Submitted(id=job.id, token=visitors.token(owner), state=job.state)

    @router.get("/jobs")
    def jobs(request: Request) -> list[JobView]:
        """Your jobs, newest first."""
        return [JobView.of(job) for job in desk.jobs(owner_of(request))]

    @router.get("/jobs/{id}")
    def job(request: Request, id: str) -> JobView:
        """How a job stands."""
        return JobView.of(desk.job(owner_of(request), id))

    # The job is looked for before the stream begins, so that there is still a 404 to give.
    @router.get("/jobs/{id}/events", response_class=EventSourceResponse, dependencies=[Depends(own_job)])
    async def events(request: Request, id: str) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events: the job now and after every change, until it ends."""
        owner, seen = owner_of(request), None
        while True:
            try:
                now = await run_in_threadpool(desk.job, owner, id)
            except UnknownJobError:
                return
            if (now.revision, now.queue_position) != seen:
                seen = (now.revision, now.queue_position)
                yield ServerSentEvent(data=JobView.of(now), id=str(now.revision))
            if now.is_final:
                return
            await asyncio.sleep(_LOOK_S)

    @router.post("/jobs/{id}/cancel")
    def cancel(request: Request, id: str) -> JobView:
        """Stops a job; its finished work is kept for `continue`."""
        return JobView.of(desk.cancel(owner_of(request), id))

    @router.post("/jobs/{id}/continue")
    def resume(request: Request, id: str) -> JobView:
        """Queues a job again that was interrupted, cancelled or failed; it goes on from its finished work."""
        return JobView.of(desk.resume(owner_of(request), id))

    @router.delete("/jobs/{id}", status_code=204)
    def delete(request: Request, id: str) -> Response:
        """Removes a job and its files."""
        desk.delete(owner_of(request), id)
        return Response(status_code=204)

    @router.get("/jobs/{id}/result", response_class=FileResponse)
    def result(request: Request, id: str, inline: bool = False) -> Response:
        """The finished file; answers ranges. A folder of pictures comes as a ZIP.

        inline: to be shown rather than saved. 409 before it is done.
        """
        path = _result_of(desk.job(owner_of(request), id))
        if path.is_dir():
            return _zip([path], path.name)
        kind = "inline" if inline else "attachment"
        return FileResponse(path, filename=path.name, content_disposition_type=kind, headers=_PRIVATE)

    @router.get("/jobs/{id}/thumbnail", response_class=FileResponse)
    def thumbnail(request: Request, id: str) -> FileResponse:
        """A small picture of the input (JPEG)."""
        return _picture(desk, request, id, "thumbnail.jpg")

    @router.get("/jobs/{id}/latest/{side}", response_class=FileResponse)
    def latest(request: Request, id: str, side: str) -> FileResponse:
        """The frame that was restored last ("after"), or its original ("before"), as JPEG."""
        if side not in ("before", "after"):
            raise NotFoundError("There is before and after.")
        return _picture(desk, request, id, f"latest_{side}.jpg")

    @router.get("/batches/{id}")
    def batch(request: Request, id: str) -> list[JobView]:
        """The jobs of a batch."""
        return [JobView.of(job) for job in desk.batch(owner_of(request), id)]

    @router.get("/batches/{id}/zip", response_class=StreamingResponse)
    def batch_zip(request: Request, id: str) -> StreamingResponse:
        """All finished results of a batch in one ZIP."""
        done = [job.result for job in desk.batch(owner_of(request), id) if job.state == "done" and job.result]
        if not done:
            raise NotReadyError("Nothing of this batch is done yet.", remedy="Wait until a job is.")
        return _zip(done, "restored")

    @router.get("/inbox")
    def inbox() -> list[InboxView]:
        """Videos and pictures in the inbox folder."""
        return [InboxView(**vars(file)) for file in desk.inbox.files()]

    return router


_PRIVATE = {"Cache-Control": "private, no-cache"}


def _zip(paths: Sequence[Path], name: str) -> StreamingResponse:
    disposition = f"attachment; filename*=UTF-8''{quote(name)}.zip"
    headers = {"Content-Disposition": disposition} | _PRIVATE
    return StreamingResponse(zip_stream(paths), media_type="application/zip", headers=headers)


def _result_of(job: Job) -> Path:
    if job.state != "done" or job.result is None:
        raise NotReadyError(f"The job is {job.state}, so it has no result.", remedy="Wait until it is done.")
    if not job.result.exists():
        raise NotFoundError("The result was removed from the disk.", remedy="Run the job again.")
    return job.result


def _picture(desk: Desk, request: Request, id: str, name: str) -> FileResponse:
    path = desk.processor.folder_of(desk.job(owner_of(request), id).id) / name
    if not path.is_file():
        raise NotFoundError("There is no such picture yet.")
    return FileResponse(path, media_type="image/jpeg", headers=_PRIVATE)


def _parse(body: bytes | str) -> JobRequest:
    try:
        return JobRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "The body"
        raise UsageError(f"{where}: {first['msg']}.", remedy="/api/docs shows what is expected.") from error


async def _from_form(request: Request, desk: Desk, scratch: Path) -> tuple[JobRequest, StoredInput | Path]:
    """A job and its file out of one request."""
    async with form_file(request, "file", desk.uploads, scratch) as form:
        asked = _parse(_as_json(form.texts))
        if asked.upload or asked.input:
            raise UsageError("A form brings its own file.", remedy="Leave upload and input out.")
        add = partial(desk.processor.add_input, move=True)
        return asked, await run_in_threadpool(add, form.path, form.name)


def _as_json(texts: dict[str, str]) -> str:
    """The texts of a form as the same request in JSON."""
    try:
        return json.dumps({**texts, "options": json.loads(texts.get("options") or "{}")})
    except json.JSONDecodeError as error:
        raise UsageError("The options are no JSON.", remedy='Write {"size": "2x"}, for example.') from error
