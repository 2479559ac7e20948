"""The sound of a copy for browsers: the first track of a clip, as AAC."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import Any

import av
import av.error
from av.container import OutputContainer

from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.opening import open_media

_BITS_PER_S = 160_000


class Sound:
    """Writes a clip's sound into a container, little by little, beside the picture.

    container: None, or a clip without sound: nothing is written. start: seconds of the clip that become 0.
    """

    def __init__(self, info: MediaInfo, container: OutputContainer | None, start: Fraction) -> None:
        self._files = ExitStack()
        self._container, self._start = container, start
        self._next: av.AudioFrame | None = None
        self._frames: Iterator[av.AudioFrame] = iter(())
        if container is None or not info.audio:
            self._container = None
            return
        source = self._files.enter_context(open_media(info.path))
        track: Any = source.streams[info.audio[0].index]
        self._stream: Any = container.add_stream("aac", rate=track.rate, layout="stereo")
        self._stream.bit_rate = _BITS_PER_S
        self._frames = source.decode(track)
        self._advance()

    def write_until(self, seconds: Fraction | None) -> None:
        """Writes what is heard up to a time of the copy; None: all that is left."""
        if self._container is None:
            return
        while self._next is not None and (seconds is None or self._time_of(self._next) <= seconds):
            self._encode(self._next)
            self._advance()
        if seconds is None:
            self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        """Lets go of the file."""
        self._files.close()

    def _advance(self) -> None:
        try:
            self._next = next(self._frames, None)
        except av.error.FFmpegError:  # Damaged from here on: the rest is silent.
            self._next = None

    def _time_of(self, frame: av.AudioFrame) -> Fraction:
        return Fraction(frame.pts or 0) * (frame.time_base or 1) - self._start

    def _encode(self, frame: av.AudioFrame) -> None:
        pts = round(self._time_of(frame) * frame.sample_rate)
        if pts < 0 or self._container is None:
            return
        frame.pts, frame.time_base = pts, Fraction(1, frame.sample_rate)
        self._container.mux(self._stream.encode(frame))
