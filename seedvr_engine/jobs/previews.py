"""Previews: one frame, or two seconds, restored as the full run will restore them, beside the original."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seedvr_engine.jobs.folders import remove_path, work_folders
from seedvr_engine.jobs.messages import Job
from seedvr_engine.media.info import Colour, MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import Frame, read_frames
from seedvr_engine.media.still import read_still, write_still
from seedvr_engine.media.tonemap import to_screen
from seedvr_engine.media.write import SegmentWriter, choose_target, join_segments
from seedvr_engine.pipeline import picture
from seedvr_engine.pipeline.excerpt import Excerpt, excerpt
from seedvr_engine.pipeline.messages import Result
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.size import Geometry

CLIP_S = 2.0
_QUALITY = 90
_RESTORED = "restored.mkv"

Restore = Callable[[Path, Options], Result]


def make_preview(
    job: Job, info: MediaInfo, shape: Geometry, time_factor: int, folder: Path, restore: Restore
) -> Result:
    """Makes before.png and after.png of a job of kind "frame", before.mp4 and after.mp4 of a "clip".

    shape: of the restoration. time_factor: frames of a latent. restore: restores the job's input into a file,
    with these options. The restored file gets its name last, so that both are whole when it is there.
    """
    if info.kind == "image":
        before = _shown(read_still(info), shape, info.bit_depth > 8)
        _write_picture(folder / "before.png", before, info)
        return restore(folder / "after.png", replace(job.options, container="png", codec=None, quality=None))
    part = excerpt(
        info, job.options, job.moment_s or 0.0, CLIP_S if job.kind == "clip" else None, time_factor
    )
    restored = folder / _RESTORED
    result = _known(restored) if restored.exists() else restore(restored, _options(job, part))
    pairs = _pairs(info, part, shape, restored)
    if job.kind == "clip":
        output = _write_clips(info, part, shape, pairs, folder)
    else:
        output = _write_pictures(info, pairs, folder)
    remove_scratch(folder)
    return replace(result, output=output, frames=part.shown_stop - part.shown)


def remove_scratch(folder: Path) -> None:
    """Removes what a preview is made by, once it is made, or an earlier run has left."""
    restored = folder / _RESTORED
    for path in (restored, *work_folders(restored), *folder.glob("*.segment")):
        remove_path(path)


def _options(job: Job, part: Excerpt) -> Options:
    """Lossless, so that what is seen is the restoration. A frame's excerpt holds no cut."""
    return replace(
        job.options,
        start=part.start_s,
        end=part.end_s,
        rate=None,
        shots=job.options.shots and job.kind == "clip",
        container="mkv",
        codec="ffv1",
        quality=None,
    )


def _known(restored: Path) -> Result:
    """What an earlier run made, before it was ended."""
    info = probe(restored)
    return Result(restored, info.width, info.height, 0, (), "", "", "", 0.0)


def _pairs(
    info: MediaInfo, part: Excerpt, shape: Geometry, restored: Path
) -> Iterator[tuple[Frame, NDArray, NDArray]]:
    """Frame of the file, its picture at the output's size, and restored, for every frame to be shown.

    HDR as an ordinary screen shows it.
    """
    with ExitStack() as files:
        restorations = files.enter_context(read_frames(probe(restored), first=part.shown - part.first))
        originals = files.enter_context(read_frames(info, first=part.shown, stop=part.shown_stop))
        for original, frame in zip(originals, restorations, strict=False):
            before, after = _shown(original.rgb, shape, frame.rgb.dtype == np.uint16), frame.rgb
            if info.hdr:
                before, after = to_screen(before, info.colour), to_screen(after, info.colour)
            yield original, before, after


def _shown(rgb: NDArray, shape: Geometry, deep: bool) -> NDArray:
    """A frame of the input as it would be without a restoration: (H, W, 3) of the output's size."""
    resized = picture.prepare(rgb, shape, torch.device("cpu"))
    return picture.to_pixels(picture.frame_of(resized, shape), 16 if deep else 8)


def _write_pictures(info: MediaInfo, pairs: Iterator[tuple[Frame, NDArray, NDArray]], folder: Path) -> Path:
    _, before, after = next(pairs)
    _write_picture(folder / "before.png", before, info)
    _write_picture(folder / "after.png", after, info)
    return folder / "after.png"


def _write_picture(path: Path, rgb: NDArray, info: MediaInfo) -> None:
    write_still(path, rgb, 100, bit_depth=8 if rgb.dtype == np.uint8 else 16, icc=info.icc)


def _write_clips(
    info: MediaInfo,
    part: Excerpt,
    shape: Geometry,
    pairs: Iterator[tuple[Frame, NDArray, NDArray]],
    folder: Path,
) -> Path:
    """Writes what every browser plays."""
    segments = (folder / "before.segment", folder / "after.segment")
    target = choose_target(info, shape.output, None, "mp4", "h264", _QUALITY)
    if info.hdr:
        target = replace(target, colour=Colour(), hdr_metadata="")
    times: list[Fraction] = []
    with SegmentWriter(segments[0], target) as originals, SegmentWriter(segments[1], target) as restored:
        for frame, before, after in pairs:
            originals.write(before, frame.time)
            restored.write(after, frame.time)
            times.append(frame.time)
    stop = times[-1] + 1 / (info.rate or Fraction(25))
    for segment in segments:
        output = segment.with_suffix(".mp4")
        join_segments([segment], info, target, output, start=times[0], stop=stop)
    return folder / "after.mp4"
