"""The preview model's numbers. Knows no torch."""

from pathlib import Path
from typing import Literal

from seedvr_engine.models.config import DiTConfig, RotaryConfig, VAEConfig

WEIGHTS = Path(__file__).with_name("weights.safetensors")
"""Where the trained weights lie."""

SCALE = 2
"""Clips are restored at twice their size: what the preview was trained for."""

DETAIL: Literal["decoded", "residual"] = "residual"
"""The output is the resized input plus decode(restored latent) minus decode(condition latent): what the
autoencoder loses is in both, so the input's own detail stays."""

PASS_LATENTS = 32
"""Its windows last 4 frames: a longer pass shows nothing more and takes more memory, 0.5 GB of tokens at
1920x1080. A shorter one does more twice, as neighbours share two latents: 7 % of the transformer's work here,
14 % with 16."""

TIMESTEP = 1000.0
TEXT_SHAPE = (1, 16)
"""The prompt: learned with the weights and stored beside them."""


def vae_config() -> VAEConfig:
    """4x4 pixels of one frame to one latent voxel; without norms, so that crop and frame are alike."""
    return VAEConfig(
        channels=(16, 32, 64),
        strides=((1, 2, 2), (1, 2, 2)),
        latent_channels=48,
        encoder_blocks=(0, 1, 1),
        decoder_blocks=(0, 1, 0),
        middle_blocks=1,
        middle_attention=False,
        norm_groups=0,
        scaling=1.0,
        encoder_time=(1, 1, 3, 1),
        decoder_time=1,
        narrow_up=True,
    )


def dit_config() -> DiTConfig:
    """Tokens of 8x8 pixels, windows of about 8x8 tokens and 4 frames."""
    return DiTConfig(
        vid_dim=128,
        txt_dim=128,
        emb_dim=6 * 128,
        heads=4,
        head_dim=32,
        num_layers=3,
        mm_layers=0,
        mlp="gelu",
        mlp_ratio=2,
        rotary=RotaryConfig(axis_dim=10, spectrum="language"),
        last_text=False,
        out_norm=True,
        txt_in_dim=TEXT_SHAPE[1],
        latent_channels=48,
        window_grid=(1, 8, 8),
        window_frames=4,
        skip=True,
    )
