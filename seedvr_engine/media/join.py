"""Joins segments to the finished clip by copying packets, the source's sound and subtitles beside them."""

import heapq
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from seedvr_engine.errors import OutputError
from seedvr_engine.media.encoders import SEGMENT_LEAD_S, segment_format, tag_colour
from seedvr_engine.media.info import MediaInfo, StreamInfo
from seedvr_engine.media.keep import holds
from seedvr_engine.media.opening import open_media, output_errors
from seedvr_engine.media.pictures import join_pictures, remove
from seedvr_engine.media.target import Target
from seedvr_engine.media.whole import give_name

_MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
# About the source's file, not about its content; the muxer writes its own.
_TECHNICAL_METADATA = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "creation_time",
    "duration",
}


def join_segments(
    segments: Sequence[Path],
    source: MediaInfo,
    target: Target,
    output: Path,
    *,
    start: Fraction | None = None,
    stop: Fraction | None = None,
    metadata: Mapping[str, str] | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[str]:
    """Makes the finished file of segments written by `SegmentWriter` with the same target, in order.

    Sound, subtitles, chapters and metadata come from the source as they are. start, stop: seconds on the
    source's clock; what lies outside is left out, and start becomes 0. Without start the source's clock is
    kept, except where its zero means nothing (MPEG streams): then its earliest stream starts at 0. metadata:
    added to the source's. check: called for every packet; an error that it raises ends the join, which then
    leaves nothing behind.
    Returns a sentence for each stream that the container could not hold. The output gets its name when it is
    whole.
    Raises OutputError where the place cannot be written or is full, or the segments do not belong together.
    """
    if not segments:
        raise OutputError("There is no segment to join.", remedy="This is a bug; report it.")
    origin = start if start is not None else _origin(source)
    if target.container == "png":
        join_pictures(segments, output, origin)
        return [f"The {stream} is not kept: a folder of pictures holds none." for stream in _beside(source)]
    part = output.with_name(output.name + ".part")
    with output_errors(output):
        try:
            cut = _Cut(origin, start, stop)
            warnings = _write(segments, source, target, part, cut, metadata or {}, check)
            give_name(part, output)
        finally:
            remove(part)
    return warnings


@dataclass(frozen=True)
class _Cut:
    """origin: what becomes 0. start, stop: what is kept, None for no limit. All in the source's seconds."""

    origin: Fraction
    start: Fraction | None
    stop: Fraction | None

    def keeps(self, begin: Fraction, end: Fraction) -> bool:
        return (self.start is None or end > self.start) and (self.stop is None or begin < self.stop)


@dataclass(frozen=True)
class _Timeline:
    """Timestamps of all pictures of all segments, in presentation order, in units of `base`.

    delay: by how many pictures decoding runs ahead of showing. step: units of a nominal frame.
    """

    times: "array[int]"
    base: Fraction
    delay: int
    step: int

    def decode_time(self, index: int) -> int:
        """DTS of the index-th packet: always rising, never after its picture's own time."""
        if index >= self.delay:
            return self.times[index - self.delay]
        return self.times[0] - (self.delay - index) * self.step

    def duration(self, time: int) -> int:
        following = bisect_left(self.times, time) + 1
        return self.times[following] - time if following < len(self.times) else self.step


def _origin(source: MediaInfo) -> Fraction:
    return source.start if source.free_running else Fraction(0)


def _beside(source: MediaInfo) -> list[StreamInfo]:
    return [*source.audio, *source.subtitles, *source.extras]


def _write(
    segments: Sequence[Path],
    source: MediaInfo,
    target: Target,
    part: Path,
    cut: _Cut,
    metadata: Mapping[str, str],
    check: Callable[[], None],
) -> list[str]:
    timeline = _read_timeline(segments, target)
    with ExitStack() as stack:
        first = stack.enter_context(_open_segment(segments[0], target))
        original = stack.enter_context(open_media(source.path)) if source.kind == "video" else None
        output = stack.enter_context(
            av.open(
                str(part), "w", format=_MUXERS[target.container], container_options=_muxer_options(target)
            )
        )
        picture = _add_picture(output, first, target)
        kept, warnings = _add_streams_beside(output, original, source, target)
        _copy_metadata(output, original, source, metadata)
        _copy_chapters(output, original, cut)
        extradata = first.streams.video[0].codec_context.extradata
        packets = [_picture_packets(segments, target, timeline, picture, cut.origin, extradata)]
        if original is not None and kept:
            packets.append(_copied_packets(original, kept, cut, warnings))
        for packet in heapq.merge(*packets, key=_decode_second):
            check()
            output.mux(packet)
    return warnings


def _open_segment(path: Path, target: Target) -> InputContainer:
    try:
        return av.open(str(path), "r", format=segment_format(target), options={"protocol_whitelist": "file"})
    except av.error.FFmpegError as error:
        raise OutputError(
            f"The finished piece {path.name} cannot be read back: {error.strerror}.",
            remedy="Delete it and run the same command again; it is made anew.",
        ) from error


def _muxer_options(target: Target) -> dict[str, str]:
    if target.container not in {"mp4", "mov"}:
        return {}
    # Edit lists count in movie time; its unit must be as fine as the pictures', or a late start is rounded.
    return {
        "movflags": "+faststart+use_metadata_tags",
        "movie_timescale": str(max(1000, target.time_base.denominator)),
    }


def _add_picture(output: OutputContainer, segment: InputContainer, target: Target) -> Stream:
    stream = output.add_stream_from_template(segment.streams.video[0], opaque=True)
    stream.time_base = target.time_base
    tag_colour(stream.codec_context, target)
    if target.codec == "h265" and target.container in {"mp4", "mov"}:
        stream.codec_context.codec_tag = "hvc1"  # Apple's players want it so.
    return stream


def _add_streams_beside(
    output: OutputContainer, original: InputContainer | None, source: MediaInfo, target: Target
) -> tuple[dict[int, Stream], list[str]]:
    kept: dict[int, Stream] = {}
    warnings: list[str] = []
    if original is None:
        return kept, warnings
    for info in _beside(source):
        attachment = info.kind == "attachment" and target.container == "mkv"
        if not attachment and (info.kind not in {"audio", "subtitle"} or not holds(target.container, info)):
            warnings.append(_not_kept(info, target))
            continue
        template = original.streams[info.index]
        try:
            stream = output.add_stream_from_template(template)
        except ValueError:  # The muxer knows better than our table.
            warnings.append(_not_kept(info, target))
            continue
        stream.metadata.update(template.metadata)
        stream.disposition = template.disposition
        kept[info.index] = stream
    return kept, warnings


def _not_kept(info: StreamInfo, target: Target) -> str:
    if info.kind in {"audio", "subtitle"} and target.container != "mkv" and holds("mkv", info):
        return f"The {info} is not kept: {target.container} cannot hold it; `--container mkv` can."
    return f"The {info} is not kept: {target.container} cannot hold it unchanged."


def _copy_metadata(
    output: OutputContainer, original: InputContainer | None, source: MediaInfo, added: Mapping[str, str]
) -> None:
    own = {} if original is None else source.metadata
    output.metadata.update(
        {key: value for key, value in own.items() if key.lower() not in _TECHNICAL_METADATA}
    )
    output.metadata.update(added)


def _copy_chapters(output: OutputContainer, original: InputContainer | None, cut: _Cut) -> None:
    if original is None:
        return
    chapters: list[Any] = []
    for chapter in original.chapters():
        base = chapter["time_base"] or Fraction(1, av.time_base)
        begin, end = chapter["start"] * base, chapter["end"] * base
        if not cut.keeps(begin, end):
            continue
        begin = max(begin, cut.start) if cut.start is not None else begin
        end = min(end, cut.stop) if cut.stop is not None else end
        shifted = {"start": round((begin - cut.origin) / base), "end": round((end - cut.origin) / base)}
        chapters.append({**chapter, **shifted, "time_base": base})
    if chapters:
        output.set_chapters(chapters)


def _read_timeline(segments: Sequence[Path], target: Target) -> _Timeline:
    """One pass over the segments' packets, without their content: 8 bytes a picture."""
    times: array[int] = array("q")
    delay = 0
    for path in segments:
        with _open_segment(path, target) as container:
            own = [_in_units(packet, target.time_base) for packet in container.demux(video=0) if packet.size]
        order = {time: rank for rank, time in enumerate(sorted(own))}
        delay = max([delay, *(index - order[time] for index, time in enumerate(own))])
        if not own or (times and min(own) <= times[-1]):
            raise OutputError(
                f"The finished piece {path.name} does not follow the one before it.",
                remedy="Delete the hidden work folder beside the output and run the same command again.",
            )
        times.extend(sorted(own))
    return _Timeline(times, target.time_base, delay, max(1, round(1 / target.rate / target.time_base)))


def _in_units(packet: Packet, base: Fraction) -> int:
    if packet.pts is None:
        raise OutputError("A finished piece has a picture without a time.", remedy="Delete the work folder.")
    return round((packet.pts * packet.time_base - SEGMENT_LEAD_S) / base)


def _picture_packets(
    segments: Sequence[Path],
    target: Target,
    timeline: _Timeline,
    stream: Stream,
    origin: Fraction,
    extradata: bytes | None,
) -> Iterator[Packet]:
    shift = round(origin / timeline.base)
    index = 0
    for path in segments:
        with _open_segment(path, target) as container:
            if container.streams.video[0].codec_context.extradata != extradata:
                raise OutputError(
                    f"The finished piece {path.name} was written with other settings.",
                    remedy="Delete the hidden work folder beside the output and run the same command again.",
                )
            for packet in container.demux(video=0):
                if not packet.size:
                    continue
                time = _in_units(packet, timeline.base)
                packet.stream = cast(Any, stream)
                packet.time_base = timeline.base
                packet.pts = time - shift
                packet.dts = timeline.decode_time(index) - shift
                packet.duration = timeline.duration(time)
                index += 1
                yield packet


def _copied_packets(
    original: InputContainer, kept: Mapping[int, Stream], cut: _Cut, warnings: list[str]
) -> Iterator[Packet]:
    packets = original.demux([original.streams[index] for index in kept])
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            warnings.append(f"Sound and subtitles could not be read to their end: {error.strerror}.")
            return
        if packet is None:
            return
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or not packet.size:
            continue
        base = packet.time_base
        if not cut.keeps(time * base, (time + max(packet.duration or 0, 1)) * base):
            continue
        shift = round(cut.origin / base)
        packet.pts = time - shift
        packet.dts = (packet.dts if packet.dts is not None else time) - shift
        packet.stream = cast(Any, kept[packet.stream.index])
        yield packet


def _decode_second(packet: Packet) -> Fraction:
    assert packet.dts is not None
    return packet.dts * packet.time_base
