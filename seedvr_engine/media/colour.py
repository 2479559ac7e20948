"""Colour: reading tags, resolving missing ones as players do, and converting between YUV and RGB.

swscale does the arithmetic. Values stay in the file's own primaries and transfer curve: restoring neither
tone-maps nor changes the gamut, so that what goes in tagged BT.2020 PQ comes out tagged BT.2020 PQ.
"""

from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from seedvr_engine.media.info import Colour

# ITU-T H.273 code points, in FFmpeg's names.
MATRICES = {
    "gbr": 0,
    "bt709": 1,
    "fcc": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "bt2020nc": 9,
    "bt2020c": 10,
}
PRIMARIES = {
    "bt709": 1,
    "bt470m": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "film": 8,
    "bt2020": 9,
    "smpte428": 10,
    "smpte431": 11,
    "smpte432": 12,
    "jedec-p22": 22,
}
TRANSFERS = {
    "bt709": 1,
    "bt470m": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "linear": 8,
    "log100": 9,
    "log316": 10,
    "iec61966-2-4": 11,
    "bt1361": 12,
    "iec61966-2-1": 13,
    "bt2020-10": 14,
    "bt2020-12": 15,
    "smpte2084": 16,
    "smpte428": 17,
    "arib-std-b67": 18,
}
RANGES = {"tv": int(ColorRange.MPEG), "pc": int(ColorRange.JPEG)}
SRGB = Colour("gbr", "pc", "bt709", "iec61966-2-1")
HDR_TRANSFERS = {"smpte2084", "arib-std-b67"}
_SD_HEIGHT = 576
# The constant-luminance variant needs the transfer curve inside the matrix; swscale has only the other one.
_SWSCALE_MATRIX = MATRICES | {"bt2020c": MATRICES["bt2020nc"]}
_FLAGS = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)


def _name(table: dict[str, int], code: int) -> str | None:
    return next((name for name, value in table.items() if value == code), None)


def is_rgb(pixel_format: str) -> bool:
    """True where a pixel format stores RGB, palettes included."""
    return pixel_format.startswith(
        ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2", "monob", "monow")
    )


def resolve(
    pixel_format: str,
    height: int,
    matrix: int,
    colour_range: int,
    primaries: int,
    transfer: int,
    *,
    still: bool,
) -> Colour:
    """Names a frame's colour from its H.273 codes, filling in what the file leaves out.

    height: stored rows; a video without tags is BT.601 up to 576 rows and BT.709 above, as players take it.
    still: a picture without tags is sRGB, its JPEG matrix BT.601.
    """
    if is_rgb(pixel_format):
        matrix_name, range_name = "gbr", "pc"
    else:
        matrix_name = _name(MATRICES, matrix) or ""
        range_name = "pc" if colour_range == RANGES["pc"] or pixel_format.startswith("yuvj") else "tv"
        if matrix_name in {"", "gbr"}:
            matrix_name = _default_matrix(height, still)
        if pixel_format.startswith("gray") and colour_range == 0 and still:
            range_name = "pc"
    curve = "iec61966-2-1" if still else _default_transfer(matrix_name)
    return Colour(
        matrix_name,
        range_name,
        _name(PRIMARIES, primaries) or ("bt709" if still else _default_primaries(matrix_name)),
        _name(TRANSFERS, transfer) or curve,
    )


def _default_matrix(height: int, still: bool) -> str:
    if still:
        return "bt470bg"
    if height > _SD_HEIGHT:
        return "bt709"
    return "bt470bg" if height in {576, 288} else "smpte170m"


def _default_primaries(matrix: str) -> str:
    same = {"bt470bg", "smpte170m", "smpte240m"}
    return (
        matrix
        if matrix in same
        else {"bt2020nc": "bt2020", "bt2020c": "bt2020", "fcc": "bt470m"}.get(matrix, "bt709")
    )


def _default_transfer(matrix: str) -> str:
    return {
        "smpte170m": "smpte170m",
        "bt470bg": "smpte170m",
        "smpte240m": "smpte240m",
        "bt2020nc": "bt2020-10",
        "bt2020c": "bt2020-10",
        "gbr": "iec61966-2-1",
    }.get(matrix, "bt709")


class RgbReader:
    """Turns decoded frames into RGB arrays of one size.

    colour: how the frames are stored. deep: uint16 (full scale) instead of uint8. size: (width, height) to
    scale to, None to keep the stored size.
    """

    def __init__(self, colour: Colour, *, deep: bool, size: tuple[int, int] | None = None) -> None:
        self._colour, self._size = colour, size
        self._format = "rgb48le" if deep else "rgb24"
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> NDArray:
        """Returns (H, W, 3), uint8 or uint16."""
        width, height = self._size or (frame.width, frame.height)
        if not is_rgb(frame.format.name):
            frame.colorspace = _SWSCALE_MATRIX[self._colour.matrix]
            frame.color_range = RANGES[self._colour.range]
        rgb = self._reformatter.reformat(
            frame,
            width,
            height,
            self._format,
            interpolation=_FLAGS,
            dst_color_range=ColorRange.JPEG,
        )
        return rgb.to_ndarray()


class FrameMaker:
    """Turns RGB arrays into frames for an encoder, with every colour tag set.

    colour: how the frames are to be stored. pixel_format: the encoder's.
    """

    def __init__(self, colour: Colour, pixel_format: str) -> None:
        self._colour, self._pixel_format = colour, pixel_format
        self._reformatter = VideoReformatter()

    def __call__(self, rgb: NDArray, pts: int, time_base: Fraction) -> av.VideoFrame:
        """rgb: (H, W, 3) uint8 or uint16."""
        source = "rgb48le" if rgb.dtype == np.uint16 else "rgb24"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format=source)
        frame.color_range = RANGES["pc"]
        if is_rgb(self._pixel_format):
            if source != self._pixel_format:
                frame = self._reformatter.reformat(frame, format=self._pixel_format, interpolation=_FLAGS)
        else:
            matrix = _SWSCALE_MATRIX[self._colour.matrix]
            frame = self._reformatter.reformat(
                frame,
                format=self._pixel_format,
                dst_colorspace=matrix,
                interpolation=_FLAGS,
                src_color_range=ColorRange.JPEG,
                dst_color_range=RANGES[self._colour.range],
            )
            # swscale knows two of BT.601's three names; the tag has to be the one asked for.
            frame.colorspace = matrix
            frame.color_range = RANGES[self._colour.range]
        frame.color_primaries = PRIMARIES[self._colour.primaries]
        frame.color_trc = TRANSFERS[self._colour.transfer]
        frame.pts, frame.time_base = pts, time_base
        return frame
