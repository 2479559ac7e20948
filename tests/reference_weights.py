"""Weights and inputs of the reference numbers: every tensor is a pure function of its name and shape."""

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def uniform(key: str, shape: Sequence[int]) -> Tensor:
    """Values in [-1, 1), float32, the same on every machine."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    return torch.from_numpy(generator.random(tuple(shape), dtype=np.float32) * np.float32(2) - np.float32(1))


def fill(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the same keys and shapes: matrices with unit gain, scales near 1, the rest near 0."""
    filled = {}
    for key, tensor in state.items():
        values = uniform(key, tensor.shape)
        if tensor.ndim >= 2:
            filled[key] = values * math.sqrt(3.0 / math.prod(tensor.shape[1:]))
        elif key.endswith(("weight", "_scale")):
            filled[key] = 1 + 0.1 * values
        else:
            filled[key] = 0.1 * values
    return filled
