"""Restored latents become frames, and those the segments of the output."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from seedvr_engine.errors import InputError
from seedvr_engine.media.read import Frame
from seedvr_engine.media.write import SegmentWriter, write_still
from seedvr_engine.pipeline import colour, picture
from seedvr_engine.pipeline.background import Consumer
from seedvr_engine.pipeline.counts import Segment, frames_of, latents_of
from seedvr_engine.pipeline.grid import Grid
from seedvr_engine.pipeline.heap import give_back
from seedvr_engine.pipeline.messages import Pair
from seedvr_engine.pipeline.shots import frames_ahead
from seedvr_engine.pipeline.task import Task


def decode_shot(task: Task, index: int) -> None:
    """Decodes, corrects and writes the frames of a shot that are not written yet."""
    missing = [segment for segment in task.segments(index) if not segment.path.exists()]
    if not missing:
        return
    start = max(0, missing[0].first_latent - task.model.vae.decode_lookback())
    position = frames_of(start + 1, task.time_factor) - 1 if start else 0
    task.meter.credit("decode", index, missing[0].first)
    sink = _Sink(task)
    consumer = Consumer(sink.write, waiting=frames_ahead(task.info))
    try:
        for piece in _decoded(task, index, start):
            for decoded in piece.unbind(2):
                segment = _segment_at(missing, position)
                if segment is not None:
                    last = position == segment.stop - 1
                    consumer.put((segment.path, _finished(task, index, position, decoded), last))
                    if last:
                        give_back()
                    task.meter.reach(position + 1)
                task.meter.check()
                position += 1
        consumer.finish()
    finally:
        consumer.abandon()
        sink.close()


def _segment_at(segments: Sequence[Segment], position: int) -> Segment | None:
    """The segment that a frame belongs to, if it is one of these."""
    index = bisect_right(segments, position, key=lambda segment: segment.first) - 1
    return segments[index] if index >= 0 and position < segments[index].stop else None


def _changed(task: Task) -> InputError:
    return InputError(f"{task.info.path.name} changed while it was restored.", remedy="Start again.")


def _decoded(task: Task, index: int, start: int) -> Iterator[Tensor]:
    """Pieces (1 or 2, 3, F, H, W) of the shot from latent `start` on; the second is the condition's own."""
    shot, model = task.work.shots[index], task.model
    assert shot.frames is not None
    latents = latents_of(shot.frames, task.time_factor)
    kept = [task.work.restored(index), *([task.work.condition(index)] if task.residual else [])]

    def pieces() -> Iterator[Tensor]:
        for begin in range(start, latents, task.piece_latents):
            end = min(begin + task.piece_latents, latents)
            batch = torch.stack([latent.read(begin, end) for latent in kept]).to(model.device, model.dtype)
            yield rearrange(batch / model.vae.config.scaling, "b t h w c -> b c t h w")

    return model.vae.decode_stream(pieces(), frames=task.plan.piece_frames, cache_device=task.cache_device)


@dataclass(frozen=True, slots=True)
class Finished:
    """A frame as it is written.

    rgb: (H, W, 3), uint8 or uint16. time: seconds. times: when it is shown, never, once or several times.
    """

    rgb: NDArray
    time: Fraction
    times: Sequence[Fraction]


def _finished(task: Task, index: int, position: int, decoded: Tensor) -> Finished:
    """Frame `position` of the shot as it is written, from what the decoder gave for it."""
    shot = task.work.shots[index]
    original = task.originals.frame(shot.first + position)
    if original is None:
        raise _changed(task)
    before, after = _corrected(task, decoded, original)
    if task.viewer.is_due:
        task.viewer.show(_pair(task, original, before, after))
    bits = 8 if task.target.bit_depth == 8 else 16
    return Finished(picture.to_pixels(after, bits), original.time, _times(task, original))


def _pair(task: Task, original: Frame, before: Tensor, after: Tensor) -> Pair:
    return Pair(
        original.number,
        float(original.time),
        picture.to_pixels(picture.frame_of(before, task.geometry), 8),
        picture.to_pixels(after, 8),
    )


def _times(task: Task, frame: Frame) -> list[Fraction]:
    """When a frame is shown: at its own time, or where it belongs on the grid of a constant rate."""
    rate = task.options.frame_rate
    if rate is None or task.info.kind == "image":
        return [frame.time]
    start, end = task.span
    following, source_rate = task.originals.following(), task.info.rate or rate
    stop = following.time if following is not None else frame.time + (frame.duration or 1 / source_rate)
    grid = Grid(rate, source_rate, task.clock_zero if start is None else start)
    return grid.times(frame.time, stop if end is None else min(stop, end))


def _corrected(task: Task, decoded: Tensor, original: Frame) -> tuple[Tensor, Tensor]:
    """The original as resized, and the frame as it is written, both (1, 3, H, W) in about [0, 1]."""
    height, width = task.geometry.resized
    shown = picture.prepare(original.rgb, task.geometry, task.model.device)
    decoded = decoded[..., :height, :width].float() / 2
    content = shown + decoded[:1] - decoded[1:] if task.residual else decoded + 0.5
    corrected = colour.CORRECTIONS[task.options.colour](content, shown)
    return shown, picture.frame_of(corrected, task.geometry)


class _Sink:
    """Writes frames into their segments, or the only one into a picture."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._writer: SegmentWriter | None = None

    def write(self, item: tuple[Path, Finished, bool]) -> None:
        """Adds a frame to the segment of this path; the last one closes it."""
        path, frame, last = item
        target = self._task.target
        if self._task.info.kind == "image":
            write_still(
                self._task.output,
                frame.rgb,
                target.quality,
                bit_depth=target.bit_depth,
                icc=self._task.info.icc,
                comment=self._task.comment,
            )
            self._task.meter.keep()
            return
        for shown in frame.times:
            if self._writer is None:
                self._writer = SegmentWriter(path, target, self._task.comment)
            self._writer.write(frame.rgb, shown)
        if last:
            self._finish(path, frame)

    def _finish(self, path: Path, frame: Finished) -> None:
        if self._writer is None and self._is_last(path) and not self._task.work.segments():
            # A clip shorter than a step of its output rate shows one frame all the same.
            self._writer = SegmentWriter(path, self._task.target, self._task.comment)
            self._writer.write(frame.rgb, frame.time)
        if self._writer is None:
            self._task.work.keep_empty(path)
        else:
            self._writer.close()
            self._writer = None
        self._task.meter.keep()

    def _is_last(self, path: Path) -> bool:
        work = self._task.work
        return work.ended and path == self._task.segments(len(work.shots) - 1)[-1].path

    def close(self) -> None:
        """Drops a segment that is not whole."""
        if self._writer is not None:
            self._writer.abort()
            self._writer = None
