"""Frames become condition latents."""

from collections.abc import Iterator

import torch
from einops import rearrange
from torch import Tensor

from seedvr_engine.media.read import Frame
from seedvr_engine.media.shots import AHEAD, HISTORY
from seedvr_engine.pipeline import picture
from seedvr_engine.pipeline.counts import frames_of
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.shots import ShotStream
from seedvr_engine.pipeline.task import Task
from seedvr_engine.pipeline.work import Latents

RUN_LATENTS = 16
CUT_LOOKBACK = HISTORY + AHEAD + 1


def encode_shot(task: Task, index: int) -> None:
    """Reads the shot to its end and keeps its condition latents; sets `Shot.frames`."""
    shot, kept = task.work.shots[index], task.work.condition(index)
    done = kept.contiguous()
    # The autoencoder sees some latents back, the search for cuts some frames; starting that much earlier
    # makes up for what they have forgotten.
    start = max(0, done - max(task.model.vae.encode_lookback(), CUT_LOOKBACK))
    skipped = start * task.time_factor
    if task.stream is None:
        # The last latent kept may have been filled up at a cut, so that only the frames before it are sure.
        sure = frames_of(max(done - 1, 0), task.time_factor)
        task.stream = open_stream(task, shot.first + skipped, known=shot.first + sure)
    task.meter.credit("encode", index, frames_of(done, task.time_factor))
    frames = _Counted(task.stream.shot(), skipped, task.meter)
    pieces = _pieces(task, frames)
    position, waiting = start, []
    for mean, _ in task.model.vae.encode_stream(
        pieces, frames=task.plan.piece_frames, cache_device=task.cache_device
    ):
        waiting.append(rearrange(mean, "1 c t h w -> t h w c") * task.model.vae.config.scaling)
        if sum(map(len, waiting)) >= RUN_LATENTS:
            position, waiting = _keep(task, kept, position, waiting, done), []
    if waiting:
        _keep(task, kept, position, waiting, done)
    shot.frames = frames.count


def open_stream(task: Task, first: int, known: int) -> ShotStream:
    start, end = task.span
    return ShotStream(
        task.info, first, start=start, end=end, detect=task.options.shots, known=known, check=task.meter.check
    )


class _Counted:
    """Counts the frames of a shot while they pass, those before the first one read included."""

    def __init__(self, frames: Iterator[Frame], count: int, meter: Meter) -> None:
        self.count = count
        self._frames, self._meter = frames, meter

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self.count += 1
            self._meter.reach(self.count)
            yield frame


def _pieces(task: Task, frames: "_Counted") -> Iterator[Tensor]:
    """The shot as (1, 3, F, H, W) in [-1, 1], whole latents a piece, filled up with the last frame."""
    batch: list[Tensor] = []
    first, factor = True, task.time_factor
    for frame in frames:
        batch.append(_model_input(task, frame))
        if len(batch) == (1 + (task.piece_latents - 1) * factor if first else task.piece_latents * factor):
            yield torch.stack(batch, dim=2)
            batch, first = [], False
    if batch:
        missing = -(len(batch) - 1 if first else len(batch)) % factor
        yield torch.stack(batch + batch[-1:] * missing, dim=2)


def _model_input(task: Task, frame: Frame) -> Tensor:
    """(1, 3, H, W) in [-1, 1], padded."""
    shown = picture.prepare(frame.rgb, task.geometry, task.model.device)
    return picture.pad(shown * 2 - 1, task.geometry.padded).to(task.model.dtype)


def _keep(task: Task, kept: Latents, position: int, waiting: list[Tensor], done: int) -> int:
    """Writes latents from `position` on but for those kept already; returns where the next ones belong."""
    latents = torch.cat(waiting)
    end = position + len(latents)
    if end > done:
        kept.write(max(position, done), latents[max(0, done - position) :])
        task.meter.keep()
    return end
