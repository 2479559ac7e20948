"""Which few frames have to be restored so that a moment looks as it will in the full run.

Latents count from the first frame of a shot, and noise belongs to frames of the file. So an excerpt begins
where a latent of the full run's own shot ends, some frames early, because the networks look around; it ends
with a latent, or with the shot. Knows no torch.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from av.video.stream import VideoStream

from seedvr_engine.errors import InputError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.opening import open_media
from seedvr_engine.media.read import read_frames
from seedvr_engine.media.seek import frame_times
from seedvr_engine.media.shots import AHEAD, HISTORY, mark_shots
from seedvr_engine.pipeline.options import Options

# Frames restored before the moment and dropped: what lies further back shows little.
_LEAD_FRAMES = 8
# Frames read at once in search of the cut before the moment, and where the search ends.
_SEARCHED_FRAMES, _FURTHEST_FRAMES = 250, 1500


@dataclass(frozen=True)
class Excerpt:
    """Frames `first` to `stop` of the file are restored, `shown` to `shown_stop` are to be looked at.

    The ends are not included. start_s, end_s: what is restored in seconds, as `Options` take it.
    """

    first: int
    stop: int
    shown: int
    shown_stop: int
    start_s: float
    end_s: float


def excerpt(
    info: MediaInfo, options: Options, moment_s: float, length_s: float | None, time_factor: int
) -> Excerpt:
    """The excerpt for one frame (`length_s` None) or for some seconds from a moment of a clip.

    moment_s: seconds; one that lies outside of the clip, or of the part that is restored, is moved inside.
    time_factor: frames of a latent. Raises InputError for a clip without frames there.
    """
    times = _times(info)
    zero = info.start if info.free_running else Fraction(0)
    low, high = _span(times, options, zero)
    moment = zero + Fraction(str(moment_s))
    shown = min(max(bisect_right(times, moment) - 1, low), high - 1)
    last = shown
    if length_s is not None:
        last = max(shown, min(bisect_left(times, times[shown] + Fraction(str(length_s))), high) - 1)
    begin = last_begin = _shot_start(info, low, shown) if options.shots else low
    if options.shots and last > shown:
        last_begin = next(reversed(_cuts(info, low, shown + 1, last + 1)), begin)
    first = begin + _whole(max(shown - _LEAD_FRAMES - begin, 0), time_factor)
    stop = last_begin + math.ceil((last - last_begin) / time_factor) * time_factor + 1
    stop = min(stop, high)
    if options.shots:
        stop = next(iter(_cuts(info, low, last + 1, stop)), stop)
    end = times[stop] if stop < len(times) else times[-1] + 1
    # Some files begin a little before 0, which no option can say.
    start_s = max(0.0, float(times[first] - zero))
    return Excerpt(first, stop, shown, last + 1, start_s, float(end - zero))


def number_at(info: MediaInfo, time: Fraction) -> int:
    """The first frame at or behind a time on the file's own clock, half a millisecond forgiven.

    0 where only decoding tells.
    """
    return bisect_left(_told_times(info) or (), time - Fraction(1, 2000))


def _times(info: MediaInfo) -> Sequence[Fraction]:
    """The time of every frame: told by the packets where they are to be trusted, else by decoding."""
    times = _told_times(info)
    if times is None:
        with read_frames(info) as frames:
            times = [frame.time for frame in frames]
    return times


def _told_times(info: MediaInfo) -> Sequence[Fraction] | None:
    if info.kind != "video":
        return None
    with open_media(info.path) as container:
        return frame_times(container, cast(VideoStream, container.streams[info.stream_index]))


def _span(times: Sequence[Fraction], options: Options, zero: Fraction) -> tuple[int, int]:
    """Numbers of the first frame that is restored, and of the one behind the last."""
    start, end = options.span
    low = 0 if start is None else bisect_left(times, start + zero)
    high = len(times) if end is None else bisect_left(times, end + zero)
    if low >= high:
        raise InputError("There is no frame between start and end.", remedy="Choose an earlier start.")
    return low, high


def _shot_start(info: MediaInfo, low: int, number: int) -> int:
    """First frame of the shot that a frame belongs to; `low` where what is restored begins.

    Where no cut comes within a minute, the furthest frame looked at: the networks have forgotten it by then.
    """
    furthest = max(low, number - _FURTHEST_FRAMES)
    stop = number + 1
    while stop > furthest:
        begin = max(furthest, stop - _SEARCHED_FRAMES)
        cuts = _cuts(info, low, begin, stop)
        if cuts:
            return cuts[-1]
        stop = begin
    return furthest


def _cuts(info: MediaInfo, low: int, begin: int, stop: int) -> list[int]:
    """The frames of `begin` to `stop` (exclusive) that begin a shot, as they do where `low` comes first."""
    # A decision depends on the frames since the last cut, some at most, and on some ahead.
    first = max(low, begin - HISTORY - 1)
    found, shot_before = [], 0
    with read_frames(info, first=first, stop=stop + AHEAD) as frames:
        for shot, frame in mark_shots(frames):
            if shot != shot_before and begin <= frame.number < stop:
                found.append(frame.number)
            shot_before = shot
    return found


def _whole(frames: int, time_factor: int) -> int:
    return frames // time_factor * time_factor
