"""Finding where decoding may start so that a frame keeps the number and the pixels it has when read from the
start.

Containers know keyframes by time, not by number. One pass over the packets, without decoding, says how many
pictures lie before each keyframe; it reads the file but costs a small fraction of decoding it.
"""

from array import array
from dataclasses import dataclass
from fractions import Fraction

from av.container import InputContainer
from av.video.stream import VideoStream

_SEEKABLE_FORMATS = {"mov", "matroska", "webm"}
# One group of pictures more than needed: some encoders mark keyframes that pictures behind them look past.
_SPARE_KEYFRAMES = 1


@dataclass(frozen=True)
class SeekPoint:
    """Where to seek to, and what comes there.

    keyframe_pts: timestamp to seek to. target_pts: timestamp of the frame asked for. Both in the stream's
    time base.
    """

    keyframe_pts: int
    target_pts: int


def find_seek_point(container: InputContainer, stream: VideoStream, number: int) -> SeekPoint | None:
    """Where to start for frame `number`; None where only reading from the start is safe.

    Memory: 8 bytes a frame. The container is left at its end.
    """
    index = _index(container, stream)
    if index is None or number >= len(index.times):
        return None
    target = index.times[number]
    before = [key for key in index.keys if key <= target]
    if len(before) <= _SPARE_KEYFRAMES + 1:
        return None
    return SeekPoint(before[-1 - _SPARE_KEYFRAMES], target)


def frame_times(container: InputContainer, stream: VideoStream) -> list[Fraction] | None:
    """Seconds, on the file's own clock, of frames 0, 1, 2, ...; None where only decoding tells."""
    index = _index(container, stream)
    if index is None or stream.time_base is None:
        return None
    return [time * stream.time_base for time in index.times]


@dataclass(frozen=True)
class _Index:
    """Timestamps of all frames and of the keyframes among them, both rising."""

    times: list[int]
    keys: list[int]


def _index(container: InputContainer, stream: VideoStream) -> _Index | None:
    """One pass over the packets; None where timestamps do not tell which frame is which."""
    if not _SEEKABLE_FORMATS & set(container.format.name.split(",")):
        return None
    times, keys = array("q"), array("q")
    for packet in container.demux(stream):
        if packet.size == 0 or packet.is_discard:
            continue
        if packet.pts is None or packet.is_corrupt:
            return None
        times.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
    ordered = sorted(times)
    return None if len(set(ordered)) != len(ordered) else _Index(ordered, sorted(keys))
