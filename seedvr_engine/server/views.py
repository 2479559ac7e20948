"""What the page looks at: frames before and after, copies that every browser plays, moments of an upload."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from seedvr_engine.jobs.errors import NotReadyError
from seedvr_engine.jobs.messages import Job
from seedvr_engine.media import view
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.media.tonemap import to_screen
from seedvr_engine.media.view import Copy, Placement
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.size import Size, geometry
from seedvr_engine.server.answers import NotFoundError
from seedvr_engine.server.copies import Copies, Making
from seedvr_engine.server.desk import Desk
from seedvr_engine.server.examples import example_path
from seedvr_engine.server.visitors import owner_of

Side = Literal["before", "after"]
T = TypeVar("T")

_DECODES_AT_ONCE = 2
# What a job has made never changes; whoever is not its owner may not keep it either.
_KEEP = {"Cache-Control": "private, max-age=3600"}
_MOMENT_SIDE = 640
# Times of a clip whose frames follow each other this evenly are told by its rate alone.
_EVEN_S = 0.002


class Compared(BaseModel):
    """What there is to compare. Sizes in pixels of the result."""

    kind: Literal["video", "image"]
    frames: int
    rate: float = Field(description="Frames a second; 1 for a picture.")
    times: list[float] | None = Field(description="When each frame begins, in seconds; null for even ones.")
    duration_s: float
    width: int
    height: int
    sound: bool


@dataclass(frozen=True)
class Pair:
    """The files behind a comparison.

    shift: the original's time that belongs to time 0 of the result, seconds.
    placement: where the original lies in the result's frames.
    """

    before: MediaInfo
    after: MediaInfo
    times: list[Fraction]
    shift: Fraction
    placement: Placement

    def frame(self, side: Side, number: int) -> bytes:
        """A frame of the result, or the original of it, as PNG; both of the result's size."""
        if not 0 <= number < len(self.times):
            raise NotFoundError(f"There is no frame {number}; there are {len(self.times)}.")
        moment = self.times[number]
        info = self.after if side == "after" else self.before
        seconds = moment if side == "after" else moment + self.shift
        rgb = to_screen(view.frame_at(info, seconds), info.colour)
        return view.encode_png(view.place(rgb, self._placement(side)), info.icc)

    def compared(self) -> Compared:
        """What the page has to know."""
        info, times = self.after, self.times
        rate = float(info.rate or 1)
        starts = [float(time - times[0]) for time in times]
        even = all(abs(start - number / rate) < _EVEN_S for number, start in enumerate(starts))
        return Compared(
            kind="image" if info.kind == "image" else "video",
            frames=len(times),
            rate=rate,
            times=None if even else starts,
            duration_s=starts[-1] + 1 / rate,
            width=info.width,
            height=info.height,
            sound=bool(info.audio),
        )

    def playable(self, side: Side) -> Path | None:
        """The file itself, where browsers play it as it is, in step with the other one."""
        if side == "before" and (self.shift or self.before.path.parent != self.after.path.parent):
            return None
        info = self.after if side == "after" else self.before
        return info.path if self.times[0] == 0 and view.plays_everywhere(info) else None

    def copy(self, side: Side, folder: Path) -> Copy:
        """The copy to be made of a side."""
        info = self.after if side == "after" else self.before
        shift = Fraction(0) if side == "after" else self.shift
        destination = folder / f"view_{side}.mp4"
        placement = self._placement(side)
        return Copy(info.path, destination, self.after.path, shift, placement, sound=side == "after")

    def _placement(self, side: Side) -> Placement:
        if side == "before":
            return self.placement
        return Placement.whole((self.after.height, self.after.width))


def views_router(desk: Desk) -> APIRouter:
    """Everybody sees what is theirs: what belongs to another visitor is answered as if it were not there."""
    decoding, copies = Turns(_DECODES_AT_ONCE), Copies()

    @asynccontextmanager
    async def while_serving(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(copies.close)

    router = APIRouter(prefix="/api", tags=["views"], lifespan=while_serving)

    def pair(request: Request, id: str) -> tuple[Job, Pair]:
        job = desk.job(owner_of(request), id)
        return job, pair_of(job, desk.processor.folder_of(job.id))

    @router.get("/jobs/{id}/view")
    async def compared(request: Request, id: str) -> Compared:
        """What there is to compare: how many frames of which size, and when each is shown."""
        return await decoding.run(lambda: pair(request, id)[1].compared())

    @router.get("/jobs/{id}/frames/{number}/{side}", response_class=Response)
    async def frame(request: Request, id: str, number: int, side: Side) -> Response:
        """A frame of the result ("after") or its original ("before"), both of the result's size (PNG)."""
        png = await decoding.run(lambda: pair(request, id)[1].frame(side, number))
        return Response(png, media_type="image/png", headers=_KEEP)

    @router.api_route("/jobs/{id}/view/{side}.mp4", methods=["GET", "HEAD"], response_class=FileResponse)
    def video(request: Request, id: str, side: Side) -> Response:
        """A copy that browsers play; both have the same frames at the same times. 202 while it is made."""
        job, files = pair(request, id)
        folder = desk.processor.folder_of(job.id)
        path = files.playable(side) or copies.get(files.copy(side, folder))
        if isinstance(path, Making):
            return JSONResponse({"progress": path.progress}, 202, {"Retry-After": "1"})
        return FileResponse(path, media_type="video/mp4", headers=_KEEP)

    @router.get("/uploads/{id}/frame", response_class=Response)
    async def moment(request: Request, id: str, at: float = Query(0, ge=0, le=1e6)) -> Response:
        """A small picture (JPEG) of an upload at a moment, in seconds from its beginning."""
        owner = owner_of(request)
        stored = await run_in_threadpool(desk.uploads.stored_input, owner, id)
        return await moment_in(stored.path, at)

    @router.get("/inbox/frame", response_class=Response)
    async def inbox_moment(name: str, at: float = Query(0, ge=0, le=1e6)) -> Response:
        """The same of a file in the inbox."""
        return await moment_in(await run_in_threadpool(desk.inbox.path, name), at)

    @router.get("/examples/{name}/frame", response_class=Response)
    async def example_moment(name: str, at: float = Query(0, ge=0, le=1e6)) -> Response:
        """The same of an example."""
        return await moment_in(await run_in_threadpool(example_path, name), at)

    async def moment_in(path: Path, at: float) -> Response:
        jpeg = await decoding.run(lambda: moment_of(path, at))
        return Response(jpeg, media_type="image/jpeg", headers=_KEEP)

    return router


class Turns:
    """Runs work in threads, a few at a time; what waits holds no thread."""

    def __init__(self, at_once: int) -> None:
        self._turns = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[[], T]) -> T:
        """Runs it when its turn has come."""
        async with self._turns:
            return await run_in_threadpool(work)


def pair_of(job: Job, folder: Path) -> Pair:
    """The files behind the comparison of a finished job.

    folder: the job's own, where previews keep both sides. Raises NotReadyError, NotFoundError, InputError.
    """
    if job.state != "done" or job.result is None:
        raise NotReadyError(f"The job is {job.state}, so there is nothing to compare.", remedy="Wait for it.")
    if job.result.is_dir():
        raise NotFoundError("A folder of pictures is not compared here.", remedy="Download it.")
    if not job.result.is_file():
        raise NotFoundError("The result is no longer on the disk.", remedy="Run the job again.")
    after = info_of(job.result)
    times = times_of(job.result)
    kept = None if job.kind == "full" else next(folder.glob("before.*"), None)
    if kept is not None:
        before = info_of(kept)
        place = Placement.whole((before.height, before.width), (after.height, after.width))
        return Pair(before, after, times, Fraction(0), place)
    before = info_of(job.input.path)
    place = placement_of(before, (after.height, after.width), job.options)
    return Pair(before, after, times, shift_of(before, job.options), place)


def shift_of(source: MediaInfo, options: Options) -> Fraction:
    """The source's time that is 0 in its restoration, as the pipeline decides it."""
    zero = source.start if source.free_running else Fraction(0)
    start, _ = options.span
    return zero if start is None else zero + start


def placement_of(source: MediaInfo, output: tuple[int, int], options: Options) -> Placement:
    """Where a source lies in frames of the output's size (height, width)."""
    boxed = Size.parse(options.size).box is not None and options.fit in ("crop", "pad")
    shape = geometry((source.height, source.width), Size(box=output), options.fit if boxed else "stretch")
    return Placement(shape.crop, shape.resized, shape.output, shape.offset)


def moment_of(path: Path, seconds: float) -> bytes:
    """A small JPEG of a clip at a moment counted from its beginning."""
    info = info_of(path)
    zero = info.start if info.kind == "video" else Fraction(0)
    rgb = to_screen(view.frame_at(info, zero + Fraction(seconds)), info.colour)
    return view.encode_jpeg(rgb, _MOMENT_SIDE)


def info_of(path: Path) -> MediaInfo:
    """What a file is; looked at once for as long as it stays the same."""
    return _info(path, _version(path))


def times_of(path: Path) -> list[Fraction]:
    """When each frame of a file is shown; read once for as long as it stays the same."""
    return _times(path, _version(path))


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise NotFoundError("The original is no longer on the disk.", remedy="Upload it again.") from error
    return status.st_mtime_ns, status.st_size


@lru_cache(256)
def _info(path: Path, version: tuple[int, int]) -> MediaInfo:
    return probe(path)


@lru_cache(32)
def _times(path: Path, version: tuple[int, int]) -> list[Fraction]:
    return view.times_of(probe(path))
