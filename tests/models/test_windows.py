"""Windows are the released model's and hold every token once."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seedvr_engine.models.config import DiTConfig
from seedvr_engine.models.windows import count_shapes, partition, window_size, windows_by_shape
from tests.reference import facts

CONFIG = DiTConfig.seedvr2_3b()


def cut(grid, shifted):
    size = window_size(grid, CONFIG.window_grid, CONFIG.window_frames, CONFIG.window_plane)
    return partition(grid, size, shifted)


@pytest.mark.parametrize("name", facts("windows"))
def test_windows_are_the_released_models(name):
    grid = tuple(map(int, name.split("x")))
    for kind, shifted in (("regular", False), ("shifted", True)):
        reference = [tuple(tuple(span) for span in window) for window in facts("windows")[name][kind]]
        assert cut(grid, shifted) == reference


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(1, 40)] * 3), st.booleans())
def test_windows_hold_every_token_once(grid, shifted):
    shapes = windows_by_shape(grid, cut(grid, shifted))
    tokens = torch.cat([shape.tokens.flatten() for shape in shapes])
    assert torch.equal(tokens.sort().values, torch.arange(math.prod(grid)))
    assert all(shape.tokens.shape[1] == math.prod(shape.size) for shape in shapes)
    assert len({shape.size for shape in shapes}) == len(shapes)


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(1, 40)] * 3), st.booleans())
def test_shapes_are_counted_without_cutting(grid, shifted):
    size = window_size(grid, CONFIG.window_grid, CONFIG.window_frames, CONFIG.window_plane)
    shapes = Counter(tuple(end - start for start, end in window) for window in cut(grid, shifted))
    assert count_shapes(grid, size, shifted) == shapes
