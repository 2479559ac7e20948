"""How often somebody may ask: a bucket of requests each, refilled evenly."""

import time
from collections import OrderedDict
from collections.abc import Callable

# Whoever comes after so many others is forgotten, and so has a full bucket again.
_REMEMBERED = 10_000


class RateLimit:
    """per_minute: requests in the long run, and at once after a minute of silence; 0 for no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str) -> float:
        """Takes one request out of somebody's bucket; 0 where there was one, else seconds until there is."""
        if not self._per_minute:
            return 0.0
        tokens = self.left(who)
        if tokens < 1:
            return (1 - tokens) * 60 / self._per_minute
        self._buckets[who] = (tokens - 1, self._clock())
        self._buckets.move_to_end(who)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return 0.0

    def left(self, who: str) -> float:
        """Requests that somebody may make at once."""
        now = self._clock()
        tokens, then = self._buckets.get(who, (float(self._per_minute), now))
        return min(self._per_minute, tokens + (now - then) * self._per_minute / 60)
