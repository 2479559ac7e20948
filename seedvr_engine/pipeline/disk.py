"""How much room a restoration needs on the disk."""

from seedvr_engine.media.write import Target
from seedvr_engine.models.config import VAEConfig
from seedvr_engine.pipeline.size import Geometry

# Bytes a pixel of an output frame takes at the default quality, rounded up generously.
_BYTES_PER_PIXEL = {
    "h264": 0.05,
    "h265": 0.04,
    "av1": 0.04,
    "vp9": 0.05,
    "prores": 0.6,
    "ffv1": 2.5,
    "png": 3.0,
    "tiff": 6.0,
}
_LATENT_BYTES = 4
# Latents go when their shot is written, and few shots last more than a minute; a longer one may meet a full
# disk, and goes on when there is room.
_LONG_SHOT_FRAMES = 1800
_SPARE_BYTES = 50_000_000


def needed_bytes(target: Target, shape: Geometry, vae: VAEConfig, frames: int, *, still: bool) -> int:
    """Room for the output, its segments beside it, and the latents of a long shot."""
    pixels = shape.output[0] * shape.output[1]
    deep = 2 if target.bit_depth > 8 else 1
    output = frames * pixels * _BYTES_PER_PIXEL.get(target.codec, 3.0) * deep
    if still:
        return int(output) + _SPARE_BYTES
    voxels = (shape.padded[0] // vae.space_factor) * (shape.padded[1] // vae.space_factor)
    kept = 1 + min(frames, _LONG_SHOT_FRAMES) // vae.time_factor
    latents = 2 * kept * voxels * vae.latent_channels * _LATENT_BYTES
    return int(2 * output + latents) + _SPARE_BYTES
