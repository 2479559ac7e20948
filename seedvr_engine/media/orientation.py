"""Turning stored pictures upright: the eight ways a picture can lie, and how files say which."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """How a stored picture becomes the displayed one: transposed first, then flipped."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def rotation(self) -> int:
        """Degrees clockwise (0, 90, 180, 270); a mirrored picture counts by its turn alone."""
        if self.transpose:
            return 90 if self.flip_columns else 270
        return 180 if self.flip_rows else 0

    def apply(self, picture: NDArray) -> NDArray:
        """Turns a picture (H, W, C) upright; returns a contiguous array."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        if self.flip_rows:
            picture = picture[::-1]
        if self.flip_columns:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(picture)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) after turning."""
        return (height, width) if self.transpose else (width, height)


UPRIGHT = Orientation()

# EXIF 2.32, tag 0x0112: which corner of the scene row 0 and column 0 stand for.
EXIF_ORIENTATIONS = {
    1: UPRIGHT,
    2: Orientation(flip_columns=True),
    3: Orientation(flip_rows=True, flip_columns=True),
    4: Orientation(flip_rows=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, flip_columns=True),
    7: Orientation(transpose=True, flip_rows=True, flip_columns=True),
    8: Orientation(transpose=True, flip_rows=True),
}


def from_angle(degrees: int) -> Orientation:
    """Degrees counter-clockwise, as the nearest quarter turn."""
    return EXIF_ORIENTATIONS[(1, 8, 3, 6)[round(degrees / 90) % 4]]


def from_display_matrix(matrix: bytes) -> Orientation:
    """Reads a 3x3 display matrix (nine 32-bit integers, row vectors times matrix).

    Turns by other angles than multiples of 90 degrees are taken as the nearest one.
    """
    a, b, _, c, d, _, _, _, _ = struct.unpack("<9i", matrix[:36])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flip_rows=d < 0, flip_columns=a < 0)
    return Orientation(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
