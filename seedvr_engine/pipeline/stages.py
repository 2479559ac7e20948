"""The three stages that a shot goes through. Each keeps what it finishes and goes on from what is kept."""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from seedvr_engine.errors import InputError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.pictures import remove
from seedvr_engine.media.read import Frame
from seedvr_engine.media.shots import AHEAD, HISTORY
from seedvr_engine.media.write import SegmentWriter, Target, write_still
from seedvr_engine.pipeline import colour, picture
from seedvr_engine.pipeline.background import Consumer
from seedvr_engine.pipeline.excerpt import number_at
from seedvr_engine.pipeline.grid import Grid
from seedvr_engine.pipeline.latent import restore_latent
from seedvr_engine.pipeline.messages import Pair
from seedvr_engine.pipeline.model import Model
from seedvr_engine.pipeline.noise import first_frame, latent_noise
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.plan import Plan
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.shots import Originals, ShotStream, frames_ahead
from seedvr_engine.pipeline.size import Geometry
from seedvr_engine.pipeline.work import Latents, Work

RUN_LATENTS = 16
SEGMENT_FRAMES = 64
CUT_LOOKBACK = HISTORY + AHEAD + 1
_PAIR_INTERVAL_S = 1.0


@dataclass
class Job:
    """Everything that the stages of one restoration share."""

    info: MediaInfo
    options: Options
    geometry: Geometry
    target: Target
    output: Path
    model: Model
    plan: Plan
    work: Work
    meter: Meter
    residual: bool
    originals: Originals
    viewer: "Viewer"
    stream: ShotStream | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def time_factor(self) -> int:
        """Frames per latent frame."""
        return self.model.vae.config.time_factor

    @property
    def cache_device(self) -> torch.device | None:
        """Where the temporal caches wait."""
        return torch.device("cpu") if self.plan.cache_place == "host" else None

    @property
    def piece_latents(self) -> int:
        """Latents that go through the autoencoder together."""
        return max(1, self.plan.piece_frames // self.time_factor)


class Viewer:
    """Shows a frame before and after, about once a second, to whoever wants to look."""

    def __init__(
        self, on_picture: Callable[[Pair], None] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_picture, self._clock = on_picture, clock
        self._shown = -math.inf

    @property
    def is_due(self) -> bool:
        """Whether the next frame is to be shown."""
        return self._on_picture is not None and self._clock() - self._shown >= _PAIR_INTERVAL_S

    def show(self, pair: Pair) -> None:
        """Shows a pair now."""
        assert self._on_picture is not None
        self._on_picture(pair)
        # What showing takes is not part of the interval: a slow viewer must not slow down the restoration.
        self._shown = self._clock()


def latents_of(frames: int, time_factor: int) -> int:
    """Latent frames of a shot; the last one may be filled up by repeating the last frame."""
    return 1 + math.ceil((frames - 1) / time_factor)


def frames_of(latents: int, time_factor: int) -> int:
    """Frames under the first latents of a shot."""
    return 1 + (latents - 1) * time_factor if latents else 0


def encode_shot(job: Job, index: int) -> None:
    """Reads the shot to its end and keeps its condition latents; sets `Shot.frames`."""
    shot, kept = job.work.shots[index], job.work.condition(index)
    done = kept.contiguous()
    # The autoencoder sees some latents back, the search for cuts some frames; starting that much earlier
    # makes up for what they have forgotten.
    start = max(0, done - max(job.model.vae.encode_lookback(), CUT_LOOKBACK))
    skipped = start * job.time_factor
    if job.stream is None:
        # The last latent kept may have been filled up at a cut, so that only the frames before it are sure.
        sure = frames_of(max(done - 1, 0), job.time_factor)
        job.stream = open_stream(job, shot.first + skipped, known=shot.first + sure)
    job.meter.credit("encode", index, frames_of(done, job.time_factor))
    frames = _Counted(job.stream.shot(), skipped, job.meter)
    pieces = _pieces(job, frames)
    position, waiting = start, []
    for mean, _ in job.model.vae.encode_stream(
        pieces, frames=job.plan.piece_frames, cache_device=job.cache_device
    ):
        waiting.append(rearrange(mean, "1 c t h w -> t h w c") * job.model.vae.config.scaling)
        if sum(map(len, waiting)) >= RUN_LATENTS:
            position, waiting = _keep(job, kept, position, waiting, done), []
    if waiting:
        _keep(job, kept, position, waiting, done)
    shot.frames = frames.count


def open_stream(job: Job, first: int, known: int) -> ShotStream:
    start, end = span(job)
    return ShotStream(job.info, first, start=start, end=end, detect=job.options.shots, known=known)


def span(job: Job) -> tuple[Fraction | None, Fraction | None]:
    """Start and end on the file's own clock."""
    zero = _zero(job)
    start, end = job.options.span
    return (None if start is None else start + zero), (None if end is None else end + zero)


def beginning(job: Job) -> int:
    """The frame to read from: nothing before the start is decoded where packets tell their times."""
    start, _ = span(job)
    return 0 if start is None else number_at(job.info, start)


def _zero(job: Job) -> Fraction:
    """Where the file's own clock begins, which in MPEG streams is anywhere."""
    return job.info.start if job.info.free_running else Fraction(0)


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


def _pieces(job: Job, frames: "_Counted") -> Iterator[Tensor]:
    """The shot as (1, 3, F, H, W) in [-1, 1], whole latents a piece, filled up with the last frame."""
    batch: list[Tensor] = []
    first, factor = True, job.time_factor
    for frame in frames:
        batch.append(_model_input(job, frame))
        if len(batch) == (1 + (job.piece_latents - 1) * factor if first else job.piece_latents * factor):
            yield torch.stack(batch, dim=2)
            batch, first = [], False
    if batch:
        missing = -(len(batch) - 1 if first else len(batch)) % factor
        yield torch.stack(batch + batch[-1:] * missing, dim=2)


def _model_input(job: Job, frame: Frame) -> Tensor:
    """(1, 3, H, W) in [-1, 1], padded."""
    shown = picture.prepare(frame.rgb, job.geometry, job.model.device)
    return picture.pad(shown * 2 - 1, job.geometry.padded).to(job.model.dtype)


def _keep(job: Job, kept: Latents, position: int, waiting: list[Tensor], done: int) -> int:
    """Writes latents from `position` on but for those kept already; returns where the next ones belong."""
    latents = torch.cat(waiting)
    end = position + len(latents)
    if end > done:
        kept.write(max(position, done), latents[max(0, done - position) :])
        job.meter.keep()
    return end


def stretches(latents: int, longest: int | None, overlap: int) -> list[tuple[int, int]]:
    """Cuts a shot into the stretches of single passes, nearly equal, neighbours sharing `overlap` latents."""
    if longest is None or latents <= longest:
        return [(0, latents)]
    count = math.ceil((latents - overlap) / (longest - overlap))
    bounds = [round(i * (latents - overlap) / count) for i in range(count + 1)]
    return [(bounds[i], bounds[i + 1] + overlap) for i in range(count)]


def restore_shot(job: Job, index: int) -> None:
    """Takes the shot's latents through the transformer, in one pass where memory allows."""
    shot, kept = job.work.shots[index], job.work.restored(index)
    assert shot.frames is not None
    latents = latents_of(shot.frames, job.time_factor)
    cuts = stretches(latents, job.plan.stretch_latents, job.plan.overlap_latents)
    finished = set(kept.runs())
    if kept.contiguous() == latents:
        # Stretches of an earlier plan serve as well, once they are all there.
        job.meter.credit("restore", index, shot.frames)
        return
    if not finished <= set(cuts):
        # Stretches of another plan do not fit between those of this one, nor do frames decoded from them.
        kept.clear()
        for segment in segments_of(job, index):
            remove(segment.path)
        finished = set()
    done = shot.frames * len(finished) / len(cuts)
    job.meter.credit("restore", index, done)
    for start, stop in cuts:
        if (start, stop) not in finished:
            share = shot.frames / len(cuts)
            kept.write(start, _restore_stretch(job, index, (start, stop), _share_teller(job, done, share)))
            job.meter.keep()
            done += share


def _restore_stretch(
    job: Job, index: int, stretch: tuple[int, int], on_progress: Callable[[float], None]
) -> Tensor:
    """One stretch of latents of the shot, (T, H, W, C)."""
    model, options, plan = job.model, job.options, job.plan
    start, stop = stretch
    condition = job.work.condition(index).read(start, stop).to(model.device, model.dtype)
    noise = torch.zeros_like(condition)
    shape = (condition.shape[1], condition.shape[2], condition.shape[3])
    if model.choice.noisy:
        for latent in range(start, stop):
            number = first_frame(job.work.shots[index].first, latent, job.time_factor)
            noise[latent - start] = latent_noise(options.seed, number, shape)
    dit = partial(
        model.dit,
        group_tokens=plan.group_tokens,
        token_device=torch.device("cpu") if plan.token_place == "host" else None,
        stream_weights=plan.weight_place == "host" and model.device.type != "cpu",
        kernel="auto",
        on_progress=on_progress,
    )
    return restore_latent(
        dit,
        condition,
        noise,
        model.text_pos,
        model.text_neg,
        options.steps,
        options.guidance,
        options.rescale,
        options.condition_noise,
        time_factor=job.time_factor,
        space_factor=model.vae.config.space_factor,
    )


def _share_teller(job: Job, done: float, frames: float) -> Callable[[float], None]:
    """Turns the share of one pass into frames of the shot.

    done: frames before this stretch. frames: what the stretch itself counts for.
    """
    passes = job.options.steps * (1 if job.options.guidance == 1.0 else 2)
    finished, told = 0, 0.0

    def tell(share: float) -> None:
        nonlocal finished, told
        # A smaller share than the last one tells that the next pass has begun.
        finished, told = finished + (share < told), share
        job.meter.reach(done + frames * (finished + share) / passes)

    return tell


@dataclass(frozen=True)
class Segment:
    """Frames of a shot that become one file; counted from the shot's first frame."""

    path: Path
    first: int
    stop: int
    first_latent: int


def segments_of(job: Job, index: int) -> list[Segment]:
    """Cuts a shot into segments on the grid of its latents."""
    shot = job.work.shots[index]
    assert shot.frames is not None
    latents, each = latents_of(shot.frames, job.time_factor), max(1, SEGMENT_FRAMES // job.time_factor)
    found = []
    for latent in range(0, latents, each):
        first = frames_of(latent, job.time_factor)
        stop = min(frames_of(min(latent + each, latents), job.time_factor), shot.frames)
        found.append(Segment(job.work.segment(shot.first + first), first, stop, latent))
    return found


def decode_shot(job: Job, index: int) -> None:
    """Decodes, corrects and writes the frames of a shot that are not written yet."""
    missing = [segment for segment in segments_of(job, index) if not segment.path.exists()]
    if not missing:
        return
    start = max(0, missing[0].first_latent - job.model.vae.decode_lookback())
    position = frames_of(start + 1, job.time_factor) - 1 if start else 0
    job.meter.credit("decode", index, missing[0].first)
    sink = _Sink(job)
    consumer = Consumer(sink.write, waiting=frames_ahead(job.info))
    try:
        for piece in _decoded(job, index, start):
            for decoded in piece.unbind(2):
                segment = _segment_at(missing, position)
                if segment is not None:
                    last = position == segment.stop - 1
                    consumer.put((segment.path, _finished(job, index, position, decoded), last))
                    job.meter.reach(position + 1)
                job.meter.check()
                position += 1
        consumer.finish()
    finally:
        consumer.abandon()
        sink.close()


def _segment_at(segments: Sequence[Segment], position: int) -> Segment | None:
    """The segment that a frame belongs to, if it is one of these."""
    index = bisect_right(segments, position, key=lambda segment: segment.first) - 1
    return segments[index] if index >= 0 and position < segments[index].stop else None


def _changed(job: Job) -> InputError:
    return InputError(f"{job.info.path.name} changed while it was restored.", remedy="Start again.")


def _decoded(job: Job, index: int, start: int) -> Iterator[Tensor]:
    """Pieces (1 or 2, 3, F, H, W) of the shot from latent `start` on; the second is the condition's own."""
    shot, model = job.work.shots[index], job.model
    assert shot.frames is not None
    latents = latents_of(shot.frames, job.time_factor)
    kept = [job.work.restored(index), *([job.work.condition(index)] if job.residual else [])]

    def pieces() -> Iterator[Tensor]:
        for begin in range(start, latents, job.piece_latents):
            end = min(begin + job.piece_latents, latents)
            batch = torch.stack([latent.read(begin, end) for latent in kept]).to(model.device, model.dtype)
            yield rearrange(batch / model.vae.config.scaling, "b t h w c -> b c t h w")

    return model.vae.decode_stream(pieces(), frames=job.plan.piece_frames, cache_device=job.cache_device)


@dataclass(frozen=True, slots=True)
class Finished:
    """A frame as it is written.

    rgb: (H, W, 3), uint8 or uint16. time: seconds. times: when it is shown, never, once or several times.
    """

    rgb: NDArray
    time: Fraction
    times: Sequence[Fraction]


def _finished(job: Job, index: int, position: int, decoded: Tensor) -> Finished:
    """Frame `position` of the shot as it is written, from what the decoder gave for it."""
    shot = job.work.shots[index]
    original = job.originals.frame(shot.first + position)
    if original is None:
        raise _changed(job)
    before, after = _corrected(job, decoded, original)
    if job.viewer.is_due:
        job.viewer.show(_pair(job, original, before, after))
    bits = 8 if job.target.bit_depth == 8 else 16
    return Finished(picture.to_pixels(after, bits), original.time, _times(job, original))


def _pair(job: Job, original: Frame, before: Tensor, after: Tensor) -> Pair:
    return Pair(
        original.number,
        float(original.time),
        picture.to_pixels(picture.frame_of(before, job.geometry), 8),
        picture.to_pixels(after, 8),
    )


def _times(job: Job, frame: Frame) -> list[Fraction]:
    """When a frame is shown: at its own time, or where it belongs on the grid of a constant rate."""
    rate = job.options.frame_rate
    if rate is None or job.info.kind == "image":
        return [frame.time]
    start, end = span(job)
    following, source_rate = job.originals.following(), job.info.rate or rate
    stop = following.time if following is not None else frame.time + (frame.duration or 1 / source_rate)
    grid = Grid(rate, source_rate, _zero(job) if start is None else start)
    return grid.times(frame.time, stop if end is None else min(stop, end))


def _corrected(job: Job, decoded: Tensor, original: Frame) -> tuple[Tensor, Tensor]:
    """The original as resized, and the frame as it is written, both (1, 3, H, W) in about [0, 1]."""
    height, width = job.geometry.resized
    shown = picture.prepare(original.rgb, job.geometry, job.model.device)
    decoded = decoded[..., :height, :width].float() / 2
    content = shown + decoded[:1] - decoded[1:] if job.residual else decoded + 0.5
    corrected = colour.CORRECTIONS[job.options.colour](content, shown)
    return shown, picture.frame_of(corrected, job.geometry)


class _Sink:
    """Writes frames into their segments, or the only one into a picture."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._writer: SegmentWriter | None = None

    def write(self, item: tuple[Path, Finished, bool]) -> None:
        """Adds a frame to the segment of this path; the last one closes it."""
        path, frame, last = item
        target = self._job.target
        if self._job.info.kind == "image":
            icc = self._job.info.icc
            write_still(self._job.output, frame.rgb, target.quality, bit_depth=target.bit_depth, icc=icc)
            self._job.meter.keep()
            return
        for shown in frame.times:
            if self._writer is None:
                self._writer = SegmentWriter(path, target)
            self._writer.write(frame.rgb, shown)
        if last:
            self._finish(path, frame)

    def _finish(self, path: Path, frame: Finished) -> None:
        if self._writer is None and self._is_last(path) and not self._job.work.segments():
            # A clip shorter than a step of its output rate shows one frame all the same.
            self._writer = SegmentWriter(path, self._job.target)
            self._writer.write(frame.rgb, frame.time)
        if self._writer is None:
            self._job.work.keep_empty(path)
        else:
            self._writer.close()
            self._writer = None
        self._job.meter.keep()

    def _is_last(self, path: Path) -> bool:
        work = self._job.work
        return work.ended and path == segments_of(self._job, len(work.shots) - 1)[-1].path

    def close(self) -> None:
        """Drops a segment that is not whole."""
        if self._writer is not None:
            self._writer.abort()
            self._writer = None
