"""Files that come in one request, as forms send them: onto the disk, within the limits, never into memory."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from seedvr_engine.errors import UsageError
from seedvr_engine.server.uploads import Uploads, clean_name


@dataclass(frozen=True)
class FormFile:
    """A form with one file.

    path: the file, which whoever wants to keep it moves away. texts: the other parts.
    """

    path: Path
    name: str
    texts: dict[str, str]


@asynccontextmanager
async def form_file(request: Request, part: str, uploads: Uploads, scratch: Path) -> AsyncIterator[FormFile]:
    """The file in a form's part. scratch: a folder for it.

    Raises TooLargeError, UsageError; HTTPException where the request does not say its length.
    """
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        raise HTTPException(411, "The request has to say its length.")
    uploads.check_size(int(length))
    async with request.form(max_files=1) as form:
        file = form.get(part)
        if not isinstance(file, UploadFile):
            raise UsageError("The form has no file.", remedy=f"Send it in the part that is called {part}.")
        texts = {key: value for key, value in form.items() if isinstance(value, str)}
        path = await run_in_threadpool(_copy, file, scratch)
        name = clean_name(file.filename or "upload")
    try:
        yield FormFile(path, name, texts)
    finally:
        path.unlink(missing_ok=True)


def _copy(file: UploadFile, scratch: Path) -> Path:
    with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as copy:
        shutil.copyfileobj(file.file, copy, 1 << 20)
    return Path(copy.name)
