"""Keeps an encoder from taking the machine.

SVT-AV1, run by root as in most containers, makes its threads and the thread that opened it realtime ones
(SCHED_FIFO, the highest priority), and never takes that back. Whatever is started afterwards inherits it, and
everything else on the machine waits: the page, other jobs, the process that should end them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def usual_priority() -> Iterator[None]:
    """Threads that became realtime ones inside the block are usual ones after it; Linux alone has them."""
    before = _realtime()
    try:
        yield
    finally:
        for thread in _realtime() - before:
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _realtime() -> set[int]:
    """Numbers of this process's threads that run with a realtime priority."""
    if not _THREADS.is_dir():
        return set()
    found = set()
    for thread in (int(path.name) for path in _THREADS.iterdir()):
        with suppress(ProcessLookupError):
            if os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR):
                found.add(thread)
    return found
