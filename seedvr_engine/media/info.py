"""What is known about a file before its first frame is restored: plain, frozen data."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from seedvr_engine.media.orientation import UPRIGHT, Orientation

Kind = Literal["video", "image", "sequence"]


@dataclass(frozen=True)
class Colour:
    """How pixel values become light, in FFmpeg's names.

    matrix: "bt709", "smpte170m", "bt470bg", "bt2020nc", "smpte240m", "fcc" or "gbr" (stored as RGB).
    range: "tv" (limited, 16..235 in 8 bit) or "pc" (full).
    primaries, transfer: "bt709", "smpte170m", "bt2020", "smpte2084" (PQ), "arib-std-b67" (HLG), ...
    """

    matrix: str = "bt709"
    range: str = "tv"
    primaries: str = "bt709"
    transfer: str = "bt709"


@dataclass(frozen=True)
class StreamInfo:
    """A stream beside the picture.

    index: its number in the container; kind: "audio", "subtitle", "data", "attachment" or "video" (a second
    picture, a cover); language and title are empty where the file names none.
    """

    index: int
    kind: str
    codec: str
    language: str = ""
    title: str = ""

    def __str__(self) -> str:
        named = ", ".join(part for part in (self.codec, self.language, self.title) if part)
        return f"{self.kind} stream {self.index} ({named})"


@dataclass(frozen=True)
class Chapter:
    """A named part of the clip; start and end in seconds on the clip's own clock."""

    start: Fraction
    end: Fraction
    title: str = ""


@dataclass(frozen=True)
class MediaInfo:
    """One input. Sizes are as displayed: turned upright, with square pixels.

    path: the file, or the folder of a sequence.
    bit_depth: bits of each stored component; frames are uint8 up to 8, uint16 (full scale 65535) above.
    coded_width, coded_height: the size stored in the file, before rotation and pixel aspect.
    rotation: degrees clockwise that the stored picture is turned by for display (0, 90, 180, 270).
    rate: average frames a second, None for an image. time_base: unit of the file's timestamps.
    duration_s, frames_estimate: what the container says, never relied upon.
    start: seconds at which the earliest stream begins; free_running: the container's clock starts anywhere
    (MPEG).
    hdr: the transfer curve is PQ or HLG. interlaced: the first frames are fields.
    chapters, metadata: as in the file. extras: streams that no output keeps (data, covers, second pictures).
    hdr_metadata: HDR10's mastering display and light levels, in x265's notation, empty without.
    icc: a picture's colour profile, empty where it has none (sRGB).
    warnings: sentences about what this input loses or lacks.
    """

    path: Path
    kind: Kind
    container: str
    codec: str
    pixel_format: str
    bit_depth: int
    width: int
    height: int
    coded_width: int
    coded_height: int
    colour: Colour
    rotation: int = 0
    orientation: Orientation = UPRIGHT
    sample_aspect: Fraction = Fraction(1)
    rate: Fraction | None = None
    time_base: Fraction | None = None
    duration_s: float | None = None
    frames_estimate: int | None = None
    start: Fraction = Fraction(0)
    free_running: bool = False
    interlaced: bool = False
    hdr: bool = False
    stream_index: int = 0
    audio: tuple[StreamInfo, ...] = ()
    subtitles: tuple[StreamInfo, ...] = ()
    extras: tuple[StreamInfo, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    hdr_metadata: str = ""
    icc: bytes = b""
    warnings: tuple[str, ...] = ()
