"""Clips that the tests draw and encode themselves: small, seeded, with every tag a file can carry."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

SAMPLE_RATE = 48000
# ITU-T H.273 code points and the luma weights (red, blue) of the matrices.
MATRIX_CODES = {"bt709": 1, "bt470bg": 5, "smpte170m": 6, "bt2020nc": 9}
LUMA_WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
_BARS = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0))


def scene(
    seed: int, frames: int, size: tuple[int, int] = (48, 64), *, speed: float = 1.0, noise: float = 0.0
) -> list[NDArray[np.uint8]]:
    """A shot: drifting discs over a soft background. size: (height, width); speed: pixels a frame."""
    rng = np.random.default_rng(seed)
    height, width = size
    margin = int(abs(speed) * frames) + 2
    canvas = _dead_leaves(rng, height, width + margin)
    shots = []
    for index in range(frames):
        left = round(index * abs(speed))
        frame = canvas[:, left : left + width].astype(np.float64)
        if noise:
            frame = frame + rng.normal(0, noise, frame.shape)
        shots.append(frame.clip(0, 255).astype(np.uint8))
    return shots


def _dead_leaves(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:height, 0:width]
    top, bottom = rng.uniform(20, 235, (2, 3))
    canvas = top + (bottom - top) * (rows / height)[..., None]
    for _ in range(max(12, width // 4)):
        centre = rng.uniform(0, height), rng.uniform(0, width)
        radius = height * rng.uniform(0.06, 0.3)
        inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
        canvas[inside] = rng.uniform(10, 245, 3)
    return canvas.clip(0, 255).astype(np.uint8)


def colour_bars(size: tuple[int, int] = (48, 64), level: float = 0.75) -> NDArray[np.float64]:
    """Eight bars, 0..1, (H, W, 3); `level` keeps them inside what every matrix holds without clipping."""
    height, width = size
    bars = np.array(_BARS, np.float64)[np.minimum(np.arange(width) * 8 // width, 7)]
    return np.broadcast_to(bars * level, (height, width, 3)).copy()


def to_yuv(rgb: NDArray[np.float64], matrix: str, full: bool, bits: int) -> NDArray[np.float64]:
    """The textbook conversion (BT.601, 709, 2020): (H, W, 3) of 0..1 to code values, rounded."""
    red_weight, blue_weight = LUMA_WEIGHTS[MATRIX_CODES[matrix]]
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    cb, cr = (blue - luma) / 2 / (1 - blue_weight), (red - luma) / 2 / (1 - red_weight)
    if full:
        top, middle = 2**bits - 1, 2 ** (bits - 1)
        codes = np.stack([luma * top, cb * top + middle, cr * top + middle], -1)
    else:
        unit = 2 ** (bits - 8)
        codes = np.stack([(16 + 219 * luma) * unit, (128 + 224 * cb) * unit, (128 + 224 * cr) * unit], -1)
    return np.round(codes).clip(0, 2**bits - 1)


def yuv_frame(codes: NDArray[np.float64], pixel_format: str) -> av.VideoFrame:
    """A frame holding exactly these code values (H, W, 3); chroma is the mean of the pixels it covers."""
    height, width = codes.shape[:2]
    frame = av.VideoFrame(width, height, pixel_format)
    kind = np.uint16 if "le" in pixel_format else np.uint8
    for channel, plane in enumerate(frame.planes):
        values = codes[..., channel]
        if plane.height < height:
            values = values.reshape(height // 2, 2, width).mean(1)
        if plane.width < width:
            values = values.reshape(plane.height, width // 2, 2).mean(2)
        rows = np.zeros((plane.height, plane.line_size // np.dtype(kind).itemsize), kind)
        rows[:, : plane.width] = np.round(values)
        plane.update(rows.tobytes())
    return frame


@dataclass
class ClipSpec:
    """How a clip is written.

    times: seconds of each frame, None for a steady rate. colour: matrix name and range, both None for
    untagged.
    tags: further attributes of the codec context. tracks: sound, one array of samples (-1..1) each, starting
    at 0.
    """

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    rate: Fraction = Fraction(25)
    time_base: Fraction = Fraction(1, 90000)
    times: Sequence[Fraction] | None = None
    matrix: str | None = None
    full_range: bool | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=lambda: {"crf": "12", "preset": "veryfast"})
    rotation: int = 0
    aspect: Fraction | None = None
    tracks: Sequence[NDArray[np.float64]] = ()
    audio_codec: str = "aac"
    languages: Sequence[str] = ("eng", "deu")
    subtitles: Sequence[tuple[float, float, str]] = ()
    chapters: Sequence[tuple[float, float, str]] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    gop: int = 12
    interlaced: bool = False


def write_clip(
    path: Path, frames: Iterable[NDArray[np.uint8] | av.VideoFrame], spec: ClipSpec | None = None
) -> Path:
    """Encodes frames (RGB arrays or frames ready to encode) into `path`; the suffix says which container."""
    spec = spec or ClipSpec()
    frames = list(frames)
    first = frames[0]
    width, height = (first.width, first.height) if isinstance(first, av.VideoFrame) else first.shape[1::-1]
    with av.open(str(path), "w") as container:
        video = container.add_stream(spec.codec, rate=spec.rate, options=_options(spec))
        context = video.codec_context
        context.width, context.height, context.pix_fmt = width, height, spec.pixel_format
        context.time_base, context.gop_size = spec.time_base, spec.gop
        _tag(context, spec)
        if spec.aspect is not None:
            video.sample_aspect_ratio = spec.aspect
        if spec.rotation:
            video.set_display_rotation(spec.rotation)
        sounds = [_add_sound(container, spec, index) for index in range(len(spec.tracks))]
        texts = container.add_mux_stream("subrip") if spec.subtitles else None
        container.metadata.update(spec.metadata)
        if spec.chapters:
            container.set_chapters(_chapters(spec))
        for index, frame in enumerate(frames):
            container.mux(video.encode(_video_frame(frame, index, spec)))
        container.mux(video.encode(None))
        for stream, samples in zip(sounds, spec.tracks, strict=True):
            _encode_sound(container, stream, samples)
        if texts is not None:
            _mux_subtitles(container, texts, spec)
    return path


def _options(spec: ClipSpec) -> dict[str, str]:
    if not spec.codec.startswith("libx26"):
        return {}
    # Flushed after a few frames, x265 with B frames sometimes gives packets decode times that no muxer takes.
    extra = {"x265-params": "log-level=none:bframes=0"} if spec.codec == "libx265" else {}
    if spec.interlaced:
        extra["x264-params"] = "interlaced=1:tff=1"
    return extra | spec.options


def _tag(context: Any, spec: ClipSpec) -> None:
    if spec.matrix is not None:
        context.colorspace = MATRIX_CODES[spec.matrix]
    if spec.full_range is not None:
        context.color_range = int(ColorRange.JPEG if spec.full_range else ColorRange.MPEG)
    for name, value in spec.tags.items():
        setattr(context, name, value)


def _video_frame(frame: NDArray[np.uint8] | av.VideoFrame, index: int, spec: ClipSpec) -> av.VideoFrame:
    if not isinstance(frame, av.VideoFrame):
        source = "rgb48le" if frame.dtype == np.uint16 else "rgb24"
        frame = av.VideoFrame.from_ndarray(frame, format=source)
        frame.color_range = int(ColorRange.JPEG)
        yuv = spec.pixel_format.startswith("yuv")
        frame = frame.reformat(
            format=spec.pixel_format,
            dst_colorspace=MATRIX_CODES[spec.matrix or "smpte170m"] if yuv else None,
            dst_color_range=ColorRange.JPEG if spec.full_range or not yuv else ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
        )
        frame.colorspace, frame.color_range = (MATRIX_CODES[spec.matrix] if spec.matrix else 2), 0
    if spec.full_range is not None:
        frame.color_range = int(ColorRange.JPEG if spec.full_range else ColorRange.MPEG)
    time = index / spec.rate if spec.times is None else spec.times[index]
    frame.time_base, frame.pts = spec.time_base, round(time / spec.time_base)
    return frame


def _chapters(spec: ClipSpec) -> list[dict[str, Any]]:
    base = Fraction(1, 1000)
    return [
        {
            "id": n,
            "start": int(a * 1000),
            "end": int(b * 1000),
            "time_base": base,
            "metadata": {"title": title},
        }
        for n, (a, b, title) in enumerate(spec.chapters)
    ]


def _add_sound(container: Any, spec: ClipSpec, index: int) -> Any:
    stream = container.add_stream(spec.audio_codec, rate=SAMPLE_RATE)
    stream.codec_context.layout = "mono"
    stream.metadata["language"] = spec.languages[index]
    return stream


def _encode_sound(container: Any, stream: Any, samples: NDArray[np.float64]) -> None:
    planar = stream.codec_context.format.name == "fltp"
    for start in range(0, len(samples), 1024):
        piece = samples[start : start + 1024]
        values = piece.astype(np.float32) if planar else np.round(piece * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(values[None], format="fltp" if planar else "s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _mux_subtitles(container: Any, stream: Any, spec: ClipSpec) -> None:
    for begin, end, text in spec.subtitles:
        packet = av.Packet(text.encode())
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = round(begin * 1000)
        packet.duration = round((end - begin) * 1000)
        container.mux(packet)


def clicks(duration_s: float, at_s: Sequence[float]) -> NDArray[np.float64]:
    """Silence with short loud bursts that begin at the given seconds."""
    samples = np.zeros(round(duration_s * SAMPLE_RATE))
    burst = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(960) / SAMPLE_RATE)
    for second in at_s:
        start = round(second * SAMPLE_RATE)
        samples[start : start + len(burst)] = burst[: max(0, len(samples) - start)]
    return samples


def heard_clicks(path: Path, track: int = 0, threshold: float = 0.2) -> list[float]:
    """Seconds at which bursts begin in a sound track, on the file's clock."""
    found: list[float] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=track):
            values = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
            if frame.format.name.startswith("s16"):
                values /= 32767
            for index in np.flatnonzero(values > threshold):
                second = float(frame.pts * frame.time_base) + index / frame.sample_rate
                if not found or second - found[-1] > 0.1:
                    found.append(second)
    return found
