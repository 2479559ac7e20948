"""A worker ends when its server does, however that happens."""

import logging
import os
import threading
from collections.abc import Callable

import psutil

from seedvr_engine.jobs import processes

_INTERVAL_S = 1.0
_log = logging.getLogger(__name__)


def server_name(pid: int) -> str:
    """What a server is called: its process, told beyond reuse of the number."""
    return f"{pid}@{processes.birth(pid):.2f}"


def find_server(name: str) -> psutil.Process | None:
    """The living process of a server."""
    pid, _, create_time = name.partition("@")
    return processes.find(int(pid), float(create_time))


def end_with(server: psutil.Process | None) -> None:
    """Ends this process within about a second of its server's or its parent's end.

    Ending at once loses nothing: whatever is finished has its final name, and only that counts.
    """
    parent = os.getppid()

    def is_orphan() -> bool:
        return server is None or not server.is_running() or os.getppid() != parent

    if is_orphan():
        raise SystemExit("The server of this worker is gone.")
    _end_once(is_orphan, "the server is gone; the worker ends", code=1)


def end_after(owner: psutil.Process, patience_s: float) -> None:
    """Ends this process some seconds after another one's end, wherever it stands then: something may hang."""
    _end_once(lambda: not processes.is_alive(owner), "rank 0 is gone", code=0, patience_s=patience_s)


def _end_once(is_so: Callable[[], bool], sentence: str, *, code: int, patience_s: float = 0.0) -> None:
    def watch() -> None:
        pause = threading.Event()
        while not is_so():
            pause.wait(_INTERVAL_S)
        pause.wait(patience_s)
        _log.warning(sentence)
        os._exit(code)

    threading.Thread(target=watch, name="liveness", daemon=True).start()
