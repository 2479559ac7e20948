"""Named Gradio endpoints for gradio_client: thin calls of what REST calls.

`restore(video, model, size, settings) -> {"id", "token"}`, `status(job, token)`, `cancel(job, token)`,
`models()`.
"""

import secrets
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import APIRouter, Request

from seedvr_engine.errors import SeedVRError, UsageError
from seedvr_engine.pipeline.options import DEFAULT_SIZE
from seedvr_engine.server.answers import NotFoundError
from seedvr_engine.server.desk import Desk
from seedvr_engine.server.forms import form_file
from seedvr_engine.server.shapes import JobView
from seedvr_engine.server.system import model_view
from seedvr_engine.server.uploads import clean_name
from seedvr_engine.server.visitors import Visitors, owner_of


def add_endpoints(desk: Desk, visitors: Visitors, sent: Path) -> None:
    """Adds the endpoints; to be called inside a Blocks context. sent: where `sent_router` puts files."""

    def restore(
        video: dict[str, Any],
        model: str = "auto",
        size: str = DEFAULT_SIZE,
        settings: dict[str, Any] | None = None,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Queues a restoration of a file; settings are further options, as in POST /api/jobs."""
        owner = _owner(visitors, "", request)
        with _told():
            path = _sent_file(sent, video)
            stored = desk.processor.add_input(path, clean_name(path.name), move=True)
            path.parent.rmdir()
            job = desk.submit(owner, stored, {"model": model, "size": size, **(settings or {})})
        return {"id": job.id, "token": visitors.token(owner)}

    def status(job: str, token: str = "", request: gr.Request | None = None) -> dict[str, Any]:
        """How a job stands, as in GET /api/jobs/ID."""
        with _told():
            return JobView.of(desk.job(_owner(visitors, token, request), job)).model_dump()

    def cancel(job: str, token: str = "", request: gr.Request | None = None) -> dict[str, Any]:
        """Stops a job."""
        with _told():
            return JobView.of(desk.cancel(_owner(visitors, token, request), job)).model_dump()

    def models() -> list[dict[str, Any]]:
        """The models, present or not."""
        return [model_view(model).model_dump() for model in desk.processor.check_available_models()]

    for endpoint in (restore, status, cancel, models):
        gr.api(endpoint, api_name=endpoint.__name__, queue=False)


def sent_router(desk: Desk, sent: Path) -> APIRouter:
    """Takes the place of Gradio's upload, whose paths are hashes of the content, open to whoever knows them.

    Here a path can be guessed by nobody, is used up by the one call that it is for, and is never given out.
    """
    router = APIRouter(include_in_schema=False)

    @router.post("/gradio_api/upload")
    async def upload(request: Request) -> list[str]:
        if "sec-fetch-site" in request.headers:
            raise NotFoundError("The page uploads elsewhere.", remedy="POST /api/uploads.")
        async with form_file(request, "files", desk.uploads, sent) as form:
            folder = sent / secrets.token_urlsafe(24)
            folder.mkdir(mode=0o700)
            return [str(form.path.rename(folder / form.name))]

    return router


class _told:  # noqa: N801 - reads like the word that it is
    """Turns our errors into Gradio's, with the same sentence."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SeedVRError):
            raise gr.Error(str(error), print_exception=False) from error


def _owner(visitors: Visitors, token: str, request: gr.Request | None) -> str:
    asks = request.request if request else None
    owner = visitors.owner_of_token(token) if token else owner_of(asks)
    if owner is None:
        raise UsageError("The token is not one of this server.", remedy="Use the one that restore gave.")
    return owner


def _sent_file(sent: Path, video: dict[str, Any]) -> Path:
    """What `upload` kept for a call. Raises UsageError for any other path."""
    path = Path(str(video.get("path", "")))
    if path.parent.parent != sent or path.resolve().parent.parent != sent.resolve() or not path.is_file():
        raise UsageError("The file is not here.", remedy="Give it as handle_file(PATH) of gradio_client.")
    return path
