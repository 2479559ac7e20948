"""Reading and writing beside the computing, through bounded queues, so that neither side waits for long."""

import threading
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_S = 0.1


class Prefetched(Generic[T]):
    """Iterates over what a generator, running in a thread of its own, produces ahead of need.

    make: makes the generator; it is given a function that says when the generator should end early.
    ahead: how many items may wait. An exception of the generator is raised where its item would have come.
    check: called while an item is waited for; an error that it raises ends the waiting.
    `close` stops the thread, which alone touches the generator.
    """

    def __init__(
        self,
        make: Callable[[Callable[[], bool]], Iterator[T]],
        ahead: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._check = check
        self._queue: Queue[tuple[T | None, BaseException | None, bool]] = Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(make,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                item, error, last = self._queue.get(timeout=_POLL_S)
            except Empty:
                self._check()
                continue
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]

    def close(self) -> None:
        """Stops the thread and waits until it has let go of the file."""
        self._stopped.set()
        self._thread.join()

    def _run(self, make: Callable[[Callable[[], bool]], Iterator[T]]) -> None:
        items: Iterator[T] = iter(())
        try:
            items = make(self._stopped.is_set)
            for item in items:
                if not self._put((item, None, False)):
                    return
            self._put((None, None, True))
        except BaseException as error:
            self._put((None, error, True))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _put(self, entry: tuple[T | None, BaseException | None, bool]) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=_POLL_S)
            except Full:
                continue
            return True
        return False


class Consumer(Generic[T]):
    """Hands items to a function that runs in a thread of its own.

    An exception of the function is raised by the next `put` or by `finish`. waiting: how many items may wait.
    """

    def __init__(self, consume: Callable[[T], None], waiting: int) -> None:
        self._queue: Queue[T | None] = Queue(maxsize=waiting)
        self._consume = consume
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, item: T | None) -> None:
        """Adds an item; waits while the queue is full."""
        while self._error is None:
            try:
                self._queue.put(item, timeout=_POLL_S)
            except Full:
                continue
            return
        raise self._error

    def finish(self) -> None:
        """Waits until every item has been consumed."""
        self.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Stops after the item under way; what waits is dropped."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                item = self._queue.get(timeout=_POLL_S)
            except Empty:
                continue
            if item is None:
                return
            try:
                self._consume(item)
            except BaseException as error:
                self._error = error
                return
