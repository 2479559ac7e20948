"""The SeedVR2 video autoencoder: pixels to latents and back, as a stream.

Causal in time: 1 + 4 k frames become 1 + k latent frames, and a clip of any length goes through in pieces
while the convolutions remember what they need of the past (`causal.Past`). Where a layer enlarges, the
decoder goes depth first: a few frames travel to the last layer before the next few start, so that the large
layers never hold a whole piece.

Source: the released SeedVR2 autoencoder; parameter names are the released ones.
"""

import math
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from seedvr_engine.models.attention import attention
from seedvr_engine.models.causal import CausalConv3d, Past, PointConv3d
from seedvr_engine.models.config import VAEConfig, of_stage

PIECE_FRAMES = 2
SCORES_PER_ATTENTION = 2**26


class VideoVAE(nn.Module):
    """Encoder and decoder. Latents are unscaled here; see `VAEConfig.scaling`."""

    def __init__(self, config: VAEConfig | None = None) -> None:
        super().__init__()
        self.config = config or VAEConfig()
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)

    def encode(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, F, H, W) in [-1, 1], F = 1 + time_factor k -> posterior mean and log variance, (B, C, T, h,
        w) each.

        Raises ValueError when F, H or W do not fit the autoencoder's factors.
        """
        self._check(video.shape)
        return _moments(self.encoder(_channels_last(video), Past()))

    def decode(self, latent: Tensor) -> Tensor:
        """(B, C, T, h, w) -> (B, 3, F, H, W), about [-1, 1], not clamped."""
        return self.decoder(_channels_last(latent), Past())

    def encode_stream(
        self,
        pieces: Iterable[Tensor],
        *,
        frames: int = PIECE_FRAMES,
        cache_device: torch.device | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Encodes one clip piece by piece.

        pieces: (B, 3, f, H, W), any f >= 1. frames: how many go through a layer at once. cache_device: where
            the temporal caches wait between pieces; with the activations when not given.
        Yields (mean, logvar) as soon as latents are complete; together they equal the uncut result.
        """
        past = Past(frames, cache_device)
        for piece in pieces:
            for part in past.pieces(_channels_last(piece)):
                moments = self.encoder(part, past)
                if moments.shape[2]:
                    yield _moments(moments)

    def decode_stream(
        self,
        pieces: Iterable[Tensor],
        *,
        frames: int = PIECE_FRAMES,
        cache_device: torch.device | None = None,
    ) -> Iterator[Tensor]:
        """Decodes one clip piece by piece.

        pieces: (B, C, t, h, w), any t >= 1; the other arguments as for `encode_stream`.
        Yields (B, 3, f, H, W), f = 1 + time_factor (t - 1) for the first piece, time_factor t for the others.
        """
        past = Past(frames, cache_device)
        for piece in pieces:
            yield self.decoder(_channels_last(piece), past)

    def encode_lookback(self) -> int:
        """By how many latent frames an encode must start early, to be as if from the clip's start."""
        return _lookback(self.encoder, self.config.time_factor)

    def decode_lookback(self) -> int:
        """The same for a decode."""
        return _lookback(self.decoder, 1)

    def _check(self, shape: torch.Size) -> None:
        time, space = self.config.time_factor, self.config.space_factor
        if len(shape) != 5 or shape[1] != 3 or (shape[2] - 1) % time or shape[3] % space or shape[4] % space:
            raise ValueError(
                f"video must be (B, 3, 1 + {time} k, H, W), H and W multiples of {space}, got {tuple(shape)}"
            )


def _lookback(network: nn.Module, rate: float) -> int:
    """Sums how far every convolution sees back. rate: frames per latent frame where the network starts."""
    latents = 0.0
    for layer in network.modules():
        if isinstance(layer, Upsampler):
            rate *= layer.stride[0]
        if isinstance(layer, CausalConv3d):
            latents += (layer.kernel_size[0] - 1) / rate
            rate /= layer.stride[0]
    return math.ceil(latents)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean, logvar = x.chunk(2, dim=1)
    return mean, logvar


def _channels_last(x: Tensor) -> Tensor:
    # Convolutions are 1.5 times as fast with the channels innermost, and a frame stays one contiguous piece.
    return x.contiguous(memory_format=torch.channels_last_3d)


class Encoder(nn.Module):
    """Pixels to the moments of the posterior."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        widths = config.channels
        self.conv_in = CausalConv3d(3, widths[0], (of_stage(config.encoder_time, 0), 3, 3))
        self.down_blocks = nn.ModuleList(DownBlock(config, stage) for stage in range(len(widths)))
        self.mid_block = MiddleBlock(config, config.encoder_time)
        self.conv_norm_out = FrameNorm.of(config, widths[-1])
        self.conv_out = CausalConv3d(
            widths[-1], 2 * config.latent_channels, (of_stage(config.encoder_time, -1), 3, 3)
        )

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(B, 3, F, H, W) -> (B, 2 C, T, h, w); T may be 0 while frames are missing."""
        x = self.conv_in([x], x.shape[2], past)
        for block in self.down_blocks:
            if x.shape[2]:
                x = block(x, past)
        if not x.shape[2]:
            return x
        x = self.mid_block(x, past)
        return self.conv_out([self.conv_norm_out.activated(x)], x.shape[2], past)


class Decoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        widths = config.channels
        self.conv_in = CausalConv3d(
            config.latent_channels, widths[-1], (of_stage(config.decoder_time, -1), 3, 3)
        )
        self.mid_block = MiddleBlock(config, config.decoder_time)
        self.up_blocks = nn.ModuleList(UpBlock(config, stage) for stage in reversed(range(len(widths))))
        self.conv_norm_out = FrameNorm.of(config, widths[0])
        self.conv_out = CausalConv3d(widths[0], 3, (of_stage(config.decoder_time, 0), 3, 3))

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(B, C, T, h, w) -> (B, 3, F, H, W)."""
        x = self.mid_block(self.conv_in([x], x.shape[2], past), past)
        return self._from_block(0, x, past)

    def _from_block(self, index: int, x: Tensor, past: Past) -> Tensor:
        """Takes the frames, a few at a time, through block `index` and all that follow."""
        if index == len(self.up_blocks):
            return self.conv_out([self.conv_norm_out.activated(x)], x.shape[2], past)
        block = self.up_blocks[index]
        return torch.cat(
            [self._from_block(index + 1, block(piece, past), past) for piece in past.pieces(x)], dim=2
        )


class DownBlock(nn.Module):
    """Residual blocks of one width, then a step down."""

    def __init__(self, config: VAEConfig, stage: int) -> None:
        super().__init__()
        before, width = config.channels[max(stage - 1, 0)], config.channels[stage]
        self.resnets = nn.ModuleList(
            ResidualBlock(config, width if i else before, width, of_stage(config.encoder_time, stage))
            for i in range(of_stage(config.encoder_blocks, stage))
        )
        is_last = stage == len(config.strides)
        self.downsamplers = nn.ModuleList([] if is_last else [Downsampler(width, config.strides[stage])])

    def forward(self, x: Tensor, past: Past) -> Tensor:
        for layer in (*self.resnets, *self.downsamplers):
            x = layer(x, past)
        return x


class UpBlock(nn.Module):
    """Residual blocks of one width, then a step up."""

    def __init__(self, config: VAEConfig, stage: int) -> None:
        super().__init__()
        width, is_last = config.channels[stage], stage == 0
        before = width if config.narrow_up else config.channels[min(stage + 1, len(config.strides))]
        self.resnets = nn.ModuleList(
            ResidualBlock(config, width if i else before, width, of_stage(config.decoder_time, stage))
            for i in range(of_stage(config.decoder_blocks, stage))
        )
        after = config.channels[stage - 1] if config.narrow_up else width
        kernel = of_stage(config.decoder_time, stage - 1)
        self.upsamplers = nn.ModuleList(
            [] if is_last else [Upsampler(width, after, config.strides[stage - 1], kernel)]
        )

    def forward(self, x: Tensor, past: Past) -> Tensor:
        for layer in (*self.resnets, *self.upsamplers):
            x = layer(x, past)
        return x


class MiddleBlock(nn.Module):
    """Residual block, per-frame attention, residual block, at the lowest resolution."""

    def __init__(self, config: VAEConfig, time: int | tuple[int, ...]) -> None:
        super().__init__()
        width = config.channels[-1]
        self.attentions = nn.ModuleList([FrameAttention(config, width)] if config.middle_attention else [])
        self.resnets = nn.ModuleList(
            ResidualBlock(config, width, width, of_stage(time, -1)) for _ in range(config.middle_blocks)
        )

    def forward(self, x: Tensor, past: Past) -> Tensor:
        for resnet in self.resnets[:1]:
            x = resnet(x, past)
        for layer in self.attentions:
            x = layer(x)
        for resnet in self.resnets[1:]:
            x = resnet(x, past)
        return x


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice, plus the input."""

    def __init__(self, config: VAEConfig, in_channels: int, channels: int, time_kernel: int) -> None:
        super().__init__()
        kernel = (time_kernel, 3, 3)
        self.norm1 = FrameNorm.of(config, in_channels)
        self.conv1 = CausalConv3d(in_channels, channels, kernel)
        self.norm2 = FrameNorm.of(config, channels)
        self.conv2 = CausalConv3d(channels, channels, kernel)
        self.conv_shortcut = PointConv3d(in_channels, channels) if in_channels != channels else nn.Identity()

    def forward(self, x: Tensor, past: Past) -> Tensor:
        count = x.shape[2]
        h = self.conv1(map(self.norm1.activated, self.conv1.parts(x)), count, past)
        parts = map(self.norm2.activated, self.conv2.parts(h))
        del h  # it goes part by part, and is gone before the convolution makes its output
        return self.conv2(parts, count, past).add_(self.conv_shortcut(x))


class Downsampler(nn.Module):
    """A strided convolution; a step of 2 in time has a temporal kernel of 3."""

    def __init__(self, channels: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        kernel = (3 if stride[0] == 2 else 1, 3, 3)
        self.conv = CausalConv3d(channels, channels, kernel, stride, corner=True)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        return self.conv([x], x.shape[2], past)


class Upsampler(nn.Module):
    """More channels, shuffled into space and time, then a convolution."""

    def __init__(
        self, in_channels: int, channels: int, stride: tuple[int, int, int], time_kernel: int
    ) -> None:
        super().__init__()
        self.stride = stride
        self.upscale_conv = PointConv3d(in_channels, channels * stride[0] * stride[1] * stride[2])
        self.conv = CausalConv3d(channels, channels, (time_kernel, 3, 3))

    def forward(self, x: Tensor, past: Past) -> Tensor:
        is_first = past.is_new(self.conv)
        # The clip's first frame stands for itself alone: of the two that it becomes, the second is dropped.
        count = x.shape[2] * self.stride[0] - (1 if is_first and self.stride[0] == 2 else 0)
        return self.conv(self._enlarged(x, is_first), count, past)

    def _enlarged(self, x: Tensor, is_first: bool) -> Iterator[Tensor]:
        time, height, width = self.stride
        for index, frame in enumerate(x.split(1, dim=2) if time == 2 else self.conv.parts(x)):
            shuffled = rearrange(
                self.upscale_conv(frame).movedim(1, -1),
                "b f h w (x y z c) -> b (f z) (h x) (w y) c",
                x=height,
                y=width,
                z=time,
            ).movedim(-1, 1)
            yield shuffled[:, :, :1] if is_first and index == 0 and time == 2 else shuffled


class FrameNorm(nn.GroupNorm):
    """Group norm whose statistics are those of one frame, so that a piece does not change its neighbours."""

    def __init__(self, config: VAEConfig, channels: int) -> None:
        super().__init__(config.norm_groups, channels, config.norm_eps)

    @staticmethod
    def of(config: VAEConfig, channels: int) -> "FrameNorm | NoNorm":
        """The norm that the configuration asks for."""
        return FrameNorm(config, channels) if config.norm_groups else NoNorm()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, H, W) -> the same."""
        frames = x.transpose(1, 2)
        return super().forward(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2)

    def activated(self, x: Tensor) -> Tensor:
        """SiLU of the norm."""
        return F.silu(self(x), inplace=True)


class NoNorm(nn.Identity):
    """Stands where a model has no norm."""

    def activated(self, x: Tensor) -> Tensor:
        """SiLU of the input, which stays."""
        return F.silu(x)


class FrameAttention(nn.Module):
    """Attention over the pixels of one frame, one head."""

    def __init__(self, config: VAEConfig, channels: int) -> None:
        super().__init__()
        self.group_norm = FrameNorm.of(config, channels)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, H, W) -> the same."""
        return torch.cat([frame + self._mixed(frame) for frame in x.split(1, dim=2)], dim=2)

    def _mixed(self, frame: Tensor) -> Tensor:
        pixels = rearrange(self.group_norm(frame), "b c 1 h w -> b (h w) 1 c")
        query, key, value = self.to_q(pixels), self.to_k(pixels), self.to_v(pixels)
        # No kernel for heads this wide is memory-efficient everywhere, so the queries take turns.
        turns = query.split(max(1, SCORES_PER_ATTENTION // pixels.shape[1]), dim=1)
        mixed = torch.cat([attention(turn, key, value) for turn in turns], dim=1)
        return rearrange(self.to_out[0](mixed), "b (h w) 1 c -> b c 1 h w", h=frame.shape[3])
