"""Talks to the Hugging Face hub: where a file is, what its hash must be, its bytes from any position on.

Sessions, addresses and the hub's own errors come from `huggingface_hub` (so that proxies, certificates,
HF_ENDPOINT and HF_HUB_OFFLINE work as its users know them). Bytes come by plain HTTP; Xet is not used.

The token is HF_TOKEN, nothing else. It is read when a request is made and kept in no message: errors of the
libraries, whose frames hold request headers, are left behind when ours is raised.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from seedvr_engine.checkpoints.catalog import CatalogFile
from seedvr_engine.errors import CheckpointError, SeedVRError, UsageError

# Otherwise the library asks the hub for a list of programs that may be driving it, and names the one
# it finds.
constants.HF_HUB_DISABLE_TELEMETRY = True

_PASSING_STATUS = frozenset((408, 425, 429, 500, 502, 503, 504))
_T = TypeVar("_T")


@dataclass(frozen=True)
class Remote:
    """A file as the hub describes it.

    commit: the exact state of the repository. etag: SHA-256 of a large file, git's blob hash of a small one.
    """

    entry: CatalogFile
    commit: str
    etag: str
    size_bytes: int


class PassingError(Exception):
    """A failure that may be over at the next attempt.

    told_s: seconds that the server asked to wait.
    """

    def __init__(self, what: str, *, told_s: float = 0.0) -> None:
        super().__init__(what)
        self.told_s = told_s


def describe(entry: CatalogFile, *, stall_s: float) -> Remote:
    """Asks the hub for commit, hash and size of a file.

    stall_s: how long to wait for an answer. Raises PassingError, and CheckpointError when the file is not
    there, refused, or not the one that the catalog knows.
    """
    url = _url(entry, entry.revision)
    metadata = _call(entry, lambda: get_hf_file_metadata(url, token=_token() or False, timeout=stall_s))
    if not metadata.etag or metadata.size is None or not metadata.commit_hash:
        raise CheckpointError(
            f"{_host()} does not describe {entry.file} as a Hugging Face hub does.",
            remedy="Check HF_ENDPOINT.",
        )
    if entry.sha256 and len(metadata.etag) == 64 and metadata.etag != entry.sha256:
        raise CheckpointError(
            f"{entry.repository}/{entry.file} on {_host()} is not the known file: its SHA-256 is "
            f"{metadata.etag[:12]}…, expected {entry.sha256[:12]}….",
            remedy="Check HF_ENDPOINT: a mirror may hold something else.",
        )
    return Remote(entry, metadata.commit_hash, metadata.etag, metadata.size)


@contextmanager
def content(remote: Remote, start: int, *, stall_s: float) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Opens the bytes of a file from position `start` on.

    Gives (position of the first byte, pieces); the position is 0 where the server cannot start in the
    middle. Getting a piece raises PassingError when the connection breaks or nothing comes for `stall_s`
    seconds.
    """
    headers = build_hf_headers(token=_token() or False) | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    url = _url(remote.entry, remote.commit)
    request = get_session().build_request("GET", url, headers=headers, timeout=stall_s)
    del headers
    # Redirects lead to signed addresses of another host; the session does not send the token there.
    response = _call(remote.entry, lambda: get_session().send(request, stream=True, follow_redirects=True))
    try:
        _call(remote.entry, lambda: _check(response))
        yield _first_position(response, start), _pieces(remote.entry, response)
    finally:
        response.close()


def _check(response: httpx2.Response) -> None:
    if response.is_error:
        response.read()
    hf_raise_for_status(response)


def _first_position(response: httpx2.Response, start: int) -> int:
    if response.status_code != 206:
        return 0
    told = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if told != str(start):
        raise PassingError("the server answered with another part of the file")
    return start


def _pieces(entry: CatalogFile, response: httpx2.Response) -> Iterator[bytes]:
    # Pieces as they come: larger ones would be gathered in memory and lost when the connection breaks.
    pieces = response.iter_bytes()
    while piece := _call(entry, lambda: next(pieces, b"")):
        yield piece


def _call(entry: CatalogFile, do: Callable[[], _T]) -> _T:
    """Does it; failures of the libraries become ours, without a link back to frames that hold the token."""
    try:
        return do()
    except (OfflineModeIsEnabled, HfHubHTTPError, httpx2.HTTPError) as error:
        failure = _translate(error, entry)
    raise failure


def _translate(error: Exception, entry: CatalogFile) -> SeedVRError | PassingError:
    name = f"{entry.repository}/{entry.file}"
    if isinstance(error, OfflineModeIsEnabled):
        return CheckpointError(
            f"{name} cannot be fetched: HF_HUB_OFFLINE is set.", remedy="Unset HF_HUB_OFFLINE."
        )
    if isinstance(error, HfHubHTTPError):
        return _refusal(error, name)
    if isinstance(error, httpx2.TimeoutException):
        return PassingError(f"{_host()} was silent for too long")
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
        return PassingError(f"{_host()} cannot be reached")
    return PassingError("the connection broke off")


def _refusal(error: HfHubHTTPError, name: str) -> SeedVRError | PassingError:
    status = error.response.status_code
    if status in _PASSING_STATUS:
        told = error.response.headers.get("Retry-After", "")
        return PassingError(f"{_host()} answered {status}", told_s=float(told) if told.isdecimal() else 0.0)
    if status == 416:
        return PassingError("the server knows no such part of the file")
    if isinstance(error, GatedRepoError):
        return CheckpointError(
            f"{name} is given only to those who accept its terms (HTTP {status}).",
            remedy="Accept them on its page on the hub and set HF_TOKEN to a token of that account.",
        )
    if isinstance(error, RepositoryNotFoundError) or status in (401, 403):
        remedy = (
            "Check that HF_TOKEN is right" if os.environ.get("HF_TOKEN") else "Set HF_TOKEN if it is private"
        )
        return CheckpointError(
            f"{_host()} refuses {name} (HTTP {status}).", remedy=f"{remedy}, and HF_ENDPOINT."
        )
    return CheckpointError(f"{_host()} does not give {name} (HTTP {status}).", remedy="Check HF_ENDPOINT.")


def _token() -> str:
    """HF_TOKEN, "" when there is none. Raises UsageError for one that cannot be a header's value."""
    token = os.environ.get("HF_TOKEN", "").strip()
    # The library would show such a token in its error.
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError("HF_TOKEN holds characters that no token has.", remedy="Set it again, or unset it.")
    return token


def _url(entry: CatalogFile, revision: str) -> str:
    return hf_hub_url(entry.repository, entry.file, revision=revision, endpoint=_endpoint())


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT


def _host() -> str:
    return urlsplit(_endpoint()).netloc.rpartition("@")[2]
