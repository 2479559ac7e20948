"""Every number that tells one model from another.

Both networks are one class each; 3B, 7B and the preview differ in these fields alone.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RotaryConfig:
    """Rotary positions inside a window.

    axis_dim: dimensions of a head that turn, per axis (time, height, width).
    spectrum: "language": frequencies 10000^(-2i/axis_dim), integer positions, the video after the text on the
        time axis and the text turned too; "pixel": frequencies pi * linspace(1, 128), positions linspace(-1,
        1) over the window, the text left alone.
    """

    axis_dim: int
    spectrum: Literal["language", "pixel"]


@dataclass(frozen=True)
class DiTConfig:
    """The diffusion transformer. Defaults are what both released models share.

    vid_dim, txt_dim: width of the video and text streams (equal in every model here).
    txt_in_dim: width of the text embeddings that come in.
    emb_dim: width of the timestep embedding, 6 per channel of a stream.
    mm_layers: first blocks with separate weights for video and text; later ones share them.
    window_grid: window_area is cut into (time, height, width) parts: the time axis of at most window_frames
        tokens and the plane scaled to the area of window_plane tokens.
    last_text: whether the last block still updates the text stream (nothing reads it afterwards).
    skip: the output starts from the velocity that leads back to the condition, instead of from zero
        (preview).
    """

    vid_dim: int
    txt_dim: int
    emb_dim: int
    heads: int
    num_layers: int
    mm_layers: int
    mlp: Literal["swiglu", "gelu"]
    rotary: RotaryConfig
    last_text: bool
    out_norm: bool
    txt_in_dim: int = 5120
    head_dim: int = 128
    latent_channels: int = 16
    patch: tuple[int, int] = (2, 2)
    mlp_ratio: int = 4
    norm_eps: float = 1e-5
    window_grid: tuple[int, int, int] = (4, 3, 3)
    window_frames: int = 30
    window_plane: tuple[int, int] = (45, 80)
    skip: bool = False

    @staticmethod
    def seedvr2_3b() -> "DiTConfig":
        """SeedVR2 3B: 3.39e9 parameters."""
        return DiTConfig(
            vid_dim=2560,
            txt_dim=2560,
            emb_dim=6 * 2560,
            heads=20,
            num_layers=32,
            mm_layers=10,
            mlp="swiglu",
            rotary=RotaryConfig(axis_dim=42, spectrum="language"),
            last_text=False,
            out_norm=True,
        )

    @staticmethod
    def seedvr2_7b() -> "DiTConfig":
        """SeedVR2 7B and 7B-sharp: 8.24e9 parameters."""
        return DiTConfig(
            vid_dim=3072,
            txt_dim=3072,
            emb_dim=6 * 3072,
            heads=24,
            num_layers=36,
            mm_layers=36,
            mlp="gelu",
            rotary=RotaryConfig(axis_dim=20, spectrum="pixel"),
            last_text=True,
            out_norm=False,
        )

    @property
    def video_in_channels(self) -> int:
        """Channels of the input: noisy latent, condition latent, one mask channel."""
        return 2 * self.latent_channels + 1

    @property
    def mlp_hidden(self) -> int:
        """Inner width of the MLP; SwiGLU takes two thirds, rounded up to 256, for its gate."""
        inner = self.mlp_ratio * self.vid_dim
        return inner if self.mlp == "gelu" else 256 * -(-int(2 * inner / 3) // 256)


@dataclass(frozen=True)
class VAEConfig:
    """The causal video autoencoder.

    channels: widths of the encoder's stages; the decoder goes through them backwards.
    strides: step along (time, height, width) between neighbouring stages, encoder order: 1 or 2 in time, 2 in
        space.
    encoder_blocks, decoder_blocks: residual blocks per stage; one number for all, or one each in encoder
        order.
    middle_blocks: residual blocks at the lowest resolution.
    middle_attention: per-frame attention after the first of them.
    encoder_time, decoder_time: temporal kernel, 1 or 3, of the convolutions; one number for all, or one for
        each stage in encoder order and one for the middle with the latent's own convolution. An upsampler
        counts to the stage that it leads to, the pixels' own convolution to the first.
    norm_groups: of the group norms; 0: none (preview: a frame's statistics are not those of a training crop).
    narrow_up: an upsampler goes to the next stage's width at once, instead of leaving that to the next stage.
    scaling: the transformer sees latent * scaling.
    """

    channels: tuple[int, ...] = (128, 256, 512, 512)
    strides: tuple[tuple[int, int, int], ...] = ((1, 2, 2), (2, 2, 2), (2, 2, 2))
    latent_channels: int = 16
    encoder_blocks: int | tuple[int, ...] = 2
    decoder_blocks: int | tuple[int, ...] = 3
    middle_blocks: int = 2
    middle_attention: bool = True
    norm_groups: int = 32
    norm_eps: float = 1e-6
    scaling: float = 0.9152
    encoder_time: int | tuple[int, ...] = 3
    decoder_time: int | tuple[int, ...] = 3
    narrow_up: bool = False

    def __post_init__(self) -> None:
        if len(self.strides) != len(self.channels) - 1:
            raise ValueError(
                f"{len(self.channels)} stages need {len(self.channels) - 1} strides, got {self.strides}"
            )

    @property
    def time_factor(self) -> int:
        """Frames per latent frame, after the first, which stands alone."""
        factor = 1
        for stride, _, _ in self.strides:
            factor *= stride
        return factor

    @property
    def space_factor(self) -> int:
        """Pixels per latent pixel along each side."""
        return 2 ** len(self.strides)


def of_stage(number: int | tuple[int, ...], stage: int) -> int:
    """A stage's own number where there is one for each, in encoder order; -1: the middle's."""
    return number if isinstance(number, int) else number[stage]
