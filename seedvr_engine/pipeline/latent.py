"""Restores a latent: the one place where sampler and transformer meet."""

from collections.abc import Callable

from torch import Tensor

from seedvr_engine.models import sampler

Network = Callable[[Tensor, Tensor, float], Tensor]


def restore_latent(
    dit: Network,
    latent: Tensor,
    noise: Tensor,
    text_pos: Tensor,
    text_neg: Tensor,
    steps: int = 1,
    guidance: float = 1.0,
    rescale: float = 0.0,
    condition_noise: float = 0.0,
    *,
    time_factor: int = 4,
    space_factor: int = 8,
) -> Tensor:
    """From a condition latent to the restored latent.

    dit: called with ((T, H, W, 2 C + 1), text, timestep); a `DiT`, or one with its keywords bound.
    latent: (T, H, W, C), scaled. noise: the same shape, unit normal. text_pos, text_neg: (L, txt_in_dim).
    guidance 1.0 takes the positive text alone, in one pass a step. condition_noise: 0 to 1.
    time_factor, space_factor: of the autoencoder, for the size that the condition noise depends on.
    Returns (T, H, W, C), scaled.
    """
    condition = latent
    if condition_noise > 0:
        time, height, width, _ = latent.shape
        timestep = sampler.shifted(
            condition_noise * sampler.END, (time, height, width), time_factor, space_factor
        )
        # The condition's noise must not be the noise that the sample starts from; its channels backwards are
        # as good as new.
        condition = sampler.interpolate(latent, noise.flip(-1), timestep)

    def velocity(noisy: Tensor, timestep: float) -> Tensor:
        video = sampler.dit_input(noisy, condition)
        positive = dit(video, text_pos, timestep)
        if guidance == 1.0:
            return positive
        return sampler.guided(positive, dit(video, text_neg, timestep), guidance, rescale)

    return sampler.sample(velocity, noise, steps)
