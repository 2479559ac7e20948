"""From the size a person asks for to the rectangles that the pipeline works on."""

import re
from dataclasses import dataclass
from typing import Literal

from seedvr_engine.errors import UsageError

MULTIPLE = 16
_AUTO_SHORT_SIDE = 1080
LARGEST_SIDE = 16384


@dataclass(frozen=True)
class Size:
    """A size as people say it: a short side, a box, or a factor.

    Exactly one of `short`, `box` (height, width) and `factor` is given. most: the short side that a factor
    leads to at most; what is larger already keeps its size.
    """

    short: int | None = None
    box: tuple[int, int] | None = None
    factor: float | None = None
    most: int | None = None

    @staticmethod
    def parse(text: str) -> "Size":
        """`720p`: the short side; `1280x720`: a box; `2x`, `1.5x`: a factor; `auto`: 2x up to 1080p.

        Raises UsageError for anything else.
        """
        if text == "auto":
            size = Size(factor=2.0, most=_AUTO_SHORT_SIDE)
        elif match := re.fullmatch(r"(\d{1,5})p", text):
            size = Size(short=int(match[1]))
        elif match := re.fullmatch(r"(\d{1,5})x(\d{1,5})", text):
            size = Size(box=(int(match[2]), int(match[1])))
        elif match := re.fullmatch(r"(\d{1,2}(?:\.\d{1,3})?)x", text):
            size = Size(factor=float(match[1]))
        else:
            raise UsageError(f"{text!r} is not a size.", remedy="Say auto, 720p, 1280x720 or 2x.")
        sides = size.box or ((size.short,) if size.short is not None else ())
        if any(not MULTIPLE <= side <= LARGEST_SIDE for side in sides) or size.factor == 0:
            raise UsageError(
                f"{text} is outside of what can be made.",
                remedy=f"Choose sides from {MULTIPLE} to {LARGEST_SIDE} pixels.",
            )
        return size


@dataclass(frozen=True)
class Geometry:
    """How a frame becomes an output frame; every size is (height, width).

    crop: part of the source that is used, (top, left, height, width).
    resized: the size that the crop is scaled to: the picture that is restored.
    padded: the same, rounded up to multiples of 16 by reflection.
    output: size of the file's frames. offset: (top, left) of the picture in it; the rest is black.
    """

    crop: tuple[int, int, int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]
    output: tuple[int, int]
    offset: tuple[int, int]


def geometry(
    source: tuple[int, int], size: Size, fit: Literal["inside", "crop", "pad", "stretch"]
) -> Geometry:
    """Finds every rectangle between source and output.

    source: (height, width) as displayed.
    Raises UsageError where the output would be larger than 16384 on a side.
    """
    height, width = source
    crop = (0, 0, height, width)
    if size.box is None:
        resized = output = _scaled(source, _factor(source, size))
        offset = (0, 0)
    elif fit == "stretch":
        resized, output, offset = size.box, size.box, (0, 0)
    elif fit == "crop":
        crop = _centre_crop(source, size.box)
        resized, output, offset = size.box, size.box, (0, 0)
    else:
        inside = _inside(source, size.box)
        resized = inside
        output = size.box if fit == "pad" else inside
        offset = ((output[0] - inside[0]) // 2, (output[1] - inside[1]) // 2)
    if max(output) > LARGEST_SIDE:
        raise UsageError(
            f"The output would be {output[1]}x{output[0]}, more than {LARGEST_SIDE} on a side.",
            remedy="Choose a smaller size.",
        )
    padded = (_up(resized[0], MULTIPLE), _up(resized[1], MULTIPLE))
    return Geometry(crop, resized, padded, output, offset)


def official_geometry(
    source: tuple[int, int], target: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """The rule of the official scripts: the target's area in the source's aspect, cropped to multiples of 16.

    Returns the resized size, the cropped size and the crop's offset, each (height, width). The pipeline keeps
    every pixel instead (`geometry`); this serves the comparison with the official results.
    """
    scale = (target[0] * target[1] / (source[0] * source[1])) ** 0.5
    resized = (round(source[0] * scale), round(source[1] * scale))
    cropped = (resized[0] // MULTIPLE * MULTIPLE, resized[1] // MULTIPLE * MULTIPLE)
    offset = (round((resized[0] - cropped[0]) / 2), round((resized[1] - cropped[1]) / 2))
    return resized, cropped, offset


def _factor(source: tuple[int, int], size: Size) -> float:
    short = min(source)
    factor = size.factor if size.factor is not None else (size.short or short) / short
    return factor if size.most is None else min(factor, max(1.0, size.most / short))


def _scaled(source: tuple[int, int], factor: float) -> tuple[int, int]:
    # Video codecs want even sides; a picture is not worse for it.
    return (_even(source[0] * factor), _even(source[1] * factor))


def _inside(source: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    factor = min(box[0] / source[0], box[1] / source[1])
    fitted = _scaled(source, factor)
    # A box of the source's own aspect, but for the rounding to whole pixels, is taken as it is.
    return tuple(  # type: ignore[return-value]
        side if abs(side - wanted) < 2 else wanted for side, wanted in zip(box, fitted, strict=True)
    )


def _centre_crop(source: tuple[int, int], box: tuple[int, int]) -> tuple[int, int, int, int]:
    factor = max(box[0] / source[0], box[1] / source[1])
    height, width = min(source[0], round(box[0] / factor)), min(source[1], round(box[1] / factor))
    return ((source[0] - height) // 2, (source[1] - width) // 2, height, width)


def _even(side: float) -> int:
    return max(2, 2 * round(side / 2))


def _up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
