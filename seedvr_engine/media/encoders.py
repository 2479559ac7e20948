"""How each codec is driven: encoder, pixel format, and what one quality scale means to it."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from seedvr_engine.media.colour import MATRICES, PRIMARIES, RANGES, TRANSFERS
from seedvr_engine.media.target import Target

_ENCODERS = {
    "h264": "libx264",
    "h265": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "prores": "prores_ks",
    "ffv1": "ffv1",
    "png": "png",
}
# Largest distance between two keyframes inside a segment, in seconds: what a player has to decode to seek.
_KEYFRAME_S = 2
# Segments carry their times plus this, so that none is negative: NUT shifts a file with negative decode
# times.
SEGMENT_LEAD_S = 60
_PRORES_PROFILES = ((40, "proxy"), (60, "lt"), (75, "standard"), (101, "hq"))


@dataclass(frozen=True)
class Encoder:
    """name: libav's encoder. pixel_format: what it is fed with. options: its settings."""

    name: str
    pixel_format: str
    options: dict[str, str] = field(default_factory=dict)


def encoder_for(target: Target) -> Encoder:
    """The encoder and its settings for a target; the same for every segment of an output."""
    return Encoder(_ENCODERS[target.codec], pixel_format(target), _options(target))


def keyframe_interval(target: Target) -> int:
    """Frames between keyframes at most."""
    return max(1, round(_KEYFRAME_S * target.rate))


def pixel_format(target: Target) -> str:
    """The pixel format that is stored.

    H.264 and H.265 with 4:2:0 hold only even sizes: their cropping counts in chroma samples. An odd size is
    kept exactly by storing full chroma (4:4:4), which fewer hardware players take; VP9 holds odd sizes as
    they are.
    """
    deep = target.bit_depth > 8
    if target.codec == "prores":
        return "yuv422p10le"
    if target.codec == "ffv1":
        return "rgb48le" if deep else "bgr0"
    if target.codec == "png":
        return "rgb48be" if deep else "rgb24"
    odd = target.width % 2 or target.height % 2
    sampling = "444" if odd and target.codec in {"h264", "h265"} else "420"
    return f"yuv{sampling}p10le" if deep else f"yuv{sampling}p"


def _options(target: Target) -> dict[str, str]:
    quality = target.quality
    if target.codec == "h264":
        return {
            "crf": f"{40 - 0.275 * quality:.1f}",
            "preset": "medium",
            "x264-params": "open-gop=0:force-cfr=1" + (":asm=avx2" if _has_avx512() else ""),
        }
    if target.codec == "h265":
        parameters = "log-level=none:open-gop=0:repeat-headers=0:info=0"
        if target.hdr_metadata:
            parameters += f":hdr10=1:{target.hdr_metadata}"
        return {"crf": f"{42 - 0.275 * quality:.1f}", "preset": "medium", "x265-params": parameters}
    if target.codec == "vp9":
        crf = round(56 - 0.4 * quality)
        return {"crf": str(crf), "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"}
    if target.codec == "av1":
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes a page about itself to stderr otherwise.
        return {"crf": str(round(60 - 0.4 * quality)), "preset": "7"}
    if target.codec == "prores":
        profile = next(name for limit, name in _PRORES_PROFILES if quality < limit)
        return {"profile": profile, "vendor": "apl0"}
    if target.codec == "ffv1":
        return {"level": "3", "slices": "4", "slicecrc": "1"}
    return {}


@cache
def _has_avx512() -> bool:
    """x264's code for AVX-512 encodes the same small frames now one way, now another; AVX2's is steady."""
    with suppress(OSError):
        return " avx512" in Path("/proc/cpuinfo").read_text()
    return False


def segment_format(target: Target) -> str:
    """libav's name for the file format of a segment. NUT has no tag for ProRes."""
    return "mov" if target.codec == "prores" else "nut"


def tag_colour(context: Any, target: Target) -> None:
    """Writes the target's colour tags into the codec context of an encoder or of an output stream."""
    colour = target.colour
    context.colorspace = MATRICES[colour.matrix]
    context.color_range = RANGES[colour.range]
    context.color_primaries = PRIMARIES[colour.primaries]
    context.color_trc = TRANSFERS[colour.transfer]
