"""Looks at a file without reading it: what is in it, how big, which colours, which way up."""

from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from seedvr_engine.errors import InputError
from seedvr_engine.media import colour
from seedvr_engine.media.info import Chapter, Colour, Kind, MediaInfo, StreamInfo
from seedvr_engine.media.opening import MAX_SIDE, open_media
from seedvr_engine.media.sidedata import hdr10_metadata, orientation_of
from seedvr_engine.media.still import has_alpha, read_tags

__all__ = ["Chapter", "Colour", "Kind", "MediaInfo", "StreamInfo", "probe"]

_MAX_RATE = 1000
_PROBED_FRAMES = 8


def probe(path: Path) -> MediaInfo:
    """Describes a video or picture; decodes its first frames to know rather than believe.

    Raises InputError, with what to do about it, for everything that is no picture or video: a missing or
    empty file, text, sound alone, a playlist, a video without a single frame, a picture larger than 16384
    either way.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = picture_stream(container, path)
        frames = _first_frames(container, stream, path)
        return _describe(path, container, stream, frames)


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The video stream to restore: the first that is no cover. Raises InputError where there is none."""
    videos = container.streams.video
    moving = [s for s in videos if not s.disposition & av.stream.Disposition.attached_pic]
    if moving:
        return moving[0]
    if container.streams.audio:
        raise InputError(
            f"{path.name} holds sound but no picture.", remedy="Give a file that has a video stream."
        )
    if videos:
        return videos[0]
    raise InputError(f"{path.name} holds no picture.", remedy="Give a video or a picture.")


def _first_frames(container: InputContainer, stream: VideoStream, path: Path) -> list[av.VideoFrame]:
    _check_size(path, stream.codec_context.width, stream.codec_context.height)
    frames: list[av.VideoFrame] = []
    try:
        for frame in container.decode(stream):
            _check_size(path, frame.width, frame.height)
            frames.append(frame)
            if len(frames) == _PROBED_FRAMES:
                break
    except av.error.FFmpegError:
        pass  # A clip cut off after its first frames is still a clip; the reader tells where it ends.
    if not frames:
        raise InputError(
            f"{path.name} holds no frame that can be decoded.",
            remedy="Try to play it; if it plays, convert it with FFmpeg first.",
        )
    return frames


def _check_size(path: Path, width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE:
        raise InputError(
            f"{path.name} is {width}x{height}; at most {MAX_SIDE} pixels either way can be restored.",
            remedy="Scale it down or cut it into parts first.",
        )


def _describe(
    path: Path, container: InputContainer, stream: VideoStream, frames: list[av.VideoFrame]
) -> MediaInfo:
    first = frames[0]
    kind = _kind(container, frames)
    still = kind == "image"
    pixel_format, codec = first.format.name, stream.codec_context.name
    colours = colour.resolve(
        pixel_format,
        first.height,
        first.colorspace,
        first.color_range,
        first.color_primaries,
        first.color_trc,
        still=still or container.format.name == "gif",
    )
    orientation, icc = read_tags(path) if still else (orientation_of(first, codec), b"")
    aspect = Fraction(1) if still else _sample_aspect(stream)
    width, height = orientation.size(max(1, round(first.width * aspect)), first.height)
    _check_size(path, width, height)
    rate = None if still else _rate(stream, frames)
    beside = _streams_beside(container, stream)
    return MediaInfo(
        path=path,
        kind=kind,
        container=container.format.name,
        codec=codec,
        pixel_format=pixel_format,
        bit_depth=max(component.bits for component in first.format.components),
        width=width,
        height=height,
        coded_width=first.width,
        coded_height=first.height,
        colour=colours,
        rotation=orientation.rotation,
        orientation=orientation,
        sample_aspect=aspect,
        rate=rate,
        time_base=None if still else stream.time_base,
        duration_s=None if still else _duration_s(container, stream),
        frames_estimate=1 if still else stream.frames or None,
        start=Fraction(container.start_time or 0, av.time_base),
        free_running=_is_free_running(container),
        interlaced=not still and any(frame.interlaced_frame for frame in frames),
        hdr=colours.transfer in colour.HDR_TRANSFERS,
        stream_index=stream.index,
        audio=tuple(s for s in beside if s.kind == "audio"),
        subtitles=tuple(s for s in beside if s.kind == "subtitle"),
        extras=tuple(s for s in beside if s.kind not in {"audio", "subtitle"}),
        chapters=_chapters(container),
        metadata=dict(container.metadata),
        hdr_metadata="" if still else hdr10_metadata(first, codec),
        icc=icc,
        warnings=_warnings(path, first, frames, stream),
    )


def _kind(container: InputContainer, frames: list[av.VideoFrame]) -> Kind:
    # A GIF, APNG or WebP with several frames is a clip, with one it is a picture.
    picture_format = container.format.name.endswith("_pipe") or container.format.name in {
        "gif",
        "apng",
        "webp_anim",
        "ico",
        "image2",
    }
    return "image" if picture_format and len(frames) == 1 else "video"


def _is_free_running(container: InputContainer) -> bool:
    return container.format.name in {"mpegts", "mpeg", "asf", "flv", "wtv"}


def _rate(stream: VideoStream, frames: list[av.VideoFrame]) -> Fraction:
    """Average frames a second; from the first frames' times where the container says nothing sensible."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate is not None and 0 < rate <= _MAX_RATE:
            return rate
    times = [frame.pts for frame in frames if frame.pts is not None]
    if len(times) > 1 and times[-1] > times[0] and stream.time_base is not None:
        rate = (len(times) - 1) / ((times[-1] - times[0]) * stream.time_base)
        if 0 < rate <= _MAX_RATE:
            return rate
    return Fraction(25)


def _sample_aspect(stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    # Beyond 4:1 it is a mistake in the file.
    return aspect if aspect and Fraction(1, 4) <= aspect <= 4 else Fraction(1)


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration is not None else None


def _streams_beside(container: InputContainer, picture: VideoStream) -> list[StreamInfo]:
    return [
        StreamInfo(
            stream.index,
            stream.type if stream.type != "unknown" else "data",
            stream.codec_context.name if stream.codec_context else stream.type,
            stream.metadata.get("language", ""),
            stream.metadata.get("title", ""),
        )
        for stream in container.streams
        if stream.index != picture.index and not _is_chapter_track(container, stream)
    ]


def _is_chapter_track(container: InputContainer, stream: av.stream.Stream) -> bool:
    # QuickTime keeps chapter titles as a text track as well; they are read as chapters.
    handler = stream.metadata.get("handler_name", "").lower()
    return (
        stream.type == "data" and bool(container.chapters()) and ("subtitle" in handler or "text" in handler)
    )


def _chapters(container: InputContainer) -> tuple[Chapter, ...]:
    found = []
    for chapter in container.chapters():
        base = chapter["time_base"] or Fraction(1, av.time_base)
        found.append(
            Chapter(chapter["start"] * base, chapter["end"] * base, chapter["metadata"].get("title", ""))
        )
    return tuple(found)


def _warnings(
    path: Path, first: av.VideoFrame, frames: list[av.VideoFrame], stream: VideoStream
) -> tuple[str, ...]:
    found = []
    if has_alpha(first.format.name):
        found.append(f"{path.name} has transparency, which is not kept.")
    if any(frame.interlaced_frame for frame in frames):
        found.append(f"{path.name} is interlaced; its fields are restored as they are woven together.")
    if first.colorspace == colour.MATRICES["bt2020c"]:
        found.append(f"{path.name} uses BT.2020 constant luminance, which is read as the common variant.")
    return tuple(found)
