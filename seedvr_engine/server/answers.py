"""Every failure in one form, `{code, message, remedy}`, with the status that fits."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from seedvr_engine.errors import SeedVRError

_LOG = logging.getLogger(__name__)

# 422 for what is wrong with the request itself.
_STATUS = {
    "usage": 422,
    "input": 422,
    "checkpoint": 409,
    "memory": 422,
    "output": 507,
    "state": 409,
    "unknown_job": 404,
    "not_found": 404,
    "queue_full": 429,
    "too_large": 413,
    "in_use": 409,
    "worker": 503,
}
_RETRY_S = 30


class Problem(BaseModel):
    """Why a request was refused: a code for programs, two sentences for people."""

    code: str
    message: str
    remedy: str


class NotFoundError(SeedVRError):
    """Nothing of this name, or nothing of the one who asks: the answer is the same."""

    code = "not_found"


class TooLargeError(SeedVRError):
    """A file, clip or picture beyond the limits of this server."""

    code = "too_large"


def refusal(status: int, code: str, message: str, remedy: str) -> JSONResponse:
    """A failure as an answer."""
    return JSONResponse({"code": code, "message": message, "remedy": remedy}, status_code=status)


def answer_failures(app: FastAPI) -> None:
    """Makes every failure of an application an answer in the one form."""
    app.add_exception_handler(SeedVRError, _told)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, SeedVRError)
    answer = refusal(_STATUS.get(error.code, 500), error.code, error.message, error.remedy)
    if error.code == "queue_full":
        answer.headers["Retry-After"] = str(_RETRY_S)
    return answer


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 413: "too_large"}.get(error.status_code, "http")
    answer = refusal(error.status_code, code, str(error.detail), "")
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return refusal(
        422, "usage", f"{where or 'The request'}: {first['msg']}.", "/api/docs shows what is expected."
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refusal(
        500,
        "internal",
        "Something went wrong on the server.",
        "Try again; `seedvr doctor --bundle report.zip` packs the log.",
    )
