"""Writes a clip in segments: closed groups of pictures, each a file of its own, joined later without
re-encoding.

A segment is a NUT file (MOV for ProRes): NUT keeps timestamps in any unit exactly, where Matroska rounds to
milliseconds. A folder of pictures is written as segments that are folders.
"""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import av
from av.packet import Packet
from numpy.typing import NDArray

from seedvr_engine.errors import OutputError
from seedvr_engine.media.colour import FrameMaker
from seedvr_engine.media.encoders import (
    SEGMENT_LEAD_S,
    encoder_for,
    keyframe_interval,
    segment_format,
    tag_colour,
)
from seedvr_engine.media.join import join_segments
from seedvr_engine.media.opening import output_errors
from seedvr_engine.media.pictures import PictureFolder, remove
from seedvr_engine.media.priority import usual_priority
from seedvr_engine.media.still import write_still
from seedvr_engine.media.target import Target, choose_target, container_of
from seedvr_engine.media.whole import give_name

__all__ = ["SegmentWriter", "Target", "choose_target", "container_of", "join_segments", "write_still"]


class SegmentWriter:
    """Encodes one segment; use as a context manager.

    The file (a folder where `target.codec` is "png") gets its name `path` when `close` has made it whole;
    until then it is `path` with ".part" behind. Leaving the block by an exception removes it.
    comment: a sentence for every picture of a folder; a clip gets its own from the join.
    Raises OutputError where the place cannot be written or is full.
    """

    def __init__(self, path: Path, target: Target, comment: str = "") -> None:
        self._path, self._target = path, target
        self._part = path.with_name(path.name + ".part")
        self._writer: _Writer | None = None
        self.frames = 0
        with output_errors(path):
            try:
                if target.codec == "png":
                    self._writer = PictureFolder(self._part, target, comment)
                else:
                    self._writer = _Video(self._part, target)
            except BaseException:
                _remove_quietly(self._part)
                raise

    def write(self, rgb: NDArray, time: Fraction) -> None:
        """Adds a frame.

        rgb: (H, W, 3) of the target's size, uint8 or uint16 (full scale). time: seconds on the source's
        clock, rising from frame to frame.
        """
        if rgb.shape != (self._target.height, self._target.width, 3):
            raise ValueError(f"frame of shape {rgb.shape} for {self._target.width}x{self._target.height}")
        if self._writer is None:
            raise ValueError("the segment is closed")
        with output_errors(self._path):
            self._writer.write(rgb, time)
        self.frames += 1

    def close(self) -> None:
        """Finishes the segment and gives it its name. Closing twice does nothing."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            with output_errors(self._path):
                writer.close()
                if self.frames == 0:
                    raise OutputError(f"{self._path.name} got no frames.", remedy="This is a bug; report it.")
                remove(self._path)
                give_name(self._part, self._path)
        finally:
            remove(self._part)

    def abort(self) -> None:
        """Gives up: nothing is left on the disk."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):  # A disk that failed may fail again; what matters is that the rest goes.
                writer.close(whole=False)
            _remove_quietly(self._part)

    def __enter__(self) -> "SegmentWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class _Writer(Protocol):
    def write(self, rgb: NDArray, time: Fraction) -> None: ...
    def close(self, *, whole: bool = True) -> None: ...


class _Video:
    """One encoder writing one file."""

    def __init__(self, part: Path, target: Target) -> None:
        encoder = encoder_for(target)
        self._base = target.time_base
        self._last_pts: int | None = None
        self._first_dts, self._packets = 0, 0
        self._reordered = segment_format(target) == "nut"
        self._make_frame = FrameMaker(target.colour, encoder.pixel_format)
        options = {"movie_timescale": str(target.time_base.denominator)} if target.codec == "prores" else {}
        self._container = av.open(str(part), "w", format=segment_format(target), container_options=options)
        try:
            # PyAV's stubs know only a few encoders by name.
            stream: Any = self._container.add_stream(encoder.name, rate=target.rate, options=encoder.options)
            self._stream, context = stream, stream.codec_context
            context.width, context.height, context.pix_fmt = target.width, target.height, encoder.pixel_format
            context.time_base = self._base
            context.gop_size = keyframe_interval(target)
            context.thread_type = "AUTO"
            tag_colour(context, target)
            with usual_priority():
                self._container.start_encoding()
        except BaseException:
            self._container.close()
            raise

    def write(self, rgb: NDArray, time: Fraction) -> None:
        pts = round((time + SEGMENT_LEAD_S) / self._base)
        if self._last_pts is None:
            self._first_dts = pts - round(SEGMENT_LEAD_S / 2 / self._base)
        elif pts <= self._last_pts:
            pts = self._last_pts + 1
        self._last_pts = pts
        self._mux(self._stream.encode(self._make_frame(rgb, pts, self._base)))

    def _mux(self, packets: list[Packet]) -> None:
        for packet in packets:
            if self._reordered:
                # Flushed early, x265 now and then gives a decode time after the picture's own. NUT keeps none
                # and the join makes its own, so any that rise and come early enough will do.
                packet.dts = self._first_dts + self._packets
            self._packets += 1
            self._container.mux(packet)

    def close(self, *, whole: bool = True) -> None:
        try:
            if whole and self._last_pts is not None:
                self._mux(self._stream.encode(None))
        finally:
            self._container.close()


def _remove_quietly(path: Path) -> None:
    with suppress(
        OSError
    ):  # Where it could not be made it cannot be removed; the first failure is the one to tell.
        remove(path)
