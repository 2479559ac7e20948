"""Cuts a grid of video tokens into attention windows.

Source: SeedVR2 (arXiv 2506.05301), section 3.2: windows follow the plane, scaled to the grid of a 720p frame,
so that a clip of any size sees windows like those of training.
"""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Grid = tuple[int, int, int]
Window = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def window_size(grid: Grid, parts: Grid, frames: int, plane: tuple[int, int]) -> Grid:
    """Size of one whole window in tokens along (time, height, width).

    grid: tokens along (time, height, width). parts, frames, plane: see `DiTConfig.window_grid` and its
        neighbours.
    """
    time, height, width = grid
    scale = math.sqrt(plane[0] * plane[1] / (height * width))
    return (
        math.ceil(min(time, frames) / parts[0]),
        math.ceil(round(height * scale) / parts[1]),
        math.ceil(round(width * scale) / parts[2]),
    )


def partition(grid: Grid, size: Grid, shifted: bool) -> list[Window]:
    """Cuts a token grid into windows that together hold every token once.

    grid, size: tokens along (time, height, width).
    shifted: move an axis by half a window where the window is shorter than the axis.
    Returns windows ((t0, t1), (h0, h1), (w0, w1)), time fastest, then height, then width.
    """
    time, height, width = (_spans(n, s, shifted) for n, s in zip(grid, size, strict=True))
    return [(t, h, w) for w in width for h in height for t in time]


def count_shapes(grid: Grid, size: Grid, shifted: bool) -> Counter[Grid]:
    """How many windows of each shape `partition` cuts: a long shot has millions, of a dozen shapes."""
    axes = (_lengths(n, s, shifted) for n, s in zip(grid, size, strict=True))
    shapes = product(*(axis.items() for axis in axes))
    return Counter({(t, h, w): times * rows * columns for (t, times), (h, rows), (w, columns) in shapes})


def _spans(length: int, size: int, shifted: bool) -> list[tuple[int, int]]:
    offset, count = _cut(length, size, shifted)
    bounds = [_bound(i, length, size, offset) for i in range(count + 1)]
    return [(a, b) for a, b in pairwise(bounds) if b > a]


def _lengths(length: int, size: int, shifted: bool) -> Counter[int]:
    """How many of `_spans` are how long, without a list of them: all but the first and the last are whole."""
    offset, count = _cut(length, size, shifted)
    if count <= 2:
        return Counter(end - start for start, end in _spans(length, size, shifted))
    lengths = Counter({size: count - 2})
    lengths[_bound(1, length, size, offset)] += 1
    lengths[length - _bound(count - 1, length, size, offset)] += 1
    del lengths[0]
    return lengths


def _cut(length: int, size: int, shifted: bool) -> tuple[float, int]:
    """By how many windows the first bound lies before the start, and how many windows there are."""
    offset = 0.5 if shifted and size < length else 0.0
    return offset, math.ceil(length / size + offset)


def _bound(index: int, length: int, size: int, offset: float) -> int:
    return min(max(int((index - offset) * size), 0), length)


@dataclass(frozen=True)
class WindowShape:
    """All windows of one shape: they go through attention as one batch.

    size: tokens along (time, height, width).
    tokens: (windows, size.numel()) int64, the position of every token in the flattened grid.
    """

    size: Grid
    tokens: "Tensor"


def windows_by_shape(
    grid: Grid, windows: list[Window], device: "torch.device | None" = None
) -> list[WindowShape]:
    """Sorts windows by shape and names their tokens.

    grid: tokens along (time, height, width); windows: as `partition` returns them.
    """
    # The plan cuts windows too, and does without torch.
    import torch

    position = torch.arange(math.prod(grid), device="cpu").view(grid)
    by_size: dict[Grid, list[Tensor]] = defaultdict(list)
    for (t0, t1), (h0, h1), (w0, w1) in windows:
        by_size[t1 - t0, h1 - h0, w1 - w0].append(position[t0:t1, h0:h1, w0:w1].flatten())
    return [WindowShape(size, torch.stack(tokens).to(device)) for size, tokens in by_size.items()]
