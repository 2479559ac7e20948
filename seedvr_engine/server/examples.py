"""Clips to try without one's own, which the project drew itself: /api/examples."""

import io
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from PIL import Image
from pydantic import BaseModel

from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.server.answers import NotFoundError

FOLDER = Path(__file__).resolve().parents[2] / "examples"
_WIDTH = 320


class ExampleView(BaseModel):
    """A clip to try. Its picture is examples/NAME.jpg, the clip itself examples/NAME."""

    name: str
    title: str
    bytes: int


def example_path(name: str) -> Path:
    """Where an example lies. Raises NotFoundError."""
    path = _examples().get(name)
    if path is None:
        raise NotFoundError("There is no such example.", remedy="Choose one of the list.")
    return path


def examples_router() -> APIRouter:
    """The examples, their pictures, and the clips themselves."""
    router = APIRouter(prefix="/api/examples", tags=["examples"])

    @router.get("")
    def examples() -> list[ExampleView]:
        """Clips that came with the program."""
        return [
            ExampleView(name=name, title=name.replace("_", " ").capitalize(), bytes=path.stat().st_size)
            for name, path in _examples().items()
        ]

    @router.get("/{name}.jpg", response_class=Response)
    def picture(name: str) -> Response:
        """The first frame of an example."""
        return Response(_picture(example_path(name)), media_type="image/jpeg")

    @router.get("/{name}", response_class=FileResponse)
    def clip(name: str) -> FileResponse:
        """An example itself."""
        return FileResponse(example_path(name))

    return router


def _examples() -> dict[str, Path]:
    clips = sorted(FOLDER.glob("*.mp4"))
    return {path.stem: path for path in clips if not path.stem.endswith("_restored")}


@cache
def _picture(path: Path) -> bytes:
    picture = Image.fromarray(next(iter(read_frames(probe(path)))).rgb)
    picture.thumbnail((_WIDTH, _WIDTH))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
