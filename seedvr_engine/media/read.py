"""Reads frames one by one: upright, with square pixels, as RGB, with their exact times and true numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from seedvr_engine.errors import InputError
from seedvr_engine.media.colour import RgbReader
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.opening import open_media
from seedvr_engine.media.probe import probe
from seedvr_engine.media.seek import SeekPoint, find_seek_point
from seedvr_engine.media.sequence import sequence_files
from seedvr_engine.media.still import read_still

# Shorter clips are decoded from the start: quicker than looking for a place to start at.
_SEEK_FROM_FRAME = 48
# A file whose picture ends this much before its own end is taken for cut off.
_MISSING_S = 0.5


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a clip.

    number: its place in the file, from 0, whatever part of the file is read.
    time: seconds on the file's own clock, exact (timestamp times time base); the first frame's need not be 0.
    duration: seconds it is shown, None where the file does not say.
    rgb: (H, W, 3), uint8, or uint16 (full scale) for sources above 8 bits; size as in `MediaInfo`.
    """

    number: int
    time: Fraction
    duration: Fraction | None
    rgb: NDArray


class Reader(Iterator[Frame]):
    """Iterates over frames `first` to `stop` (exclusive) of an input; holds one frame at a time.

    A file that is cut off yields what there is, then ends; `warnings` says so. Damaged frames inside are
    skipped and counted there too. Raises InputError where not even one frame comes. `close` (or `with`)
    frees the file early. is_stopped: asked for every frame that is decoded and dropped on the way to `first`,
    which can take long; frames end where it says so.
    """

    def __init__(self, info: MediaInfo, first: int = 0, stop: int | None = None) -> None:
        self.warnings: list[str] = []
        self._info, self._first, self._stop = info, first, stop
        self.is_stopped: Callable[[], bool] = lambda: False
        self._may_seek = True
        self._frames = self._video_frames() if info.kind == "video" else self._picture_frames()

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the file and the decoder."""
        self._frames.close()  # type: ignore[attr-defined]

    def _picture_frames(self) -> Iterator[Frame]:
        info = self._info
        if info.kind == "image":
            if self._first == 0 and self._stop != 0:
                yield Frame(0, Fraction(0), None, read_still(info))
            return
        assert info.rate is not None
        files = sequence_files(info.path)
        for number in range(self._first, len(files) if self._stop is None else min(self._stop, len(files))):
            yield Frame(number, number / info.rate, 1 / info.rate, _sequence_picture(info, files[number]))

    def _video_frames(self) -> Iterator[Frame]:
        info = self._info
        number, time = -1, None
        to_rgb = RgbReader(info.colour, deep=info.bit_depth > 8, size=_square_size(info))
        step = 1 / (info.rate or Fraction(25))
        point = self._seek_point()
        with open_media(info.path) as container:
            stream = cast(VideoStream, container.streams[info.stream_index])
            stream.thread_type = "AUTO"
            if point is not None:
                container.seek(point.keyframe_pts, stream=stream)
            for decoded in self._decode(container, stream):
                if self.is_stopped():
                    return
                if point is not None:
                    if decoded.pts is None or decoded.pts < point.target_pts:
                        continue
                    if decoded.pts > point.target_pts:
                        break
                    number, point = self._first - 1, None
                number += 1
                time = _time_after(time, decoded, step)
                if self._stop is not None and number >= self._stop:
                    return
                if number >= self._first:
                    yield Frame(number, time, _duration(decoded), info.orientation.apply(to_rgb(decoded)))
            if point is None:
                self._check_end(time, step)
                return
        # The frame looked for did not come: the packets promised more than they held. Count from the start.
        self._may_seek = False
        yield from self._video_frames()

    def _seek_point(self) -> SeekPoint | None:
        if self._first < _SEEK_FROM_FRAME or not self._may_seek:
            return None
        with open_media(self._info.path) as container:
            stream = cast(VideoStream, container.streams[self._info.stream_index])
            try:
                return find_seek_point(container, stream, self._first)
            except av.error.FFmpegError:  # Damaged: counting by decoding still works up to there.
                return None

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        came, damaged = 0, 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.warnings.append(f"{self._info.path.name} cannot be read to its end: {error.strerror}.")
                break
            if packet is None:
                break
            damaged += packet.is_corrupt
            try:
                for frame in packet.decode():
                    came += 1
                    yield frame
            except av.error.FFmpegError:
                damaged += not packet.is_corrupt
        if damaged:
            name = self._info.path.name
            self.warnings.append(f"{name} is damaged or cut off: {damaged} of its pieces are not whole.")
        if came == 0:
            raise InputError(
                f"{self._info.path.name} holds no frame that can be decoded.",
                remedy="Try to play it; if it plays, convert it with FFmpeg first.",
            )

    def _check_end(self, time: Fraction | None, step: Fraction) -> None:
        claimed = self._info.duration_s
        if time is None or claimed is None:
            return
        reached = float(time + step)
        if claimed - reached > max(_MISSING_S, 3 * float(step)):
            self.warnings.append(
                f"{self._info.path.name} should last {claimed:.1f} s, but its picture ends at "
                f"{reached:.1f} s; what there is was read."
            )


def read_frames(info: MediaInfo, *, first: int = 0, stop: int | None = None) -> Reader:
    """Reads frames `first` to `stop` (exclusive; None: to the end) of an input that `probe` described.

    Starting at a later frame gives the numbers, times and pixels of a reading from the start; where seeking
    cannot promise that, the frames before are decoded and dropped.
    """
    return Reader(info, first, stop)


def _square_size(info: MediaInfo) -> tuple[int, int]:
    """Stored size with square pixels, before turning."""
    return (info.height, info.width) if info.orientation.transpose else (info.width, info.height)


def _time_after(previous: Fraction | None, frame: av.VideoFrame, step: Fraction) -> Fraction:
    """The frame's time, made to run forwards where the file's timestamps are missing or step back."""
    if frame.pts is not None and frame.time_base is not None:
        time = frame.pts * frame.time_base
        if previous is None or time > previous:
            return time
    return Fraction(0) if previous is None else previous + step


def _duration(frame: av.VideoFrame) -> Fraction | None:
    return frame.duration * frame.time_base if frame.duration and frame.time_base else None


def _sequence_picture(info: MediaInfo, path: Path) -> NDArray:
    own = probe(path)
    if (own.width, own.height) != (info.width, info.height):
        raise InputError(
            f"{path.name} is {own.width}x{own.height}, the pictures before it {info.width}x{info.height}.",
            remedy="Make all pictures of the folder the same size, or restore them one by one.",
        )
    rgb = read_still(own)
    if rgb.dtype.itemsize == 1 and info.bit_depth > 8:
        return rgb.astype("uint16") * 257
    return (rgb // 257).astype("uint8") if rgb.dtype.itemsize == 2 and info.bit_depth <= 8 else rgb
