"""Frames of a file, shot after shot."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.read import Frame, Reader, read_frames
from seedvr_engine.media.shots import mark_shots
from seedvr_engine.pipeline.background import Prefetched

_AHEAD_BYTES = 2**28
# People give seconds to the millisecond at best.
_TOLERANCE = Fraction(1, 2000)


def frames_ahead(info: MediaInfo) -> int:
    """How many decoded frames may wait, so that reading never holds more than 256 MB."""
    frame_bytes = info.width * info.height * 3 * (2 if info.bit_depth > 8 else 1)
    return max(2, min(32, _AHEAD_BYTES // max(1, frame_bytes)))


class ShotStream:
    """Reads on from one frame of a file, in a thread of its own, and hands the frames out by shots.

    first: number in the file to begin with. start, end: seconds; frames outside are left out. detect: look
    for cuts; without, everything is one shot. known: frames before this number are known to hold no cut, as
    they were read before. check: called while the file is waited for; may raise.
    """

    def __init__(
        self,
        info: MediaInfo,
        first: int,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        detect: bool = True,
        known: int = 0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader = read_frames(info, first=first)
        self._known = known

        def read(is_stopped: Callable[[], bool]) -> Iterator[tuple[int, Frame]]:
            self._reader.is_stopped = is_stopped
            return _marked(_between(self._reader, start, end), detect)

        self._frames = Prefetched(read, frames_ahead(info), check)
        self._marked = iter(self._frames)
        try:
            self._next = next(self._marked, None)
        except BaseException:
            self._frames.close()
            raise

    @property
    def next_frame(self) -> Frame | None:
        """The first frame of the next shot; None at the end."""
        return self._next[1] if self._next is not None else None

    def shot(self) -> Iterator[Frame]:
        """Yields frames up to the next cut or the end."""
        shot = None
        while self._next is not None:
            number, frame = self._next
            if shot is not None and number != shot and frame.number >= self._known:
                return
            shot = number
            self._next = next(self._marked, None)
            yield frame

    @property
    def warnings(self) -> list[str]:
        """What the reader met."""
        return self._reader.warnings

    def close(self) -> None:
        """Lets go of the file."""
        self._frames.close()


class Originals:
    """The source's frames once more, for the stage that writes; one reading goes on from shot to shot."""

    def __init__(self, info: MediaInfo, check: Callable[[], None] = lambda: None) -> None:
        self._info, self._check = info, check
        self._frames: Prefetched[Frame] | None = None
        self._iterator: Iterator[Frame] = iter(())
        self._following: Frame | None = None
        self._next = 0

    def frame(self, number: int) -> Frame | None:
        """Frame `number` of the file, cheap where it follows the last one asked for; None behind the end."""
        if self._frames is None or number != self._next:
            self.close()
            self._frames = Prefetched(partial(self._read, number), frames_ahead(self._info), self._check)
            self._iterator = iter(self._frames)
        self._next = number + 1
        following, self._following = self._following, None
        return following or next(self._iterator, None)

    def _read(self, number: int, is_stopped: Callable[[], bool]) -> Iterator[Frame]:
        reader = read_frames(self._info, first=number)
        reader.is_stopped = is_stopped
        return reader

    def following(self) -> Frame | None:
        """The frame behind the last one asked for, which is not used up by this; None behind the end."""
        if self._following is None:
            self._following = next(self._iterator, None)
        return self._following

    def close(self) -> None:
        """Lets go of the file."""
        if self._frames is not None:
            self._frames.close()
            self._frames = self._following = None


def _between(reader: Reader, start: Fraction | None, end: Fraction | None) -> Iterator[Frame]:
    with reader:
        for frame in reader:
            if end is not None and frame.time >= end - _TOLERANCE:
                return
            if start is None or frame.time >= start - _TOLERANCE:
                yield frame


def _marked(frames: Iterator[Frame], detect: bool) -> Iterator[tuple[int, Frame]]:
    if detect:
        yield from mark_shots(frames)
    else:
        yield from ((0, frame) for frame in frames)
