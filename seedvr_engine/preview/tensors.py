"""Between clips in memory (uint8) and what the networks take (float in [-1, 1])."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seedvr_engine.preview.config import SCALE


def to_video(clip: np.ndarray) -> Tensor:
    """(B, F, H, W, 3) uint8 -> (B, 3, F, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(clip)).movedim(-1, 1).float() / 127.5 - 1


def resize(damaged: np.ndarray) -> Tensor:
    """(B, F, h, w, 3) uint8 -> enlarged (B, 3, F, 2 h, 2 w) in [-1, 1], bicubic as the pipeline enlarges."""
    frames = torch.from_numpy(np.ascontiguousarray(damaged)).movedim(-1, 2).float() / 255
    large = enlarge(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
    return (2 * large - 1).transpose(1, 2)


def enlarge(frames: Tensor) -> Tensor:
    """Bicubic, antialiased, clamped: (N, 3, h, w) in [0, 1] -> (N, 3, 2 h, 2 w)."""
    return F.interpolate(frames, scale_factor=SCALE, mode="bicubic", antialias=True).clamp(0, 1)
