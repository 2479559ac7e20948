"""Ctrl-C: a restoration is asked to stop, and the process ends soon, whatever it is in the middle of."""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from seedvr_engine.errors import Cancelled

# With what ending takes, this stays below the 3 s that are promised.
PATIENCE_S = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Gives an event that Ctrl-C or SIGTERM sets. At a second one, or if that did not help, the process ends.

    Ending at once loses nothing: whatever is finished has its final name, and only that counts. Works in the
    main thread alone.
    """
    interrupted = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watcher = threading.Thread(target=_watch, args=(reading, interrupted), daemon=True)
    watcher.start()
    # Python runs handlers between two steps of the main thread, which may be inside of a long computation;
    # the byte that a signal writes here wakes the watcher at once.
    wakeup_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers_before = {number: signal.signal(number, _left_to_the_watcher) for number in _SIGNALS}
    try:
        yield interrupted
    finally:
        for number, handler in handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup_before)
        os.close(writing)
        watcher.join()
        os.close(reading)


def _left_to_the_watcher(signum: int, frame: FrameType | None) -> None:
    """Without a handler of ours, Python would raise KeyboardInterrupt, and SIGTERM would kill."""


def _watch(reading: int, interrupted: threading.Event) -> None:
    """Sets the event at the first signal; ends the process at the second one or when patience ends."""
    while byte := os.read(reading, 1):
        if byte[0] not in _SIGNALS:
            continue
        if interrupted.is_set():
            _end()
        interrupted.set()
        if not select.select([reading], [], [], PATIENCE_S)[0]:
            _end()


def _end() -> None:
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)
    os.write(2, b"The restoration was stopped. The same command goes on from here.\n")
    os._exit(Cancelled.exit_code)
