"""Finds shot changes while frames stream by.

Two neighbouring frames of one shot show the same things a little moved; across a cut nothing finds its
counterpart. So each block of a small thumbnail looks for itself in the other frame, within reach of a fast
pan, by normalised correlation, which brightness and contrast do not disturb. What remains unlike is the
frame's `distance`, 0 to 1.

Why not PySceneDetect's detectors: they compare pixels in place, so that pans need high thresholds that miss
soft cuts, and they never report a cut within their window of a clip's first or last frames, which shots
restored one by one would then lack. Here a decision depends on the frames since the last cut (five at most)
and on up to three ahead, of which
only a return to the old picture counts: a shot restored alone is cut just as it is within its clip.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from seedvr_engine.media.read import Frame

# A cut for certain, whatever came before.
CERTAIN = 0.42
# A cut where the frames before were much calmer: at least this far, and this many times their worst.
LIKELY, CALMER = 0.16, 2.5
# Frames of history and of look-ahead.
HISTORY, AHEAD = 4, 3
# Frames this alike show the same scene: a flash is over.
_RETURNED = 0.25
_FLASH_STEP, _FLASH_SHARE = 0.08, 0.9

_WIDTH, _HEIGHT = 64, 36
_BLOCK_W, _BLOCK_H = 16, 12
_REACH_X, _REACH_Y = 8, 6
# Contrast (variance) that is noise or rounding, in units of full scale squared.
_FLOOR = 3 * (2 / 255) ** 2
# Flat colours this far apart, full scale, have nothing in common.
_COLOUR_STEP = 0.1


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame and its thumbnail: luma and two colour differences, float32, full scale 1."""

    frame: Frame
    thumbnail: NDArray[np.float32]


def mark_shots(frames: Iterator[Frame]) -> Iterator[tuple[int, Frame]]:
    """Yields (shot, frame) for every frame, in order; shots count from 0.

    Holds at most four frames. A shot may be one frame long. Light flashes that last up to three frames are
    no cuts, nor are pans, zooms and fades; a false cut costs little, a missed one much, so doubt counts as a
    cut.
    """
    seen = (_Seen(frame, thumbnail(frame.rgb)) for frame in frames)
    ahead: deque[_Seen] = deque(islice(seen, 1))
    history: deque[float] = deque(maxlen=HISTORY)
    shot, flash_left, previous = 0, 0, None
    while ahead:
        now = ahead.popleft()
        if previous is not None:
            far = distance(previous.thumbnail, now.thumbnail)
            if flash_left:
                flash_left -= 1
            elif _is_cut(far, history):
                ahead.extend(islice(seen, AHEAD - len(ahead)))
                flash_left = _flash_length(previous, [now, *ahead])
                if not flash_left:
                    shot += 1
                    history.clear()
            else:
                history.append(far)
        yield shot, now.frame
        previous = now
        if not ahead:
            ahead.extend(islice(seen, 1))


def _is_cut(far: float, history: deque[float]) -> bool:
    if far >= CERTAIN:
        return True
    return len(history) > 0 and far >= max(LIKELY, CALMER * max(history))


def _flash_length(before: _Seen, after: list[_Seen]) -> int:
    """How many of the next frames, this one not counted, belong to a flash; 0 where it is none.

    before: the last frame of the shot. after: the frame in doubt and those behind it, as far as they are
    known.
    """
    change = after[0].thumbnail[..., 0] - before.thumbnail[..., 0]
    brighter = np.mean(change > _FLASH_STEP)
    darker = np.mean(change < -_FLASH_STEP)
    if max(brighter, darker) < _FLASH_SHARE:
        return 0
    for length, later in enumerate(after[1:], start=1):
        if distance(before.thumbnail, later.thumbnail) < _RETURNED:
            return length
    return 0


def thumbnail(rgb: NDArray) -> NDArray[np.float32]:
    """A 64x36 picture of (H, W, 3) uint8 or uint16: luma and two colour differences, full scale 1."""
    scale = 65535 if rgb.dtype == np.uint16 else 255
    small = cv2.resize(rgb, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32) / scale
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, 0.564 * (blue - luma), 0.713 * (red - luma)], axis=-1)


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How little two thumbnails have in common: 0 the same scene, moved or lit otherwise, 1 nothing."""
    return (_unmatched(one, other) + _unmatched(other, one)) / 2


def _unmatched(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The share of `one`'s contrast that has no counterpart in `other`.

    The likeness of two blocks is their normalised correlation; where both are flat the floor takes over, and
    it is that of their colours.
    """
    padded = cv2.copyMakeBorder(other, _REACH_Y, _REACH_Y, _REACH_X, _REACH_X, cv2.BORDER_REPLICATE)
    means = cv2.blur(padded, (_BLOCK_W, _BLOCK_H))
    variances = (cv2.blur(padded * padded, (_BLOCK_W, _BLOCK_H)) - means * means).sum(-1).clip(0)
    covariances = np.stack(
        [
            cv2.matchTemplate(
                padded[top : top + _BLOCK_H + 2 * _REACH_Y, left : left + _BLOCK_W + 2 * _REACH_X],
                one[top : top + _BLOCK_H, left : left + _BLOCK_W],
                cv2.TM_CCOEFF,
            )
            for top in range(0, _HEIGHT, _BLOCK_H)
            for left in range(0, _WIDTH, _BLOCK_W)
        ]
    ) / (_BLOCK_W * _BLOCK_H)
    blocks = one.reshape(_HEIGHT // _BLOCK_H, _BLOCK_H, _WIDTH // _BLOCK_W, _BLOCK_W, 3)
    contrasts = blocks.var(axis=(1, 3)).sum(-1).reshape(-1, 1, 1)
    own_means = blocks.mean(axis=(1, 3)).reshape(-1, 1, 1, 3)
    colour_steps = np.abs(_around_blocks(means) - own_means).sum(-1) / _COLOUR_STEP
    floor = _FLOOR * (1 - colour_steps).clip(0)
    likeness = (covariances + floor) / np.sqrt((contrasts + _FLOOR) * (_around_blocks(variances) + _FLOOR))
    weights = contrasts[:, 0, 0] + _FLOOR
    return float((weights * (1 - likeness.max(axis=(1, 2)).clip(0, 1))).sum() / weights.sum())


def _around_blocks(blurred: NDArray) -> NDArray:
    """Block-sized means, for each block at every place it may have moved to: (block, dy, dx, ...)."""
    # blur() keeps the size; the means of whole areas lie half a block inside.
    whole = blurred[_BLOCK_H // 2 :, _BLOCK_W // 2 :]
    reach = (2 * _REACH_Y + 1, 2 * _REACH_X + 1)
    windows = np.lib.stride_tricks.sliding_window_view(whole, reach, axis=(0, 1))
    rows, columns = _HEIGHT // _BLOCK_H, _WIDTH // _BLOCK_W
    blocks = windows[::_BLOCK_H, ::_BLOCK_W][:rows, :columns]
    if blurred.ndim == 3:
        blocks = np.moveaxis(blocks, 2, -1)
    return blocks.reshape(rows * columns, *reach, *blurred.shape[2:])
