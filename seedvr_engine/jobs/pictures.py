"""Small pictures of a job for the page: the latest frame before and after, and a thumbnail."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from seedvr_engine.pipeline.messages import Pair

_LATEST_SIDE, _THUMBNAIL_SIDE = 1600, 320
_QUALITY = 90


def write_latest(folder: Path, pair: Pair) -> None:
    """Writes latest_before.jpg and latest_after.jpg, of one size, at most 1600 pixels on a side."""
    _write_jpeg(folder / "latest_before.jpg", pair.before, _LATEST_SIDE)
    _write_jpeg(folder / "latest_after.jpg", pair.after, _LATEST_SIDE)


def write_thumbnail(folder: Path, rgb: NDArray) -> None:
    """Writes thumbnail.jpg. rgb: (H, W, 3), uint8 or uint16."""
    eight = rgb if rgb.dtype == np.uint8 else (rgb >> 8).astype(np.uint8)
    _write_jpeg(folder / "thumbnail.jpg", eight, _THUMBNAIL_SIDE)


def _write_jpeg(path: Path, rgb: NDArray, longest: int) -> None:
    height, width = rgb.shape[:2]
    scale = longest / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )[1]
    part = path.with_suffix(".part")
    part.write_bytes(encoded.tobytes())
    part.replace(path)
