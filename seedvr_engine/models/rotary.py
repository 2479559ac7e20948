"""Rotary positions: pairs of a head's dimensions turn by an angle that grows with the position inside the
window.

Source: RoFormer (arXiv 2104.09864); adjacent dimensions form a pair: (a, b) -> (a cos - b sin, b cos + a
sin).
"""

import math

import torch
from torch import Tensor

from seedvr_engine.models.config import RotaryConfig
from seedvr_engine.models.windows import Grid

Rotation = tuple[Tensor, Tensor]


def window_rotation(
    config: RotaryConfig, size: Grid, text_length: int, device: torch.device | None = None
) -> Rotation:
    """Cosines and sines for the tokens of one window.

    size: tokens along (time, height, width). text_length: text tokens that precede the video on the time
        axis.
    Returns two float32 tensors (tokens, 3 * axis_dim / 2).
    """
    positions = [_positions(config, n) for n in size]
    if config.spectrum == "language":
        positions[0] = positions[0] + text_length
    grid = torch.meshgrid(*positions, indexing="ij")
    return _cos_sin(config, [axis.flatten() for axis in grid], device)


def text_rotation(
    config: RotaryConfig, text_length: int, device: torch.device | None = None
) -> Rotation | None:
    """Cosines and sines for the text tokens, token l at (l, l, l); None where the text is not turned."""
    if config.spectrum == "pixel":
        return None
    return _cos_sin(config, [_positions(config, text_length)] * 3, device)


def rotate(x: Tensor, rotation: Rotation | None) -> Tensor:
    """Turns the first dimensions of every head; the rest stays.

    x: (..., tokens, heads, head_dim), any floating dtype; the arithmetic is float32.
    """
    if rotation is None:
        return x
    cos, sin = (table.unsqueeze(-2) for table in rotation)
    turned = 2 * cos.shape[-1]
    a, b = x[..., :turned].unflatten(-1, (-1, 2)).float().unbind(-1)
    pairs = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
    return torch.cat((pairs.to(x.dtype), x[..., turned:]), dim=-1)


def _positions(config: RotaryConfig, n: int) -> Tensor:
    if config.spectrum == "language":
        return torch.arange(n, dtype=torch.float32, device="cpu")
    return torch.linspace(-1, 1, n, dtype=torch.float32, device="cpu")


def _frequencies(config: RotaryConfig) -> Tensor:
    if config.spectrum == "language":
        exponents = torch.arange(0, config.axis_dim, 2, dtype=torch.float32, device="cpu") / config.axis_dim
        return 10000.0**-exponents
    return torch.linspace(1, 128, config.axis_dim // 2, dtype=torch.float32, device="cpu") * math.pi


def _cos_sin(config: RotaryConfig, positions: list[Tensor], device: torch.device | None) -> Rotation:
    frequencies = _frequencies(config)
    angles = torch.cat([axis[:, None] * frequencies for axis in positions], dim=-1)
    return angles.cos().to(device), angles.sin().to(device)
