"""A stand-in of the Hugging Face hub on loopback, which can cut, stall, refuse and lie."""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c0ffee" * 6 + "c0de"


@dataclass
class Fault:
    """What goes wrong with one answer.

    status: an error instead of the file. headers: beside it. after: bytes after which the connection is cut
    or, with stall, silent. content: other bytes of the same length. ignore_range: the whole file although a
    part was asked for.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    after: int | None = None
    stall: bool = False
    content: bytes | None = None
    ignore_range: bool = False
    method: str = "GET"


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    range: str
    authorization: str


@dataclass
class Hub:
    """files: "REPOSITORY/FILE" -> content. faults: answered first, one each, to requests of their method.

    small: files whose etag is git's blob hash, as for files outside LFS. cdn: another address that files are
    redirected to, as the hub does for large ones.
    """

    address: str = ""
    cdn: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    small: set[str] = field(default_factory=set)
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    seen: list[Seen] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def etag(self, name: str) -> str:
        content = self.files[name]
        if name in self.small:
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return hashlib.sha256(content).hexdigest()

    def next_fault(self, method: str) -> Fault | None:
        if self.faults and self.faults[0].method == method:
            return self.faults.popleft()
        return self.always if self.always and self.always.method == method else None

    def ranges(self) -> list[str]:
        return [request.range for request in self.seen if request.method == "GET"]


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    with _listening(_handler(hub)) as address:
        hub.address = address
        yield hub
        hub.released.set()


@contextmanager
def redirecting_to_another_host(hub: Hub) -> Iterator[list[Seen]]:
    """Large files come from a second address, as the hub's do. Gives the requests that arrive there."""
    store = Hub(files=hub.files, small=hub.small, faults=hub.faults)
    with _listening(_handler(store)) as address:
        hub.cdn = address
        yield store.seen


@contextmanager
def _listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def do_HEAD(self) -> None:
            self._answer("HEAD", lambda _: None)

        def do_GET(self) -> None:
            self._answer("GET", self._send)

        def _answer(self, method: str, send: Callable[[tuple[bytes, Fault | None]], None]) -> None:
            headers = self.headers
            hub.seen.append(
                Seen(method, self.path, headers.get("Range", ""), headers.get("Authorization", ""))
            )
            fault = hub.next_fault(method)
            repository, _, file = self.path.lstrip("/").partition("/resolve/")
            name = f"{repository}/{file.partition('/')[2]}"
            if (fault and fault.status) or name not in hub.files:
                self._refuse(fault or Fault(404, {"X-Error-Code": "EntryNotFound"}))
                return
            content = fault.content if fault and fault.content is not None else hub.files[name]
            start = int(headers["Range"][6:].rstrip("-")) if headers.get("Range") else 0
            start = 0 if fault and fault.ignore_range else start
            if hub.cdn:
                self.send_response(302)
                self.send_header("Location", f"{hub.cdn}{self.path}")
                self.send_header("Content-Length", "0")
                body = b""
            else:
                body = content[start:]
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{hub.etag(name)}"')
            self.send_header("X-Linked-Size", str(len(hub.files[name])))
            self.end_headers()
            send((body, fault))

        def _refuse(self, fault: Fault) -> None:
            self.send_response(fault.status)
            for key, value in fault.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, answer: tuple[bytes, Fault | None]) -> None:
            body, fault = answer
            if not fault or fault.after is None:
                self.wfile.write(body)
                return
            self.wfile.write(body[: fault.after])
            self.wfile.flush()
            if fault.stall:
                hub.released.wait(20)
            self.close_connection = True

    return Handler
