"""The page's HTML, made once for each address that the server is called by.

Gradio makes it anew for every request, the same 130 kB each time, for 50 ms of a core. While a job runs that
is what visitors would wait for.
"""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedvr_engine.server.guard import route_path

# What Gradio reads of a request to find out under which address it is seen.
_ADDRESS = ("host", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-gradio-server")
_KEPT = 32


class PageCache:
    """Middleware that answers for "/" itself. Nothing in the page depends on who asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._pages: OrderedDict[tuple[str, ...], tuple[bytes, bytes]] = OrderedDict()
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["method"] == "GET" and route_path(scope) in ("", "/")
        if not is_page:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key = (scope["scheme"], scope["path"], *(headers.get(name, "") for name in _ADDRESS))
        # One makes it, the others wait for that one.
        async with self._making:
            if key not in self._pages:
                # The address' query is read in the browser; what Gradio would do with it is shut.
                made = _Made()
                await self._app({**scope, "query_string": b""}, receive, made)
                if made.status != 200:
                    await made.pass_on(send)
                    return
                self._pages[key] = (made.body, gzip.compress(made.body, 6))
                if len(self._pages) > _KEPT:
                    self._pages.popitem(last=False)
            plain, packed = self._pages[key]
        is_packed = "gzip" in headers.get("accept-encoding", "")
        extra = {"Vary": "Accept-Encoding", "Cache-Control": "no-cache"}
        extra |= {"Content-Encoding": "gzip"} if is_packed else {}
        await HTMLResponse(packed if is_packed else plain, headers=extra)(scope, receive, send)


class _Made:
    """Takes an answer in instead of sending it."""

    def __init__(self) -> None:
        self._messages: list[MutableMapping[str, Any]] = []

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)

    @property
    def status(self) -> int:
        return int(self._messages[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self._messages)

    async def pass_on(self, send: Send) -> None:
        """Sends it after all."""
        for message in self._messages:
            await send(message)
