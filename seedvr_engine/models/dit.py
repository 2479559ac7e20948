"""The SeedVR2 diffusion transformer, every size of it.

Two token streams, video and text, go through blocks of attention and MLP. Attention sees one window of video
tokens and all text tokens at a time. Within a block every window is independent of every other, and its MLP
is per token, so a block walks over groups of windows and updates the video tokens in place: a pass needs one
copy of the token array plus the workspace of one group, whatever the length of the clip. Only the text's
attention output, an average over windows, has to wait for the last group.

Source: SeedVR2 (arXiv 2506.05301) and the released checkpoints; parameter names are the released ones.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from seedvr_engine.models.attention import AttentionName, attention
from seedvr_engine.models.config import DiTConfig
from seedvr_engine.models.modulation import Modulated, Modulation, OutputModulation, TimestepEmbedding
from seedvr_engine.models.rotary import Rotation, rotate, text_rotation, window_rotation
from seedvr_engine.models.streamed import streamed
from seedvr_engine.models.windows import Grid, partition, window_size, windows_by_shape

GROUP_TOKENS = 12288
MLP_TOKENS = 4096


@dataclass(frozen=True)
class Group:
    """Windows of one shape that go through a block together.

    tokens: (windows, tokens per window), positions in the token array.
    rotation: of one window's tokens.
    """

    tokens: Tensor
    rotation: Rotation


@dataclass(frozen=True)
class Layout:
    """How one kind of block (regular or shifted) cuts the token grid; made once per clip size.

    windows: number of windows in all groups.
    """

    groups: list[Group]
    text_rotation: Rotation | None
    windows: int


class PerStream(nn.Module):
    """One layer for the video and one for the text, or one that serves both."""

    def __init__(self, shared: bool, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.shared = shared
        for name in ("all",) if shared else ("vid", "txt"):
            self.add_module(name, make())

    @property
    def video(self) -> Any:
        """The video's layer."""
        return self.all if self.shared else self.vid

    @property
    def text(self) -> Any:
        """The text's layer."""
        return self.all if self.shared else self.txt


class DiT(nn.Module):
    """Predicts the velocity of a noisy latent, given the condition latent and the text.

    Raises ValueError for inputs of another shape than the configuration's.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        patch = math.prod(config.patch)
        self.vid_in = PatchLinear(patch * config.video_in_channels, config.vid_dim)
        self.txt_in = nn.Linear(config.txt_in_dim, config.txt_dim)
        self.emb_in = TimestepEmbedding(config.vid_dim, config.emb_dim)
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.num_layers))
        if config.out_norm:
            self.vid_out_norm = nn.RMSNorm(config.vid_dim, config.norm_eps)
            self.vid_out_ada = OutputModulation(config.vid_dim)
        self.vid_out = PatchLinear(config.vid_dim, patch * config.latent_channels)
        self._layouts: tuple[tuple[object, ...], list[Layout]] | None = None

    def forward(
        self,
        video: Tensor,
        text: Tensor,
        timestep: float,
        *,
        group_tokens: int = GROUP_TOKENS,
        kernel: AttentionName = "sdpa",
        token_device: torch.device | None = None,
        stream_weights: bool = False,
        on_progress: Callable[[float], None] | None = None,
    ) -> Tensor:
        """One pass over a clip.

        video: (T, H, W, 2 C + 1), noisy latent, condition latent, ones; H and W even.
        text: (L, txt_in_dim). timestep: 0 to 1000.
        group_tokens: video tokens that go through a block together (at least one window does); memory, not
            results, depends on it.
        token_device: where the token array lives; the weights' device when not given.
        stream_weights: the blocks' weights live in host memory and visit the input's device one block at a
            time.
        on_progress: told the share of the pass that is done, after every group; may raise to stop it.
        Returns the velocity (T, H, W, C) on the device of `video`.
        """
        self._check(video, text)
        token_device = token_device or video.device
        latent = (video.shape[0], video.shape[1], video.shape[2])
        layouts = self.layouts(latent, len(text), group_tokens, video.device, token_device)
        tokens = self._embed(video, token_device)
        text = self.txt_in(text)
        embedding = self.emb_in(timestep)
        group_done = _progress(on_progress, len(tokens) * len(self.blocks))
        blocks = streamed(self.blocks, video.device) if stream_weights else iter(self.blocks)
        for index, block in enumerate(blocks):
            text = block(tokens, text, embedding, layouts[index % 2], kernel, group_done)
        return self._project(tokens, embedding, video)

    def _check(self, video: Tensor, text: Tensor) -> None:
        wanted = self.config.video_in_channels
        if video.ndim != 4 or video.shape[-1] != wanted or video.shape[1] % 2 or video.shape[2] % 2:
            raise ValueError(f"video must be (T, H, W, {wanted}) with even H and W, got {tuple(video.shape)}")
        if text.ndim != 2 or text.shape[-1] != self.config.txt_in_dim:
            raise ValueError(f"text must be (L, {self.config.txt_in_dim}), got {tuple(text.shape)}")

    def _embed(self, video: Tensor, token_device: torch.device) -> Tensor:
        """(T, H, W, 2C+1) -> (tokens, D), a latent frame at a time."""
        ph, pw = self.config.patch
        frames = video.shape[0]
        per_frame = video.shape[1] * video.shape[2] // (ph * pw)
        tokens = video.new_empty(frames * per_frame, self.config.vid_dim, device=token_device)
        for index, frame in enumerate(video):
            patches = rearrange(frame, "(h ph) (w pw) c -> (h w) (ph pw c)", ph=ph, pw=pw)
            tokens[index * per_frame : (index + 1) * per_frame] = self.vid_in(patches).to(token_device)
        return tokens

    def _project(self, tokens: Tensor, embedding: Tensor, video: Tensor) -> Tensor:
        """(tokens, D) -> (T, H, W, C), a latent frame at a time."""
        frames = []
        ph, pw = self.config.patch
        for x, frame in zip(tokens.chunk(len(video)), video, strict=True):
            x = x.to(video.device)
            if self.config.out_norm:
                x = self.vid_out_ada(self.vid_out_norm(x), embedding)
            patches = self.vid_out(x)
            out = rearrange(
                patches, "(h w) (ph pw c) -> (h ph) (w pw) c", ph=ph, pw=pw, w=video.shape[2] // pw
            )
            frames.append(out + self._skip(frame) if self.config.skip else out)
        return torch.stack(frames)

    def _skip(self, frame: Tensor) -> Tensor:
        # At timestep 1000 the noisy latent is the noise, and noise - condition is the velocity that leads
        # from it to the condition.
        noisy, condition, _ = frame.split(
            (self.config.latent_channels, self.config.latent_channels, 1), dim=-1
        )
        return noisy - condition

    def layouts(
        self,
        latent: Grid,
        text_length: int,
        group_tokens: int,
        device: torch.device,
        token_device: torch.device,
    ) -> list[Layout]:
        """The regular and the shifted layout for a latent size (T, H, W); the last ones are kept."""
        ph, pw = self.config.patch
        key = (tuple(latent), text_length, group_tokens, device, token_device)
        if self._layouts is None or self._layouts[0] != key:
            grid = (latent[0], latent[1] // ph, latent[2] // pw)
            made = [
                make_layout(self.config, grid, shifted, text_length, group_tokens, device, token_device)
                for shifted in (False, True)
            ]
            self._layouts = (key, made)
        return self._layouts[1]


def make_layout(
    config: DiTConfig,
    grid: Grid,
    shifted: bool,
    text_length: int,
    group_tokens: int,
    device: torch.device,
    token_device: torch.device,
) -> Layout:
    """Cuts a token grid into groups of equal windows.

    grid: tokens along (time, height, width). Token positions lie on `token_device`, rotary tables on
        `device`.
    """
    size = window_size(grid, config.window_grid, config.window_frames, config.window_plane)
    windows = partition(grid, size, shifted)
    groups = []
    for shape in windows_by_shape(grid, windows, token_device):
        rotation = window_rotation(config.rotary, shape.size, text_length, device)
        per_group = max(1, group_tokens // math.prod(shape.size))
        groups += [Group(tokens, rotation) for tokens in shape.tokens.split(per_group)]
    return Layout(groups, text_rotation(config.rotary, text_length, device), len(windows))


class Block(nn.Module):
    """Attention and MLP of both streams, each modulated before, gated after, added to its input."""

    def __init__(self, config: DiTConfig, index: int) -> None:
        super().__init__()
        shared = index >= config.mm_layers
        self.eps = config.norm_eps
        self.updates_text = config.last_text or index < config.num_layers - 1
        self.attn = WindowAttention(config, shared)
        self.mlp = PerStream(shared, lambda: SwiGLU(config) if config.mlp == "swiglu" else GELU(config))
        self.ada = PerStream(shared, lambda: Modulation(config.vid_dim))

    def forward(
        self,
        tokens: Tensor,
        text: Tensor,
        embedding: Tensor,
        layout: Layout,
        kernel: AttentionName,
        group_done: Callable[[Group], None],
    ) -> Tensor:
        """Updates the video tokens (N, D) in place and returns the new text tokens (L, D)."""
        video_ada, text_ada = (ada(embedding) for ada in (self.ada.video, self.ada.text))
        # Nothing reads the text after the last block of the 3B, so the text is not even modulated there.
        text_in = text_ada.before_attention(self._norm(text)) if self.updates_text else self._norm(text)
        text_qkv = self.attn.text_qkv(text_in, layout.text_rotation)
        text_sum = text.new_zeros(text.shape[0], self.attn.inner_dim, dtype=torch.float32)
        for group in layout.groups:
            index = group.tokens.flatten()
            x = tokens.index_select(0, index).to(text.device).unflatten(0, group.tokens.shape)
            mixed, mixed_text = self.attn(
                video_ada.before_attention(self._norm(x)), text_qkv, group.rotation, kernel
            )
            text_sum = text_sum + mixed_text
            x = x + video_ada.after_attention(self.attn.proj_out.video(mixed))
            del mixed
            for part, positions in zip(
                x.flatten(0, 1).split(MLP_TOKENS), index.split(MLP_TOKENS), strict=True
            ):
                done = self._with_mlp(part, self.mlp.video, video_ada)
                tokens.index_copy_(0, positions, done.to(tokens.device))
            del x, part, done  # the next group needs the room
            group_done(group)
        if not self.updates_text:
            return text
        mixed_text = (text_sum / layout.windows).to(text.dtype)
        text = text + text_ada.after_attention(self.attn.proj_out.text(mixed_text))
        return self._with_mlp(text, self.mlp.text, text_ada)

    def _with_mlp(self, x: Tensor, mlp: nn.Module, ada: Modulated) -> Tensor:
        return x + ada.after_mlp(mlp(ada.before_mlp(self._norm(x))))

    def _norm(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], eps=self.eps)


class WindowAttention(nn.Module):
    """Softmax attention of windows of video tokens, each together with all text tokens."""

    def __init__(self, config: DiTConfig, shared: bool) -> None:
        super().__init__()
        self.heads = config.heads
        self.inner_dim = config.heads * config.head_dim
        self.proj_qkv = PerStream(shared, lambda: nn.Linear(config.vid_dim, 3 * self.inner_dim, bias=False))
        self.proj_out = PerStream(shared, lambda: nn.Linear(self.inner_dim, config.vid_dim))
        self.norm_q = PerStream(shared, lambda: nn.RMSNorm(config.head_dim, config.norm_eps))
        self.norm_k = PerStream(shared, lambda: nn.RMSNorm(config.head_dim, config.norm_eps))

    def text_qkv(self, text: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
        """(L, D) -> query, key, value, each (L, heads, head_dim)."""
        query, key, value = self._split(self.proj_qkv.text(text))
        return rotate(self.norm_q.text(query), rotation), rotate(self.norm_k.text(key), rotation), value

    def forward(
        self,
        video: Tensor,
        text_qkv: tuple[Tensor, Tensor, Tensor],
        rotation: Rotation,
        kernel: AttentionName,
    ) -> tuple[Tensor, Tensor]:
        """Mixes the tokens of windows of one shape.

        video: (windows, n, D). text_qkv: as `text_qkv` returns it.
        Returns the video's mixture (windows, n, heads * head_dim) and the text's, summed over the windows,
        (L, heads * head_dim) float32; both before their output layer.
        """
        query, key, value = self._split(self.proj_qkv.video(video))
        query = self._with_text(rotate(self.norm_q.video(query), rotation), text_qkv[0])
        key = self._with_text(rotate(self.norm_k.video(key), rotation), text_qkv[1])
        value = self._with_text(value, text_qkv[2])
        mixed = attention(query, key, value, kernel).flatten(-2)
        n = video.shape[1]
        return mixed[:, :n], mixed[:, n:].sum(0, dtype=torch.float32)

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return qkv.unflatten(-1, (3, self.heads, -1)).unbind(-3)

    @staticmethod
    def _with_text(video: Tensor, text: Tensor) -> Tensor:
        return torch.cat((video, text.expand(len(video), -1, -1, -1)), dim=1)


class SwiGLU(nn.Module):
    """out(silu(gate(x)) * in(x)), no biases (arXiv 2002.05202)."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.proj_in_gate = nn.Linear(config.vid_dim, config.mlp_hidden, bias=False)
        self.proj_out = nn.Linear(config.mlp_hidden, config.vid_dim, bias=False)
        self.proj_in = nn.Linear(config.vid_dim, config.mlp_hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj_out(F.silu(self.proj_in_gate(x)) * self.proj_in(x))


class GELU(nn.Module):
    """out(gelu(in(x))), the tanh approximation."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.proj_in = nn.Linear(config.vid_dim, config.mlp_hidden)
        self.proj_out = nn.Linear(config.mlp_hidden, config.vid_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj_out(F.gelu(self.proj_in(x), approximate="tanh"))


class PatchLinear(nn.Module):
    """The linear layer between patches and tokens; a module of its own, for its parameters are `proj`."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


def _progress(on_progress: Callable[[float], None] | None, tokens: int) -> Callable[[Group], None]:
    """Counts finished groups against the tokens of all blocks and tells the share."""
    done = 0

    def group_done(group: Group) -> None:
        nonlocal done
        done += group.tokens.numel()
        if on_progress is not None:
            on_progress(done / tokens)

    return group_done
