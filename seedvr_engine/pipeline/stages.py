"""The three stages that a shot goes through. Each keeps what it finishes and goes on from what is kept."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from seedvr_engine.errors import InputError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.read import Frame, read_frames
from seedvr_engine.media.write import SegmentWriter, Target, write_still
from seedvr_engine.pipeline import colour, picture
from seedvr_engine.pipeline.background import Consumer, Prefetched
from seedvr_engine.pipeline.latent import restore_latent
from seedvr_engine.pipeline.model import Model
from seedvr_engine.pipeline.noise import first_frame, latent_noise
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.plan import Plan
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.shots import ShotStream, frames_ahead
from seedvr_engine.pipeline.size import Geometry
from seedvr_engine.pipeline.work import Latents, Work

RUN_LATENTS = 16
SEGMENT_FRAMES = 64


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
    stream: ShotStream | None = None

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
    # The autoencoder sees some latents back; starting that much earlier makes up for what it has forgotten.
    start = max(0, done - job.model.vae.encode_lookback())
    skipped = start * job.time_factor
    if job.stream is None:
        job.stream = open_stream(
            job, shot.first + skipped, known=shot.first + frames_of(done, job.time_factor)
        )
    frames = _Counted(job.stream.shot(), skipped, job.meter, frames_of(done, job.time_factor))
    pieces = _pieces(job, frames)
    position, waiting = start, []
    for mean, _ in job.model.vae.encode_stream(
        pieces, frames=job.plan.piece_frames, cache_device=job.cache_device
    ):
        waiting.append(rearrange(mean, "1 c t h w -> t h w c") * job.model.vae.config.scaling)
        if sum(map(len, waiting)) >= RUN_LATENTS:
            position, waiting = _keep(kept, position, waiting, done), []
    if waiting:
        _keep(kept, position, waiting, done)
    shot.frames = frames.count


def open_stream(job: Job, first: int, known: int) -> ShotStream:
    start, end = (Fraction(x) if x is not None else None for x in (job.options.start, job.options.end))
    return ShotStream(job.info, first, start=start, end=end, detect=job.options.shots, known=known)


class _Counted:
    """Counts the frames of a shot while they pass, those before the first one read included."""

    def __init__(self, frames: Iterator[Frame], count: int, meter: Meter, credited: int) -> None:
        self.count = count
        self._frames, self._meter, self._credited = frames, meter, credited

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self.count += 1
            self._meter.step(1 if self.count > self._credited else 0)
            yield frame


def _pieces(job: Job, frames: "_Counted") -> Iterator[Tensor]:
    """The shot as (1, 3, F, H, W) in [-1, 1]: one latent's frames first, then whole latents'; the end filled up."""
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


def _keep(kept: Latents, position: int, waiting: list[Tensor], done: int) -> int:
    """Writes latents from `position` on, but for those that are kept already; returns where the next ones belong."""
    latents = torch.cat(waiting)
    end = position + len(latents)
    if end > done:
        kept.write(max(position, done), latents[max(0, done - position) :])
    return end


def stretches(latents: int, longest: int | None, overlap: int) -> list[tuple[int, int]]:
    """Cuts a shot into the stretches of single passes, of nearly equal length, neighbours sharing `overlap` latents."""
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
    for start, stop in cuts:
        if (start, stop) not in finished:
            kept.write(
                start, _restore_stretch(job, index, start, stop, shot.frames * (stop - start) / latents)
            )


def _restore_stretch(job: Job, index: int, start: int, stop: int, frames: float) -> Tensor:
    """One pass: latents start to stop of the shot, (T, H, W, C). frames: what the pass counts for."""
    model, options, plan = job.model, job.options, job.plan
    condition = job.work.condition(index).read(start, stop).to(model.device, model.dtype)
    noise = torch.zeros_like(condition)
    if model.choice.noisy:
        for latent in range(start, stop):
            number = first_frame(job.work.shots[index].first, latent, job.time_factor)
            noise[latent - start] = latent_noise(options.seed, number, tuple(condition.shape[1:]))
    passes = options.steps * (1 if options.guidance == 1.0 else 2)
    dit = partial(
        model.dit,
        group_tokens=plan.group_tokens,
        token_device=torch.device("cpu") if plan.token_place == "host" else None,
        stream_weights=plan.weight_place == "host" and model.device.type != "cpu",
        kernel="auto",
        on_progress=_share_teller(job.meter, frames / passes),
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


def _share_teller(meter: Meter, frames: float) -> Callable[[float], None]:
    """Turns the share of a pass into frames for the meter."""
    told = 0.0

    def tell(share: float) -> None:
        nonlocal told
        # A new pass begins again at a small share.
        advance = share - told if share >= told else share
        told = share
        meter.step(advance * frames)

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
    shot = job.work.shots[index]
    start = max(0, missing[0].first_latent - job.model.vae.decode_lookback())
    position = frames_of(start + 1, job.time_factor) - 1 if start else 0
    source = _source_frames(job, shot.first + missing[0].first, shot.first + missing[-1].stop)
    sink = Consumer(_sink(job), waiting=frames_ahead(job.info))
    try:
        ends = {segment.stop - 1: segment.path for segment in missing}
        path_at = {number: s.path for s in missing for number in range(s.first, s.stop)}
        originals = iter(source)
        for piece in _decoded(job, index, start):
            for offset in range(piece.shape[2]):
                number = position + offset
                if number in path_at:
                    original = next(originals, None)
                    if original is None:
                        raise InputError(
                            f"{job.info.path.name} changed while it was restored.", remedy="Start again."
                        )
                    rgb = _finished(job, piece[:, :, offset], original)
                    sink.put((path_at[number], rgb, original.time, number in ends))
                    job.meter.step(1)
                else:
                    job.meter.check()
            position += piece.shape[2]
        sink.finish()
    except BaseException:
        sink.abandon()
        raise
    finally:
        source.close()


def _source_frames(job: Job, first: int, stop: int) -> Prefetched[Frame]:
    return Prefetched(lambda: read_frames(job.info, first=first, stop=stop), frames_ahead(job.info))


def _decoded(job: Job, index: int, start: int) -> Iterator[Tensor]:
    """Pieces (1 or 2, 3, F, H, W) of the shot from latent `start` on; the second one is the condition's own."""
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


def _finished(job: Job, decoded: Tensor, original: Frame) -> NDArray:
    """One frame as it is written: (H, W, 3)."""
    height, width = job.geometry.resized
    shown = picture.prepare(original.rgb, job.geometry, job.model.device)
    decoded = decoded[..., :height, :width].float() / 2
    content = shown + decoded[:1] - decoded[1:] if job.residual else decoded + 0.5
    corrected = colour.CORRECTIONS[job.options.colour](content, shown)
    bits = 8 if job.target.bit_depth == 8 else 16
    return picture.to_pixels(picture.frame_of(corrected, job.geometry), bits)


def _sink(job: Job) -> Callable[[tuple[Path, NDArray, Fraction, bool]], None]:
    """Writes frames into their segments, or the only one into a picture."""
    writer: SegmentWriter | None = None

    def write(item: tuple[Path, NDArray, Fraction, bool]) -> None:
        nonlocal writer
        path, rgb, time, last = item
        if job.info.kind == "image":
            write_still(job.output, rgb, job.target.quality, bit_depth=job.target.bit_depth)
            return
        if writer is None:
            writer = SegmentWriter(path, job.target)
        writer.write(rgb, time)
        if last:
            writer.close()
            writer = None

    return write
