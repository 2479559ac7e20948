"""Frames as tensors: resize, pad, crop, and back to whole numbers."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seedvr_engine.pipeline.size import Geometry


def to_tensor(rgb: np.ndarray, device: torch.device) -> Tensor:
    """(H, W, 3) uint8 or uint16 -> (1, 3, H, W) float32 in [0, 1]."""
    scale = 255.0 if rgb.dtype == np.uint8 else 65535.0
    # torch has few operations on uint16, but int32 holds it.
    values = torch.from_numpy(rgb if rgb.dtype == np.uint8 else rgb.astype(np.int32)).to(device)
    return values.permute(2, 0, 1)[None].float().div_(scale)


def to_pixels(picture: Tensor, bits: int) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] (clamped here) -> (H, W, 3), uint8 for 8 bits, uint16 at full scale for more."""
    largest = 255 if bits == 8 else 65535
    values = picture[0].float().clamp(0, 1).mul_(largest).round_().permute(1, 2, 0).contiguous()
    if bits == 8:
        return values.to(torch.uint8).cpu().numpy()
    return values.to(torch.int32).cpu().numpy().astype(np.uint16)


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic with antialiasing, not clamped; (B, 3, H, W) -> (B, 3, *size)."""
    if picture.shape[-2:] == size:
        return picture
    return F.interpolate(picture, size, mode="bicubic", antialias=True, align_corners=False)


def prepare(rgb: np.ndarray, geometry: Geometry, device: torch.device) -> Tensor:
    """A source frame as the picture that is restored: (1, 3, *geometry.resized) in [0, 1]."""
    top, left, height, width = geometry.crop
    return resize(to_tensor(rgb[top : top + height, left : left + width], device), geometry.resized).clamp_(
        0, 1
    )


def pad(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Continues (B, 3, H, W) at the bottom and the right by reflection.

    Reflection keeps the border sharp where zeros or repetition smear it. A side shorter than its padding is
    reflected more than once; a side of one pixel is repeated.
    """
    while picture.shape[-2:] != size:
        height, width = picture.shape[-2:]
        single = min(height, width) == 1
        bottom, right = (
            min(want - side, side - (not single)) for want, side in zip(size, (height, width), strict=True)
        )
        picture = F.pad(picture, (0, right, 0, bottom), mode="replicate" if single else "reflect")
    return picture


def frame_of(picture: Tensor, geometry: Geometry) -> Tensor:
    """Places the restored picture (1, 3, *resized) on a black frame where the output is larger."""
    if geometry.output == geometry.resized:
        return picture
    (top, left), (height, width) = geometry.offset, geometry.resized
    frame = picture.new_zeros(1, 3, *geometry.output)
    frame[..., top : top + height, left : left + width] = picture
    return frame
