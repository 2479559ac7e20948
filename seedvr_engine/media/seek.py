"""Finding where decoding may start so that a frame keeps the number and the pixels it has when read from the
start.

Containers know keyframes by time, not by number. One pass over the packets, without decoding, says how many
pictures lie before each keyframe; it reads the file but costs a small fraction of decoding it.
"""

from array import array
from dataclasses import dataclass

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
    if number >= len(ordered) or len(set(ordered)) != len(ordered):
        return None
    target = ordered[number]
    before = [key for key in sorted(keys) if key <= target]
    if len(before) <= _SPARE_KEYFRAMES + 1:
        return None
    return SeekPoint(before[-1 - _SPARE_KEYFRAMES], target)
