"""The pictures that the preview is judged on, as slow pans. They are never trained on."""

from collections.abc import Callable

import cv2
import numpy as np
from skimage import data

FRAMES = 8
HEIGHT, WIDTH = 256, 384

# Per picture: how it is read, where the view starts (x, y) and how far it moves per frame, in pixels.
_PANS: dict[str, tuple[Callable[[], np.ndarray], tuple[int, int], tuple[int, int]]] = {
    "chelsea": (data.chelsea, (20, 10), (2, 1)),
    "coffee": (data.coffee, (100, 60), (1, 1)),
    "astronaut": (data.astronaut, (60, 20), (1, 2)),
    "rocket": (data.rocket, (120, 150), (2, -1)),
    "retina": (
        lambda: cv2.resize(data.retina(), (706, 706), interpolation=cv2.INTER_AREA),
        (200, 200),
        (-1, 1),
    ),
}
NAMES = tuple(_PANS)


def held_out_clip(name: str, frames: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(frames, height, width, 3) uint8: a view of the picture that moves by whole pixels.

    Whole pixels of the clean clip are half pixels of the damaged one, and no frame is softer than another.
    """
    read, (x0, y0), (dx, dy) = _PANS[name]
    picture = read()
    views = [(x0 + dx * frame, y0 + dy * frame) for frame in range(frames)]
    return np.stack([picture[y : y + height, x : x + width] for x, y in views])
