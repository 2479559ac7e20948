"""What FFmpeg attaches to a decoded frame: its display matrix, HDR10's fixed numbers."""

import struct
from fractions import Fraction
from typing import Any, cast

import av

from seedvr_engine.media.orientation import UPRIGHT, Orientation, from_angle, from_display_matrix

# PyAV 18 frees the name of a PNG's colour profile twice once side data was looked at: a crash, later.
_UNSAFE_CODECS = {"png", "apng"}
_CHROMA_UNIT, _LUMA_UNIT = 50_000, 10_000


def orientation_of(frame: av.VideoFrame, codec: str) -> Orientation:
    """How a frame of a video is to be turned. codec: the decoder's name."""
    matrix = _side_data(frame, codec, "DISPLAYMATRIX")
    if len(matrix) >= 36:
        return from_display_matrix(matrix)
    return from_angle(frame.rotation) if frame.rotation else UPRIGHT


def hdr10_metadata(frame: av.VideoFrame, codec: str) -> str:
    """Mastering display (SMPTE ST 2086) and light levels (CTA-861.3), as x265 writes them; empty without."""
    display = _side_data(frame, codec, "MASTERING_DISPLAY_METADATA")
    light = _side_data(frame, codec, "CONTENT_LIGHT_LEVEL")
    parts = [_mastering_display(display)] if len(display) >= 88 else []
    if len(light) >= 8:
        brightest, average = struct.unpack("<2I", light[:8])
        parts.append(f"max-cll={brightest},{average}")
    return ":".join(part for part in parts if part)


def _side_data(frame: av.VideoFrame, codec: str, kind: str) -> bytes:
    if codec in _UNSAFE_CODECS:
        return b""
    try:
        found = frame.side_data.get(kind)
    except ValueError:  # PyAV does not know every kind of side data that FFmpeg attaches.
        return b""
    return bytes(cast(Any, found)) if found is not None else b""


def _mastering_display(data: bytes) -> str:
    *pairs, has_chroma, has_luma = struct.unpack("<22i", data[:88])
    if not (has_chroma and has_luma) or not all(pairs[1::2]):
        return ""
    values = [Fraction(top, bottom) for top, bottom in zip(pairs[::2], pairs[1::2], strict=True)]
    red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y = (
        round(v * _CHROMA_UNIT) for v in values[:8]
    )
    darkest, brightest = (round(v * _LUMA_UNIT) for v in values[8:])
    return (
        f"master-display=G({green_x},{green_y})B({blue_x},{blue_y})R({red_x},{red_y})"
        f"WP({white_x},{white_y})L({brightest},{darkest})"
    )
