"""What a restoration costs: FLOPs and bytes of every stage, in closed form, from the models' numbers alone.

Knows no torch. `benchmarks.count` runs the real modules on shapes and is the judge: FLOPs agree within 2 %,
bytes within 10 % and never below (tests/pipeline/test_plan.py). A product with its addition is two FLOPs.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from seedvr_engine.models.config import DiTConfig, VAEConfig, of_stage
from seedvr_engine.models.windows import Grid, count_shapes, window_size
from seedvr_engine.pipeline.messages import Stage

Place = Literal["device", "host"]

FLOAT32_BYTES, POSITION_BYTES = 4, 8
MLP_TOKENS = 4096
# The autoencoder's middle attention takes this many scores at a time; they and their softmax are float32.
MIDDLE_SCORES = 2**26
# Small tensors, and what a formula leaves out.
MARGIN = 1.03


@dataclass(frozen=True)
class Cost:
    """Of one stage over one clip: FLOPs, and peak bytes on the device and in host memory without weights."""

    flops: int
    device_bytes: int
    host_bytes: int


def stage_flops(
    dit: DiTConfig,
    vae: VAEConfig,
    height: int,
    width: int,
    *,
    frames: int | None = None,
    steps: int = 1,
    guided: bool = False,
    residual: bool = False,
) -> dict[Stage, float]:
    """FLOPs per frame of "encode", "restore" and "decode".

    frames: of the shot; a longer one than 25 latents costs the same per frame, and is what None stands for.
    """
    longest = 1 + 24 * vae.time_factor
    frames = longest if frames is None else min(frames, longest)
    latents = 1 + -(-(frames - 1) // vae.time_factor)
    filled = 1 + (latents - 1) * vae.time_factor
    latent = (latents, height // vae.space_factor, width // vae.space_factor)
    passes = steps * (2 if guided else 1)
    return {
        "encode": encode_cost(vae, height, width, filled).flops / frames,
        "restore": passes * dit_cost(dit, latent).flops / frames,
        "decode": (2 if residual else 1) * decode_cost(vae, height, width, filled).flops / frames,
    }


# --- the autoencoder


@dataclass(frozen=True)
class _Conv:
    """A convolution of the autoencoder. cells: of one output frame. keeps: frames that it remembers."""

    inputs: int
    outputs: int
    kernel: int
    cells: int
    frames: int
    keeps: int = 0
    input_cells: int = 0

    @property
    def flops(self) -> int:
        return 2 * self.inputs * self.outputs * self.kernel * self.cells * self.frames

    @property
    def kept(self) -> int:
        """Numbers that it keeps from piece to piece."""
        return self.keeps * self.inputs * (self.input_cells or self.cells)


def _causal(inputs: int, outputs: int, time: int, cells: int, frames: int) -> _Conv:
    return _Conv(inputs, outputs, 9 * time, cells, frames, keeps=time - 1)


def _residual(inputs: int, outputs: int, time: int, cells: int, frames: int) -> Iterator[_Conv]:
    yield _causal(inputs, outputs, time, cells, frames)
    yield _causal(outputs, outputs, time, cells, frames)
    if inputs != outputs:
        yield _Conv(inputs, outputs, 1, cells, frames)


def _middle(vae: VAEConfig, time: int, cells: int, frames: int) -> Iterator[_Conv]:
    width = vae.channels[-1]
    for _ in range(vae.middle_blocks):
        yield from _residual(width, width, time, cells, frames)
    if vae.middle_attention:
        yield _Conv(width, width, 4, cells, frames)  # query, key, value, output
        yield _Conv(width, 2, cells, cells, frames)  # scores and mixture: two products of cells x cells


def _encoder(vae: VAEConfig, height: int, width: int, frames: int, piece: int = 2) -> Iterator[_Conv]:
    cells, before = height * width, vae.channels[0]
    yield _causal(3, before, of_stage(vae.encoder_time, 0), cells, frames)
    for stage, channels in enumerate(vae.channels):
        time = of_stage(vae.encoder_time, stage)
        for _ in range(of_stage(vae.encoder_blocks, stage)):
            yield from _residual(before, channels, time, cells, frames)
            before = channels
        if stage < len(vae.strides):
            step = vae.strides[stage][0]
            frames = 1 + (frames - 1) // step
            kernel = 27 if step == 2 else 9
            # After an odd number of frames one more waits for the next step.
            keeps = 0 if step == 1 else 1 + piece % 2
            yield _Conv(before, channels, kernel, cells // 4, frames, keeps, input_cells=cells)
            cells, before, piece = cells // 4, channels, max(1, piece // step)
    time = of_stage(vae.encoder_time, -1)
    yield from _middle(vae, time, cells, frames)
    yield _causal(before, 2 * vae.latent_channels, time, cells, frames)


def _decoder(vae: VAEConfig, height: int, width: int, frames: int) -> Iterator[_Conv]:
    cells = height * width // vae.space_factor**2
    frames = 1 + (frames - 1) // vae.time_factor
    before, time = vae.channels[-1], of_stage(vae.decoder_time, -1)
    yield _causal(vae.latent_channels, before, time, cells, frames)
    yield from _middle(vae, time, cells, frames)
    for stage in reversed(range(len(vae.channels))):
        channels = vae.channels[stage]
        if vae.narrow_up:
            before = channels
        for _ in range(of_stage(vae.decoder_blocks, stage)):
            yield from _residual(before, channels, of_stage(vae.decoder_time, stage), cells, frames)
            before = channels
        if stage:
            step = vae.strides[stage - 1][0]
            after = vae.channels[stage - 1] if vae.narrow_up else channels
            yield _Conv(before, 4 * step * after, 1, cells, frames)
            cells, frames, before = 4 * cells, 1 + (frames - 1) * step, after
            yield _causal(after, after, of_stage(vae.decoder_time, stage - 1), cells, frames)
    yield _causal(before, 3, of_stage(vae.decoder_time, 0), cells, frames)


def _residual_peak(inputs: int, outputs: int, time: int, frames: int, on_device: bool) -> int:
    """Channels x frames alive at the worst moment of a residual block, its input included."""
    behind = time - 1
    # While a convolution's input is put together, two frames at a time are in the norm's hands; then the kept
    # frames are copied, where they stay on the device; then comes the output.
    first = frames + (frames + behind)
    kept = behind if on_device else 0
    norm = min(2, frames) if time == 3 else 2 * frames
    return max(
        inputs * (first + norm),
        inputs * (first + kept),
        inputs * first + outputs * frames,
        inputs * frames + outputs * (frames + frames + behind + norm),
        inputs * frames + outputs * (frames + behind + max(frames, kept)),
        (inputs + (2 if inputs != outputs else 1) * outputs) * frames,
    )


def _encoder_peak(vae: VAEConfig, cells: int, piece: int, on_device: bool) -> int:
    """Numbers alive at the worst moment of an encoder's piece."""
    before, peak = vae.channels[0], 0
    for stage, channels in enumerate(vae.channels):
        arrived = before * piece
        for block in range(of_stage(vae.encoder_blocks, stage)):
            own = _residual_peak(before, channels, of_stage(vae.encoder_time, stage), piece, on_device)
            peak = max(peak, cells * (own + (arrived if block else 0)))
            before = channels
        if stage < len(vae.strides):
            step = vae.strides[stage][0]
            joined = piece + (1 if step == 2 else 0)
            # The joined input, and its copy with one more row and column.
            peak = max(peak, cells * (arrived + channels * (piece + joined * (2 if step == 2 else 1))))
            piece, cells, before = max(1, piece // step), cells // 4, channels
    return peak


def _decoder_peak(vae: VAEConfig, cells: int, piece: int, latents: int, on_device: bool) -> int:
    """Numbers alive at the worst moment of a decoder's piece: every level waits for the levels after it."""
    before, peak, arrived, waiting = vae.channels[-1], 0, latents, 0
    for stage in reversed(range(len(vae.channels))):
        channels, time = vae.channels[stage], of_stage(vae.decoder_time, stage)
        before = channels if vae.narrow_up else before
        waiting += cells * before * arrived
        frames = min(piece, arrived)
        blocks = of_stage(vae.decoder_blocks, stage)
        for block in range(blocks):
            own = _residual_peak(before, channels, time, frames, on_device)
            # The first block's input is the level's own.
            peak = max(peak, waiting + cells * (own - (0 if block else before * frames)))
            before = channels
        if stage:
            step = vae.strides[stage - 1][0]
            after = vae.channels[stage - 1] if vae.narrow_up else channels
            behind = of_stage(vae.decoder_time, stage - 1) - 1
            here, cells = cells * (before * frames if blocks else 0), 4 * cells
            arrived = frames * step
            shuffled = 2 * step if behind else 2 * arrived
            rest = max(arrived, shuffled, behind if on_device else 0)
            peak = max(peak, waiting + here + cells * after * (arrived + behind + rest))
            before = after
    return max(peak, waiting + cells * before * (frames + frames + frames + 2))


def _middle_peak(vae: VAEConfig, cells: int, latents: int) -> int:
    """Bytes of the middle attention's scores and its float32 inputs."""
    if not vae.middle_attention:
        return 0
    scores = min(MIDDLE_SCORES, cells * cells)
    return FLOAT32_BYTES * (2 * scores + 6 * latents * cells * vae.channels[-1])


def encode_cost(
    vae: VAEConfig,
    height: int,
    width: int,
    frames: int,
    *,
    element_bytes: int = 2,
    piece_frames: int = 2,
    cache_place: Place = "device",
    batch: int = 1,
) -> Cost:
    """The autoencoder's encode stream over 1 + time_factor k frames that come a latent's frames at a time."""
    layers = list(_encoder(vae, height, width, frames, piece_frames))
    fed = max(vae.time_factor, piece_frames)
    on_device = cache_place == "device"
    cells = height * width
    peak = _encoder_peak(vae, cells, piece_frames, on_device) + 3 * cells * 3 * fed
    middle = _middle_peak(vae, cells // vae.space_factor**2, 1)
    return _stream_cost(layers, peak, middle, element_bytes, on_device, batch)


def decode_cost(
    vae: VAEConfig,
    height: int,
    width: int,
    frames: int,
    *,
    element_bytes: int = 2,
    piece_frames: int = 2,
    cache_place: Place = "device",
    batch: int = 1,
) -> Cost:
    """The autoencoder's decode stream to 1 + time_factor k frames; a piece's latents come at a time."""
    layers = list(_decoder(vae, height, width, frames))
    latents = max(1, piece_frames // vae.time_factor)
    on_device = cache_place == "device"
    cells = height * width // vae.space_factor**2
    peak = _decoder_peak(vae, cells, piece_frames, latents, on_device)
    peak += 3 * height * width * 2 * latents * vae.time_factor
    return _stream_cost(layers, peak, _middle_peak(vae, cells, latents), element_bytes, on_device, batch)


def _stream_cost(
    layers: list[_Conv], peak: int, middle: int, element_bytes: int, on_device: bool, batch: int
) -> Cost:
    caches = [layer.kept * element_bytes * batch for layer in layers]
    live = max(peak * element_bytes, middle) * batch
    return Cost(
        flops=sum(layer.flops for layer in layers) * batch,
        device_bytes=int(MARGIN * (live + (sum(caches) if on_device else 0))),
        host_bytes=0 if on_device else int(MARGIN * (sum(caches) + max(caches))),
    )


# --- the transformer


def dit_cost(
    dit: DiTConfig,
    latent: tuple[int, int, int],
    *,
    text_tokens: int = 58,
    element_bytes: int = 2,
    group_tokens: int = 12288,
    token_place: Place = "device",
) -> Cost:
    """One pass of the transformer over a latent (T, H, W)."""
    grid = (latent[0], latent[1] // dit.patch[0], latent[2] // dit.patch[1])
    tokens = math.prod(grid)
    regular, shifted = (_window_shapes(dit, grid, by_half) for by_half in (False, True))
    even, odd = (dit.num_layers + 1) // 2, dit.num_layers // 2
    flops = _token_flops(dit, tokens, text_tokens)
    for windows, blocks in ((regular, even), (shifted, odd)):
        pairs = sum(count * (math.prod(shape) + text_tokens) ** 2 for shape, count in windows.items())
        flops += blocks * 4 * pairs * dit.heads * dit.head_dim
    cells = math.prod(latent) * element_bytes
    shapes = [(math.prod(shape), count) for part in (regular, shifted) for shape, count in part.items()]
    groups = [(min(max(1, group_tokens // size), count), size) for size, count in shapes]
    workspace = max(_group_peak(dit, number, size, text_tokens, element_bytes) for number, size in groups)
    # A frame's tokens are made at once, a group's are gathered; either passes through.
    passing = max(grid[1] * grid[2], max(number * size for number, size in groups)) * dit.vid_dim
    rotations = sum(FLOAT32_BYTES * size * _turned(dit) for size, _ in shapes)
    text = element_bytes * (text_tokens * (dit.txt_in_dim + 9 * dit.vid_dim) + 60 * dit.vid_dim)
    kept = tokens * (dit.vid_dim * element_bytes + 2 * POSITION_BYTES)
    # At the end the output is there twice, as its frames and as one.
    output = 2 * cells * dit.latent_channels
    device = max(workspace, passing * element_bytes + output) + cells * dit.video_in_channels
    device += rotations + text
    if token_place == "device":
        return Cost(flops, int(MARGIN * (device + kept)), 0)
    return Cost(flops, int(MARGIN * device), int(MARGIN * (kept + passing * element_bytes)))


def _window_shapes(dit: DiTConfig, grid: Grid, shifted: bool) -> Counter[Grid]:
    """Shape of a window in tokens -> how many windows have it."""
    size = window_size(grid, dit.window_grid, dit.window_frames, dit.window_plane)
    return count_shapes(grid, size, shifted)


def _turned(dit: DiTConfig) -> int:
    """Dimensions of a head that turn with the position."""
    return 3 * (dit.rotary.axis_dim // 2 * 2)


def _token_flops(dit: DiTConfig, tokens: int, text: int) -> int:
    """Everything but attention's own products: proportional to the number of tokens."""
    inner = dit.heads * dit.head_dim
    per_token = 2 * dit.vid_dim * (4 * inner + (3 if dit.mlp == "swiglu" else 2) * dit.mlp_hidden)
    text_blocks = dit.num_layers if dit.last_text else dit.num_layers - 1
    patch = math.prod(dit.patch)
    ends = 2 * dit.vid_dim * patch * (dit.video_in_channels + dit.latent_channels)
    return (
        tokens * (dit.num_layers * per_token + ends)
        + text * (text_blocks * per_token + (dit.num_layers - text_blocks) * 6 * dit.vid_dim * inner)
        + text * 2 * dit.txt_in_dim * dit.txt_dim
        + 2 * dit.vid_dim * (256 + dit.vid_dim + dit.emb_dim)
    )


def _group_peak(dit: DiTConfig, windows: int, size: int, text: int, element_bytes: int) -> int:
    """Bytes of a group's workspace at its worst moment."""
    video, both = windows * size, windows * (size + text)
    inner = dit.heads * dit.head_dim * element_bytes
    width = dit.vid_dim * element_bytes
    turned = _turned(dit) * dit.heads
    # The key is being turned, in float32 (in and out), while the query waits, joined with the text.
    turning = video * (2 * width + 3 * inner + 2 * inner + 2 * turned * FLOAT32_BYTES)
    turning += video * turned * element_bytes + both * inner
    # The output of attention, beside its inputs.
    mixing = video * (2 * width + 3 * inner) + both * (4 * inner + FLOAT32_BYTES * dit.heads)
    # The key's norm works in float32, three times over, while the query waits.
    norming = video * (2 * width + 3 * inner + 3 * dit.heads * dit.head_dim * FLOAT32_BYTES) + both * inner
    hidden = (3 if dit.mlp == "swiglu" else 2) * dit.mlp_hidden * element_bytes
    part = min(video, MLP_TOKENS)
    return max(turning, mixing, norming, video * width + part * (hidden + 3 * width)) + 8 * video


# --- weights


def vae_weights(vae: VAEConfig) -> int:
    """Parameters of the autoencoder, norms left out: one in a thousand."""
    layers = (*_encoder(vae, 64, 64, 1), *_decoder(vae, 64, 64, 1))
    linear = (layer for layer in layers if layer.outputs != 2)
    return sum(layer.inputs * layer.outputs * layer.kernel + 4 * layer.outputs for layer in linear)


def block_weights(dit: DiTConfig, index: int = 0) -> int:
    """Parameters of one block of the transformer."""
    inner = dit.heads * dit.head_dim
    own = dit.vid_dim * (4 * inner + (3 if dit.mlp == "swiglu" else 2) * dit.mlp_hidden + 12) + dit.mlp_hidden
    return own * (2 if index < dit.mm_layers else 1)


def dit_weights(dit: DiTConfig) -> int:
    """Parameters of the transformer."""
    return sum(block_weights(dit, index) for index in range(dit.num_layers)) + end_weights(dit)


def end_weights(dit: DiTConfig) -> int:
    """Parameters of the transformer outside its blocks."""
    ends = math.prod(dit.patch) * (dit.video_in_channels + dit.latent_channels)
    return dit.vid_dim * (ends + dit.txt_in_dim + 256 + dit.vid_dim + dit.emb_dim + 8) + dit.emb_dim
