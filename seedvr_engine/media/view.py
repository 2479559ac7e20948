"""What a browser looks at: single frames, and copies of clips that every browser plays.

    python -m seedvr_engine.media.view '{"source": …}'

makes one copy (`Copy`) in a process of its own, as the server wants it; it writes its progress (0 to 1) to
stdout, a number a line, and ends when its stdin does, for then nobody waits for it.
"""

import io
import json
import math
import os
import sys
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from seedvr_engine.errors import InputError
from seedvr_engine.media.colour import FrameMaker, RgbReader
from seedvr_engine.media.encoders import tag_colour
from seedvr_engine.media.info import Colour, MediaInfo
from seedvr_engine.media.opening import open_media, output_errors
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.media.seek import frame_times
from seedvr_engine.media.sound import Sound
from seedvr_engine.media.still import read_still
from seedvr_engine.media.target import DEFAULT_QUALITY, Target
from seedvr_engine.media.tonemap import to_screen

LONGEST_SIDE = 1920
# Decoders in browsers and phones end here.
_LARGEST_PLAYED = 4096
_PLAYED_SOUND = {"aac", "mp3"}
# Frames between keyframes of a copy: what a browser decodes to step back by one.
_KEYFRAME_FRAMES = 12
_TICKS = 90_000
# Times that differ by less are the same: they were written in units of different lengths.
_SAME = Fraction(1, 2000)
# Where decoding starts before a moment, in seconds; further back where that was too late.
_LEADS_S = (0, 3, 15)
_TELL_EVERY_S = 0.3
_NICENESS = 10
_Step = Callable[[float], None]


@dataclass(frozen=True)
class Placement:
    """Where a source's picture lies in the output, as the pipeline puts it; every size is (height, width).

    crop: (top, left, height, width) of the source. resized: size of the crop in the output. output: size of
    the frame; offset: (top, left) of the picture in it; the rest is black.
    """

    crop: tuple[int, int, int, int]
    resized: tuple[int, int]
    output: tuple[int, int]
    offset: tuple[int, int] = (0, 0)

    @staticmethod
    def whole(source: tuple[int, int], output: tuple[int, int] | None = None) -> "Placement":
        """All of a source, scaled to the output."""
        return Placement((0, 0, *source), output or source, output or source)

    def within(self, longest: int) -> "Placement":
        """The same with even sides of at most `longest` pixels, as video wants them."""
        scale = min(1.0, longest / max(self.output))
        height, width = (max(2, 2 * round(side * scale / 2)) for side in self.output)
        if self.resized == self.output:
            return Placement(self.crop, (height, width), (height, width))
        resized = (max(1, round(self.resized[0] * scale)), max(1, round(self.resized[1] * scale)))
        top, left = (height - resized[0]) // 2, (width - resized[1]) // 2
        return Placement(self.crop, resized, (height, width), (top, left))


@dataclass(frozen=True)
class Copy:
    """A copy to be made.

    source: the clip. clock: the clip whose frames it is to match, one by one (itself, for a result).
    shift: the source's time that belongs to time 0 of the clock, seconds. sound: keep the first sound track.
    """

    source: Path
    destination: Path
    clock: Path
    shift: Fraction
    placement: Placement
    sound: bool

    def to_json(self) -> str:
        """As text, for the command line."""
        return json.dumps(asdict(self), default=str)

    @staticmethod
    def from_json(text: str) -> "Copy":
        """Reads what `to_json` wrote."""
        given = json.loads(text)
        placement = Placement(**{name: tuple(sides) for name, sides in given["placement"].items()})
        paths = {name: Path(given[name]) for name in ("source", "destination", "clock")}
        return Copy(**paths, shift=Fraction(given["shift"]), placement=placement, sound=given["sound"])


def times_of(info: MediaInfo) -> list[Fraction]:
    """Seconds at which each frame is shown, on the file's own clock. Reads the file once."""
    if info.kind == "image":
        return [Fraction(0)]
    with open_media(info.path) as container:
        times = frame_times(container, cast(VideoStream, container.streams[info.stream_index]))
    if times is None:
        with closing(read_frames(info)) as frames:
            times = [frame.time for frame in frames]
    return times


def frame_at(info: MediaInfo, seconds: Fraction) -> NDArray:
    """The frame on screen at a time of the file's own clock; the first or last one outside.

    Returns (H, W, 3), uint8 or uint16, upright, with square pixels. Raises InputError.
    """
    if info.kind == "image":
        return read_still(info)
    for lead in (*_LEADS_S, None):
        shown = _decode_to(info, seconds, lead)
        if shown is not None:
            size = info.orientation.size(info.width, info.height)
            to_rgb = RgbReader(info.colour, deep=info.bit_depth > 8, size=size)
            return info.orientation.apply(to_rgb(shown))
    raise _nothing_to_see(info)


def _nothing_to_see(info: MediaInfo) -> InputError:
    return InputError(f"{info.path.name} holds no frame that can be decoded.", remedy="Try to play it.")


def _decode_to(info: MediaInfo, seconds: Fraction, lead: int | None) -> av.VideoFrame | None:
    """The last frame up to a time, or the first one; None where decoding began after that.

    lead: how many seconds before the time decoding begins; None: at the start.
    """
    shown = None
    with open_media(info.path) as container:
        stream = cast(VideoStream, container.streams[info.stream_index])
        stream.thread_type = "AUTO"
        base = stream.time_base or 1 / (info.rate or Fraction(25))
        try:
            if lead is not None:
                container.seek(math.floor((seconds - lead) / base), stream=stream)
            for frame in container.decode(stream):
                if frame.pts is not None and frame.pts * base > seconds + _SAME:
                    return frame if shown is None and lead is None else shown
                shown = frame
        except av.error.FFmpegError:  # Damaged, or no place to seek to: what came is what there is.
            pass
    return shown


def place(rgb: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """A source's frame (H, W, 3) where the output shows it: cropped, scaled (bicubic), on black."""
    top, left, height, width = placement.crop
    resized = placement.resized
    picture = np.ascontiguousarray(rgb[top : top + height, left : left + width])
    if (height, width) != resized:
        picture = np.asarray(Image.fromarray(picture).resize(resized[::-1], Image.Resampling.BICUBIC))
    if placement.output == resized:
        return picture
    frame = np.zeros((*placement.output, 3), np.uint8)
    top, left = placement.offset
    frame[top : top + resized[0], left : left + resized[1]] = picture
    return frame


def encode_png(rgb: NDArray[np.uint8], icc: bytes = b"") -> bytes:
    """A PNG, packed quickly rather than tightly. icc: the picture's colour profile."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", compress_level=1, icc_profile=icc or None)
    return buffer.getvalue()


def encode_jpeg(rgb: NDArray[np.uint8], longest: int) -> bytes:
    """A JPEG of at most `longest` pixels on a side."""
    image = Image.fromarray(rgb)
    image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def plays_everywhere(info: MediaInfo) -> bool:
    """Whether browsers play a clip as it is: MP4 with H.264, 8 bit, 4:2:0, upright, sound as they know it."""
    return (
        "mp4" in info.container.split(",")
        and info.path.suffix.lower() in {".mp4", ".m4v"}
        and info.codec == "h264"
        and info.pixel_format == "yuv420p"
        and info.rotation == 0
        and info.sample_aspect == 1
        and max(info.width, info.height) <= _LARGEST_PLAYED
        and not info.hdr
        and all(stream.codec in _PLAYED_SOUND for stream in info.audio)
    )


def make_copy(copy: Copy, on_progress: _Step = lambda share: None) -> None:
    """Makes a copy that browsers play: H.264 in MP4, 8 bit, 4:2:0, at most 1920 pixels on a side.

    It has a frame for each frame of `copy.clock`, the first at 0, and gets its name when it is whole.
    Raises InputError, OutputError.
    """
    times = times_of(probe(copy.clock))
    if not times:
        raise InputError(f"{copy.clock.name} holds no frame.", remedy="Run the job again.")
    part = copy.destination.with_name(copy.destination.name + ".part")
    with output_errors(copy.destination):
        try:
            _write_copy(copy, times, part, on_progress)
            part.replace(copy.destination)
        finally:
            part.unlink(missing_ok=True)


def _write_copy(copy: Copy, times: list[Fraction], part: Path, on_progress: _Step) -> None:
    info, placement = probe(copy.source), copy.placement.within(LONGEST_SIDE)
    target = _target(placement.output, probe(copy.clock).rate or Fraction(25))
    make_frame = FrameMaker(target.colour, "yuv420p")
    with av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = _add_picture(container, target)
        with closing(Sound(info, container if copy.sound else None, start=times[0] + copy.shift)) as sound:
            for number, rgb in enumerate(_matched(info, [moment + copy.shift for moment in times])):
                shown = times[number] - times[0]
                sound.write_until(shown)
                pixels = place(to_screen(rgb, info.colour), placement)
                frame = make_frame(pixels, round(shown * _TICKS), Fraction(1, _TICKS))
                container.mux(stream.encode(frame))
                on_progress((number + 1) / len(times))
            sound.write_until(None)
        container.mux(stream.encode(None))


def _target(size: tuple[int, int], rate: Fraction) -> Target:
    """size: (height, width)."""
    height, width = size
    return Target(width, height, "mp4", "h264", 8, DEFAULT_QUALITY, Colour(), Fraction(1, _TICKS), rate)


def _add_picture(container: OutputContainer, target: Target) -> Any:
    options = {"crf": "18", "preset": "veryfast"}
    stream: Any = container.add_stream("libx264", rate=target.rate, options=options)
    context = stream.codec_context
    context.height, context.width, context.pix_fmt = target.height, target.width, "yuv420p"
    context.time_base, context.gop_size = target.time_base, _KEYFRAME_FRAMES
    context.thread_count = 2
    tag_colour(context, target)
    return stream


def _matched(info: MediaInfo, times: list[Fraction]) -> Iterator[NDArray]:
    """For each time the frame that the source shows then; the same one again where it has none of its own."""
    own = times_of(info)
    first = max(0, bisect_right(own, times[0] + _SAME) - 1)
    with closing(read_frames(info, first=first)) as frames:
        shown = next(frames, None)
        if shown is None:
            raise InputError(
                f"{info.path.name} holds no frame that can be decoded.", remedy="Try to play it."
            )
        coming = next(frames, None)
        for moment in times:
            while coming is not None and coming.time <= moment + _SAME:
                shown, coming = coming, next(frames, None)
            yield shown.rgb


def _teller() -> _Step:
    told = 0.0

    def tell(share: float) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_EVERY_S:
            told = time.monotonic()
            print(f"{share:.4f}", flush=True)

    return tell


def _end_with(copy: Copy) -> None:
    """Waits for the end of stdin; whoever asked for the copy is gone then."""
    while os.read(0, 1):
        pass
    copy.destination.with_name(copy.destination.name + ".part").unlink(missing_ok=True)
    os._exit(1)


def main() -> None:
    copy = Copy.from_json(sys.argv[1])
    os.nice(_NICENESS)
    threading.Thread(target=_end_with, args=(copy,), daemon=True).start()
    make_copy(copy, _teller())


if __name__ == "__main__":
    main()
