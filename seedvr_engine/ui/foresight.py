"""After a clip was chosen: what it is, what will come out, how long, how much room; as HTML."""

from html import escape
from typing import Any

from seedvr_engine.jobs.messages import StoredInput
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.pipeline.estimate import Estimate
from seedvr_engine.pipeline.options import Options
from seedvr_engine.ui.words import about, bytes_words, clock, model_words, rate_words

_CODECS = {
    "h264": "H.264",
    "hevc": "H.265",
    "h265": "H.265",
    "av1": "AV1",
    "vp9": "VP9",
    "prores": "ProRes",
    "mpeg4": "MPEG-4",
    "mpeg2video": "MPEG-2",
    "ffv1": "FFV1",
}


def media_of(given: StoredInput) -> dict[str, Any]:
    """What the page's scripts and fields need to know of a file: sides in pixels, length, rate.

    Raises InputError for a file that cannot be read.
    """
    info = probe(given.path)
    return {
        "height": info.height,
        "width": info.width,
        "duration_s": info.duration_s if info.kind == "video" else None,
        "rate": float(info.rate) if info.rate else None,
    }


def foresight(processor: SeedVRProcessor, given: StoredInput, options: Options, count: int) -> str:
    """Four tiles and a verdict on the time limit. count: clips chosen; only the first is looked at.

    Raises SeedVRError for what cannot be restored so.
    """
    estimate = processor.foresee(given, options)
    system = processor.system()
    tiles = [
        ("This is", source_words(estimate.forecast.info)),
        ("This comes out", target_words(estimate)),
        ("It takes", time_words(estimate)),
        ("It needs", room_words(estimate, system.disk_free_bytes)),
    ]
    drawn = "".join(
        f"<div><dt>{title}</dt><dd><strong>{escape(lines[0])}</strong>"
        f"{''.join(f'<span>{escape(line)}</span>' for line in lines[1:])}</dd></div>"
        for title, lines in tiles
    )
    several = (
        f'<p class="sv-note">{count} clips are chosen; this is about the first.</p>' if count > 1 else ""
    )
    notes = "".join(f'<p class="sv-note">{escape(note)}</p>' for note in estimate.forecast.notes)
    return (
        '<section class="sv-card" aria-label="What will come">'
        f'<dl class="sv-tiles-4">{drawn}</dl>'
        f"{limit_words(estimate, processor.settings.timeout_s)}{several}{notes}</section>"
    )


def source_words(info: MediaInfo) -> list[str]:
    """The file: its size first, then everything else that is known."""
    first = [f"{info.width}×{info.height}"]
    if info.kind == "video" and info.duration_s is not None:
        first.append(clock(info.duration_s))
    second = [_CODECS.get(info.codec, info.codec.upper())]
    if info.kind == "video" and info.rate:
        second.insert(0, f"{rate_words(float(info.rate))} frames/s")
    if info.bit_depth > 8:
        second.append(f"{info.bit_depth} bit")
    extras = [("with sound" if info.audio else "no sound")] if info.kind == "video" else []
    extras += ["HDR"] if info.hdr else []
    extras += ["interlaced: deinterlace it first, or edges that move stay combed"] if info.interlaced else []
    extras += ["subtitles"] if info.subtitles else []
    return [" · ".join(first), " · ".join(second), *([" · ".join(extras)] if extras else []), *info.warnings]


def target_words(estimate: Estimate) -> list[str]:
    """What comes out, and of which model."""
    forecast = estimate.forecast
    height, width = forecast.geometry.output
    target = forecast.target
    file = f"{target.container.upper()} · {_CODECS.get(target.codec, target.codec.upper())}"
    file += f" · {target.bit_depth} bit" if target.bit_depth > 8 else ""
    return [f"{width}×{height}", file, f"by {model_words(forecast.model.name)}"]


def time_words(estimate: Estimate) -> list[str]:
    """How long, and where the time goes."""
    frames = estimate.forecast.frames
    lines = [about(estimate.seconds), f"for {frames} frames" if frames > 1 else "for one picture"]
    return [*lines, "a first guess: nothing like it has run here"] if estimate.is_guess else lines


def room_words(estimate: Estimate, disk_free_bytes: int) -> list[str]:
    """Memory and disk."""
    where = "graphics memory" if estimate.forecast.device.type == "cuda" else "memory"
    return [
        f"{bytes_words(estimate.device_bytes)} of {where}",
        f"{bytes_words(estimate.disk_bytes)} of {bytes_words(disk_free_bytes)} free disk",
        estimate.plan_line,
    ]


def limit_words(estimate: Estimate, timeout_s: float) -> str:
    """Whether the time limit will do; a paragraph, empty without a limit."""
    if not timeout_s:
        return ""
    limit = about(timeout_s).removeprefix("about ")
    if estimate.seconds <= 0.8 * timeout_s:
        return f'<p class="sv-note">A run may take {limit} here: that will do.</p>'
    verdict = "that may not be enough" if estimate.seconds <= 1.2 * timeout_s else "that will not be enough"
    return (
        f'<p class="sv-warn">A run may take {limit} here: {verdict}. It pauses then and keeps its work; '
        "“Continue” goes on from there. A smaller size or a part of the clip is quicker.</p>"
    )
