"""A proxy with the habits of those before hosted machines: it ends long requests, drops lines, and stalls."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_PIECE = 1 << 16


class Proxy:
    """Passes HTTP/1.1 on to one server.

    limit: longest body of a request, bytes; the line ends at longer ones. drop_at: after so many bytes of
    bodies in all the line is dropped, at each of these once. It counts what passes.
    """

    def __init__(self, target: str, *, limit: int, drop_at: tuple[int, ...] = ()) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname, parts.port
        self._limit, self._drop_at = limit, list(drop_at)
        self.url = ""
        self.passed = 0
        self.dropped = 0
        self.refused = 0
        self.longest = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._stall_at: int | None = None

    def stall_at(self, count: int) -> None:
        """Holds everything back once so many bytes of bodies have passed, until `flow`."""
        self._stall_at = count

    @property
    def is_stalled(self) -> bool:
        return not self._flowing.is_set()

    def flow(self) -> None:
        """Lets everything pass again."""
        self._stall_at = None
        self._flowing.set()

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        """Serves until `stop`."""
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, limit=1 << 20)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await stop.wait()
        server.close()
        lines = asyncio.all_tasks() - {asyncio.current_task()}
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection(self._host, self._port)
        back = asyncio.create_task(_pump(upstream_reader, writer))
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._request(reader, upstream):
                    pass
        finally:
            back.cancel()
            for side in (writer, upstream):
                side.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> bool:
        """Passes one request on; False where the line is to end."""
        head = await reader.readuntil(b"\r\n\r\n")
        left = _length(head)
        self.longest = max(self.longest, left)
        if left > self._limit:
            self.refused += 1
            return False
        upstream.write(head)
        while left:
            piece = await reader.read(min(_PIECE, left))
            if not piece:
                return False
            left -= len(piece)
            self.passed += len(piece)
            upstream.write(piece)
            await upstream.drain()
            if self._drop_at and self.passed >= self._drop_at[0]:
                self._drop_at.pop(0)
                self.dropped += 1
                return False
            await self._hold()
        return True

    async def _hold(self) -> None:
        if self._stall_at is not None and self.passed >= self._stall_at:
            self._stall_at = None
            self._flowing.clear()
        while not self._flowing.is_set():
            await asyncio.sleep(0.02)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
        writer.close()


@contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """Runs a proxy in a thread of its own, until the end of the block."""
    started, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(proxy.serve(started, stop),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        proxy.flow()
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
