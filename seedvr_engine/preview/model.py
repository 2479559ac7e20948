"""The preview model: built from its configuration, loaded from the package's weights, applied to a clip."""

from collections.abc import Callable
from pathlib import Path

import torch
from einops import rearrange
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from seedvr_engine.errors import CheckpointError
from seedvr_engine.models.dit import DiT
from seedvr_engine.models.vae import VideoVAE
from seedvr_engine.preview.config import TEXT_SHAPE, TIMESTEP, WEIGHTS, dit_config, vae_config


class Preview(nn.Module):
    """Both networks and the prompt, as they are trained and stored together."""

    def __init__(self) -> None:
        super().__init__()
        self.dit = DiT(dit_config())
        self.vae = VideoVAE(vae_config())
        self.text = nn.Parameter(torch.zeros(TEXT_SHAPE))

    def forward(
        self, video: Tensor, watch_latent: Callable[[Tensor], None] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Restores clips that have their final size already.

        video: (B, 3, F, H, W) in [-1, 1], H and W multiples of 8.
        watch_latent: told the latents' mean square.
        Returns the restored clips and the autoencoder's picture of the input, both like `video`, not clamped.
        """
        scaling = self.vae.config.scaling
        condition = self.vae.encode(video)[0]
        if watch_latent is not None:
            watch_latent(condition.square().mean())
        restored = torch.stack([self.restore_latent(latent * scaling) for latent in condition]) / scaling
        decoded_restored, decoded_condition = self.vae.decode(torch.cat((restored, condition))).chunk(2)
        return video + decoded_restored - decoded_condition, decoded_condition

    def restore_latent(self, latent: Tensor) -> Tensor:
        """(C, T, h, w) -> the same: one step from timestep 1000, where the noise is all zeros."""
        condition = rearrange(latent, "c t h w -> t h w c")
        noise = torch.zeros_like(condition)
        video = torch.cat((noise, condition, torch.ones_like(condition[..., :1])), dim=-1)
        velocity = self.dit(video, self.text, TIMESTEP)
        return rearrange(noise - velocity, "t h w c -> c t h w")


def load_preview(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, path: Path = WEIGHTS
) -> tuple[DiT, VideoVAE, Tensor]:
    """The networks in evaluation mode and the text (1, 16), on `device` in `dtype`.

    Raises CheckpointError when the weights are missing or not the preview's.
    """
    preview = load(path).to(device=device, dtype=dtype).eval().requires_grad_(False)
    return preview.dit, preview.vae, preview.text.data


def load(path: Path = WEIGHTS) -> Preview:
    """The whole preview in float32 on the CPU; raises CheckpointError as `load_preview`."""
    preview = Preview()
    try:
        state = load_file(path)
        preview.load_state_dict({key: value.float() for key, value in state.items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"The preview's weights at {path} are missing or not the preview's.",
            remedy="Reinstall the package, or train them: `python -m seedvr_engine.preview.train`.",
        ) from error
    return preview
