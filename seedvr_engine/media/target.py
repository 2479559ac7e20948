"""What is to be written: container, codec, depth, quality, colour; chosen once, before the first frame."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from seedvr_engine.errors import UsageError
from seedvr_engine.media.info import Colour, MediaInfo
from seedvr_engine.media.keep import lost_streams

DEFAULT_QUALITY = 80
_MAX_TICKS_PER_S = 1_000_000
# Fine enough that a start between two frames of a constant rate is not heard.
_MIN_TICKS_PER_S = 10_000

# Codecs a container may hold, the default first; what needs 10 bits has its own default.
CONTAINER_CODECS = {
    "mp4": ("h264", "h265", "av1"),
    "mkv": ("h264", "h265", "av1", "vp9", "ffv1"),
    "webm": ("vp9", "av1"),
    "mov": ("prores", "h264", "h265"),
    "png": ("png",),
}
_DEEP_DEFAULT = {"mp4": "h265", "mkv": "h265", "webm": "av1"}
STILL_CONTAINERS = ("png", "jpg", "webp", "tiff")
_SUFFIXES = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mkv": "mkv",
    ".webm": "webm",
    ".mov": "mov",
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}
_DEPTHS = {
    "h264": (8,),
    "h265": (8, 10),
    "vp9": (8,),
    "av1": (8, 10),
    "prores": (10,),
    "jpg": (8,),
    "webp": (8,),
}


@dataclass(frozen=True)
class Target:
    """The format of an output.

    width, height: pixels.
    container: "mp4", "mkv", "webm", "mov", "png" (for a clip: a folder of numbered pictures),
        and for a picture also "jpg", "webp", "tiff".
    codec: "h264", "h265", "vp9", "av1", "prores", "ffv1" (lossless), or the picture format.
    bit_depth: 8 or 10; lossless codecs (ffv1, png, tiff) then keep all 16 bits they are given.
    quality: 0 to 100, one scale for every codec; 80 is the default and hard to tell from the source, 100 is
    for masters. x264's CRF is 40 - 0.275 * quality: 18 at 80.
    time_base: unit of the timestamps written, seconds. rate: nominal frames a second.
    hdr_metadata: as in `MediaInfo`; written by H.265 alone, other codecs keep the HDR tags without it.
    """

    width: int
    height: int
    container: str
    codec: str
    bit_depth: int
    quality: int
    colour: Colour
    time_base: Fraction
    rate: Fraction
    hdr_metadata: str = ""

    @property
    def suffix(self) -> str:
        """File name ending, with its dot; a folder of pictures has none."""
        return f".{self.container}"


def container_of(output: Path) -> str:
    """The container that a file name asks for; "png" for a name without suffix, which is a folder.

    Raises UsageError for a suffix that is not written.
    """
    suffix = output.suffix.lower()
    if not suffix:
        return "png"
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"{output.name}: files ending in {suffix} are not written.",
            remedy="Use .mp4, .mkv, .webm or .mov for a clip, .png, .jpg, .webp or .tiff for a picture.",
        )
    return _SUFFIXES[suffix]


def choose_target(
    source: MediaInfo,
    size: tuple[int, int],
    output: Path | None = None,
    container: str | None = None,
    codec: str | None = None,
    quality: int | None = None,
    rate: Fraction | None = None,
) -> Target:
    """Decides the output's format.

    size: (height, width). output: its name, whose suffix counts unless `container` is given; None with no
    container: for a clip MP4 where it keeps every stream of the source, else MKV; for a picture PNG.
    codec, quality: None for the container's default and 80.
    rate: frames a second where they are not the source's.
    Raises UsageError for a combination that does not exist.
    """
    height, width = size
    wanted = container or (container_of(output) if output is not None else None)
    if quality is not None and not 0 <= quality <= 100:
        raise UsageError(f"Quality {quality} is outside 0 to 100.", remedy="80 is the default, 100 the best.")
    quality = DEFAULT_QUALITY if quality is None else quality
    if source.kind == "image":
        return _still_target(source, width, height, wanted or "png", codec, quality)
    wanted = wanted or ("mkv" if codec == "ffv1" else "webm" if codec == "vp9" else default_container(source))
    if output is not None and output.suffix and wanted == "png":
        raise UsageError(
            f"{output.name} names one picture, but the input is a clip.",
            remedy="Give a folder name without a suffix for numbered pictures, or a name ending in .mp4.",
        )
    if wanted not in CONTAINER_CODECS:
        raise UsageError(
            f"A clip cannot be written as {wanted}.", remedy=f"Choose one of {', '.join(CONTAINER_CODECS)}."
        )
    deep = source.bit_depth > 8
    chosen = codec or (_DEEP_DEFAULT.get(wanted) if deep else None) or CONTAINER_CODECS[wanted][0]
    _check_codec(chosen, wanted)
    depths = _DEPTHS.get(chosen, (8, 10))
    depth = 10 if (deep or chosen == "h265") and 10 in depths else depths[0]
    base = _time_base(source, source.rate or Fraction(25)) if rate is None else _grid_base(rate)
    return Target(
        width,
        height,
        wanted,
        chosen,
        depth,
        quality,
        _video_colour(source, chosen),
        base,
        rate or source.rate or Fraction(25),
        source.hdr_metadata if chosen == "h265" and depth > 8 else "",
    )


def default_container(source: MediaInfo) -> str:
    """The container that loses nothing: MP4, which plays everywhere, or MKV, which holds everything."""
    losses = {name: len(lost_streams(source, name)) for name in ("mp4", "mkv")}
    return "mp4" if losses["mp4"] <= losses["mkv"] else "mkv"


def _still_target(
    source: MediaInfo, width: int, height: int, container: str, codec: str | None, quality: int
) -> Target:
    container = {"jpeg": "jpg", "tif": "tiff"}.get(container, container)
    if container not in STILL_CONTAINERS:
        raise UsageError(
            f"A picture cannot be written as {container}.",
            remedy=f"Choose one of {', '.join(STILL_CONTAINERS)}.",
        )
    if codec not in {None, container}:
        raise UsageError(f"{container} does not hold {codec}.", remedy="Leave `--codec` out for a picture.")
    deep = source.bit_depth > 8 and 10 in _DEPTHS.get(container, (8, 10))
    one = Fraction(1)
    # Pixels are handed over as RGB; a picture's file says sRGB by saying nothing.
    colour = replace(source.colour, matrix="gbr", range="pc")
    return Target(width, height, container, container, 10 if deep else 8, quality, colour, one, one)


def _check_codec(codec: str, container: str) -> None:
    if codec not in CONTAINER_CODECS[container]:
        raise UsageError(
            f"{container} does not hold {codec}.",
            remedy=f"{container} takes {', '.join(CONTAINER_CODECS[container])}.",
        )


def _video_colour(source: MediaInfo, codec: str) -> Colour:
    """The source's colour, in a form the codec can store."""
    if codec in {"ffv1", "png"}:
        return replace(source.colour, matrix="gbr", range="pc")
    colour = source.colour
    if colour.matrix == "gbr":
        # RGB sources (pictures, GIF, screen recordings) become ordinary HD video.
        transfer = "bt709" if colour.transfer == "iec61966-2-1" else colour.transfer
        return Colour(
            "bt2020nc" if colour.primaries == "bt2020" else "bt709", "tv", colour.primaries, transfer
        )
    if colour.matrix == "bt2020c":
        colour = replace(colour, matrix="bt2020nc")
    return replace(colour, range="tv") if codec == "prores" else colour


def _time_base(source: MediaInfo, rate: Fraction) -> Fraction:
    """A unit of 1/n seconds in which the source's timestamps are whole numbers."""
    base = source.time_base or 1 / rate
    ticks = base.denominator
    if base.numerator == 0 or ticks > _MAX_TICKS_PER_S:
        return Fraction(1, 90_000)
    return Fraction(1, ticks)


def _grid_base(rate: Fraction) -> Fraction:
    """A unit of 1/n seconds in which the frames of a constant rate are whole numbers apart."""
    return Fraction(1, rate.numerator * -(-_MIN_TICKS_PER_S // rate.numerator))
