"""The tus protocol 1.0.0 (https://tus.io): uploads in pieces that go on after a dropped line or a reload.

A piece is one request, so that a proxy's limit on a request limits only the piece. When a line drops, the
server may notice long after the browser has come back: whoever asks for an upload's offset first ends the
request that still writes to it.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from seedvr_engine.server.uploads import Upload, Uploads
from seedvr_engine.server.visitors import owner_of

_VERSION = "1.0.0"
_PIECE_BYTES = 1 << 20
_MEDIA_TYPE = "application/offset+octet-stream"


class InputState(BaseModel):
    """The file that an upload became."""

    hash: str
    name: str
    bytes: int


class UploadState(BaseModel):
    """An upload: `input` when it was taken in, `error` when the file is nothing that can be restored."""

    id: str
    name: str
    size: int
    offset: int
    complete: bool
    input: InputState | None
    error: dict[str, str] | None

    @staticmethod
    def of(upload: Upload) -> "UploadState":
        stored, problem = upload.input, upload.problem
        keys = ("code", "message", "remedy")
        told = {key: getattr(problem, key) for key in keys} if problem else None
        return UploadState(
            id=upload.id,
            name=upload.name,
            size=upload.size,
            offset=upload.offset,
            complete=upload.complete,
            input=InputState(hash=stored.hash, name=stored.name, bytes=stored.bytes) if stored else None,
            error=told,
        )


class _Writers:
    """At most one request writes to an upload, and a later one takes its place."""

    def __init__(self) -> None:
        self._stops: dict[str, asyncio.Event] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}

    @asynccontextmanager
    async def only(self, id: str) -> AsyncIterator[asyncio.Event]:
        """Ends the writer of before, if there is one; gives an event that is set when this one is to end."""
        if id in self._stops:
            self._stops[id].set()
        lock = self._locks.setdefault(id, asyncio.Lock())
        self._waiting[id] = self._waiting.get(id, 0) + 1
        try:
            async with lock:
                stop = self._stops[id] = asyncio.Event()
                yield stop
        finally:
            self._waiting[id] -= 1
            if not self._waiting[id]:
                for table in (self._stops, self._locks, self._waiting):
                    table.pop(id, None)


def tus_router(uploads: Uploads) -> APIRouter:
    """Routes below /api/uploads."""
    router = APIRouter(prefix="/api/uploads", tags=["uploads"])
    writers = _Writers()

    @router.options("")
    @router.options("/{id}", include_in_schema=False)
    async def options() -> Response:
        """What this server can do."""
        extensions = "creation,creation-with-upload,termination"
        headers = {"Tus-Version": _VERSION, "Tus-Extension": extensions}
        return _answer(204, headers)

    @router.post("", status_code=201)
    async def create(
        request: Request,
        upload_length: int = Header(ge=0, le=1 << 60),
        upload_metadata: str = Header(""),
        tus_resumable: str = Header(_VERSION),
    ) -> Response:
        """Begins an upload: its size in Upload-Length, its name as `filename` in Upload-Metadata.

        The answer's Location is where the bytes go. A body of type application/offset+octet-stream is the
        first of them.
        """
        _check_version(tus_resumable)
        names = _metadata(upload_metadata)
        name = names.get("filename") or names.get("name") or "upload"
        upload = uploads.create(owner_of(request), name, upload_length)
        offset = 0
        if request.headers.get("content-type") == _MEDIA_TYPE:
            offset = await _receive(request, upload)
        elif upload_length == 0:
            uploads.take_in(upload)
        # Relative to the host, so that it is right behind any proxy.
        location = f"{request.scope.get('root_path', '')}/api/uploads/{upload.id}"
        return _answer(201, {"Location": location, "Upload-Offset": str(offset)})

    @router.head("/{id}")
    async def head(request: Request, id: str, tus_resumable: str = Header(_VERSION)) -> Response:
        """How much has come."""
        _check_version(tus_resumable)
        uploads.get(owner_of(request), id)
        async with writers.only(id):
            upload = uploads.get(owner_of(request), id)
        headers = {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.size)}
        return _answer(200, headers | {"Cache-Control": "no-store"})

    @router.patch("/{id}", status_code=204)
    async def patch(
        request: Request,
        id: str,
        upload_offset: int = Header(ge=0),
        tus_resumable: str = Header(_VERSION),
    ) -> Response:
        """The next bytes. 409 where they do not begin at what has come."""
        _check_version(tus_resumable)
        if request.headers.get("content-type") != _MEDIA_TYPE:
            raise HTTPException(415, f"The content type has to be {_MEDIA_TYPE}.")
        upload = uploads.get(owner_of(request), id)
        return _answer(204, {"Upload-Offset": str(await _receive(request, upload, upload_offset))})

    @router.delete("/{id}", status_code=204)
    async def delete(request: Request, id: str) -> Response:
        """Cancels an upload."""
        uploads.get(owner_of(request), id)
        async with writers.only(id):
            uploads.remove(owner_of(request), id)
        return _answer(204, {})

    @router.get("/{id}")
    async def state(request: Request, id: str) -> UploadState:
        """How far it is, and what it was taken in as when it is whole."""
        return UploadState.of(uploads.get(owner_of(request), id))

    async def _receive(request: Request, upload: Upload, offset: int = 0) -> int:
        """Adds a request's body to an upload; returns the offset after it."""
        async with writers.only(upload.id) as stop:
            upload = uploads.get(upload.owner, upload.id)
            if offset != upload.offset:
                # Browsers send a request anew by themselves when a line breaks; this one need not go on.
                close = {"Connection": "close"}
                raise HTTPException(409, f"The next byte is {upload.offset}.", headers=close)
            left = upload.size - offset
            async for piece in _pieces(request, stop):
                left -= len(piece)
                if left < 0:
                    raise HTTPException(413, "More bytes came than Upload-Length said.")
                await asyncio.to_thread(uploads.append, upload.id, piece)
            upload = uploads.get(upload.owner, upload.id)
        if upload.complete:
            uploads.take_in(upload)
        return upload.offset

    return router


async def _pieces(request: Request, stop: asyncio.Event) -> AsyncIterator[bytearray]:
    """A body in pieces of a mebibyte, until it ends, its line breaks or `stop` is set; nothing is lost."""
    piece = bytearray()
    chunks = request.stream()
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while True:
            following = asyncio.ensure_future(anext(chunks, None))
            await asyncio.wait((following, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                break
            chunk = following.result()
            if chunk is None:
                break
            piece += chunk
            if len(piece) >= _PIECE_BYTES:
                yield piece
                piece = bytearray()
    except ClientDisconnect:
        pass
    finally:
        stopped.cancel()
    if piece:
        yield piece


def _metadata(header: str) -> dict[str, str]:
    """ "filename d29ybGQ=, filetype …" as names and values; what cannot be read is left out."""
    values = {}
    for pair in header.split(","):
        key, _, coded = pair.strip().partition(" ")
        try:
            values[key] = base64.b64decode(coded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return values


def _check_version(version: str) -> None:
    if version != _VERSION:
        raise HTTPException(412, f"This server speaks tus {_VERSION}.", {"Tus-Version": _VERSION})


def _answer(status: int, headers: dict[str, str]) -> Response:
    return Response(status_code=status, headers={"Tus-Resumable": _VERSION, **headers})
