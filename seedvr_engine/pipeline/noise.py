"""The noise that a latent frame starts from."""

import hashlib

import torch
from torch import Tensor


def latent_noise(seed: int, frame: int, shape: tuple[int, int, int]) -> Tensor:
    """Unit normal noise of one latent frame, a pure function of its arguments.

    frame: number in the file of the first source frame that the latent frame covers. So a result depends
    neither on where memory forced a cut nor on where a preview started. shape: (H, W, C).
    Returns float32 on the CPU, where the numbers are the same for every device.
    """
    digest = hashlib.sha256(f"{seed}/{frame}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def first_frame(shot_first: int, latent: int, time_factor: int) -> int:
    """Number in the file of the first source frame under a latent frame of a shot.

    The shot's first latent frame covers one source frame, every other one `time_factor`.
    """
    return shot_first if latent == 0 else shot_first + 1 + (latent - 1) * time_factor
