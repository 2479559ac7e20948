"""From noise to a restored latent: schedule, guidance, Euler steps.

x_t = (1 - u) x_0 + u x_1000 with u = t / 1000, and the network predicts the velocity v = x_1000 - x_0
(rectified flow, arXiv 2209.03003). SeedVR2 is trained for one step: t = 1000, no guidance.
"""

from collections.abc import Callable

import torch
from torch import Tensor

END = 1000.0


def timesteps(steps: int) -> list[float]:
    """END * (1, (n-1)/n, ..., 1/n) for n steps."""
    return [END * (steps - i) / steps for i in range(steps)]


def interpolate(clean: Tensor, noise: Tensor, timestep: float) -> Tensor:
    """The point on the way from clean (timestep 0) to noise (timestep 1000)."""
    return clean + (noise - clean) * (timestep / END)


def shifted(
    timestep: float, latent: tuple[int, int, int], time_factor: int = 4, space_factor: int = 8
) -> float:
    """Moves a timestep towards noise for larger clips, which are easier to see through noise.

    latent: (T, H, W) of the latent. The shift is linear in the decoded size: pixels for a picture, 1.0 at
    256x256 and 3.2 at 1024x1024; pixels times frames for video, 1.0 at 256x256x37 and 5.0 at 1280x720x145.
    """
    frames = (latent[0] - 1) * time_factor + 1
    size = frames * latent[1] * space_factor * latent[2] * space_factor
    if frames > 1:
        shift = _linear(size, (256 * 256 * 37, 1.0), (1280 * 720 * 145, 5.0))
    else:
        shift = _linear(size, (256 * 256, 1.0), (1024 * 1024, 3.2))
    u = timestep / END
    return END * shift * u / (1 + (shift - 1) * u)


def _linear(x: float, low: tuple[float, float], high: tuple[float, float]) -> float:
    return low[1] + (x - low[0]) * (high[1] - low[1]) / (high[0] - low[0])


def guided(positive: Tensor, negative: Tensor, guidance: float, rescale: float) -> Tensor:
    """Classifier-free guidance with rescaling (arXiv 2305.08891).

    positive, negative: velocities (T, H, W, C). rescale: 0 keeps the guided velocity, 1 gives it the
    deviation of the positive one, taken over the channels of each latent voxel.
    """
    velocity = negative + guidance * (positive - negative)
    if rescale == 0:
        return velocity
    factor = positive.std(-1, keepdim=True) / velocity.std(-1, keepdim=True)
    return velocity * (factor * rescale + 1 - rescale)


def sample(velocity: Callable[[Tensor, float], Tensor], noise: Tensor, steps: int) -> Tensor:
    """Euler steps from noise (T, H, W, C) to the estimate of the clean latent after the last prediction.

    velocity: called with the noisy latent and the timestep.
    """
    schedule = timesteps(steps)
    x = noise
    for t, following in zip(schedule, [*schedule[1:], 0.0], strict=True):
        # The rule between timesteps also holds for the last one, where it gives x_0 = x_t - u v.
        x = x - velocity(x, t) * ((t - following) / END)
    return x


def dit_input(noisy: Tensor, condition: Tensor) -> Tensor:
    """[noisy latent | condition latent | 1]: (T, H, W, C) each -> (T, H, W, 2 C + 1)."""
    return torch.cat((noisy, condition, torch.ones_like(condition[..., :1])), dim=-1)
