"""The whole model path, from pixels to pixels, is the official one."""

import pytest
import torch

from seedvr_engine.pipeline.latent import restore_latent
from tests.reference import numbers, relative_error, small_dit, small_vae, small_vae_config
from tests.reference_weights import uniform

TAGS = sorted(key.removesuffix("/restored") for key in numbers("restore") if key.endswith("/restored"))


@pytest.mark.parametrize("tag", TAGS)
@torch.inference_mode()
def test_restored_latent_and_pixels_are_the_official_ones(tag):
    variant, size, sampling = tag.split("/")
    steps, guidance, rescale = (
        float(part.removeprefix(name))
        for part, name in zip(sampling.split("_"), ("steps", "cfg", "rescale"), strict=True)
    )
    scaling = small_vae_config().scaling
    video = uniform(f"restore/{tag}/video", (3, *map(int, size.split("x"))))
    latent = small_vae().encode(video[None])[0][0].permute(1, 2, 3, 0) * scaling
    assert relative_error(latent, numbers("restore")[f"{tag}/condition_latent"]) < 1e-5

    noise = uniform(f"restore/{tag}/noise", latent.shape) * 3**0.5
    texts = [uniform(f"restore/{tag}/text_pos", (7, 96)), uniform(f"restore/{tag}/text_neg", (5, 96))]
    restored = restore_latent(small_dit(variant), latent, noise, *texts, int(steps), guidance, rescale)
    assert relative_error(restored, numbers("restore")[f"{tag}/restored_latent"]) < 1e-5

    pixels = small_vae().decode((restored / scaling).permute(3, 0, 1, 2)[None])[0]
    assert relative_error(pixels, numbers("restore")[f"{tag}/restored"]) < 1e-5


def test_condition_noise_moves_the_condition_and_leaves_the_start_alone():
    seen: list[torch.Tensor] = []

    def dit(video, text, timestep):
        seen.append(video)
        return torch.zeros_like(video[..., :16])

    latent, noise = uniform("latent", (2, 4, 4, 16)), torch.randn(2, 4, 4, 16)
    text = torch.zeros(1, 8)
    restore_latent(dit, latent, noise, text, text)
    restore_latent(dit, latent, noise, text, text, condition_noise=0.5)
    clean, noisy = seen
    assert torch.equal(clean[..., :16], noisy[..., :16])
    assert torch.equal(clean[..., 16:32], latent)
    assert not torch.allclose(noisy[..., 16:32], latent, atol=0.1)
