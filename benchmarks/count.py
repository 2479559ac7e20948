"""Counts what every stage costs by running the real modules on shapes alone.

    python -m benchmarks.count --model 3b --size 1280x720 --frames 97

FLOPs and peak live bytes of the encode stream, one pass of the transformer and the decode stream, in
bfloat16. Nothing is computed: see `benchmarks.ledger`.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.ledger import DEVICE, HOST, Ledger
from seedvr_engine.models.config import DiTConfig, VAEConfig
from seedvr_engine.models.dit import GROUP_TOKENS, DiT
from seedvr_engine.models.vae import PIECE_FRAMES, VideoVAE

MODELS = {"3b": DiTConfig.seedvr2_3b, "7b": DiTConfig.seedvr2_7b}
TEXT_TOKENS = 58
GIB = 2**30


@dataclass(frozen=True)
class Count:
    """What one stage costs. Bytes are peaks of activations; weights stand apart."""

    stage: str
    flops: int
    device_bytes: int
    host_bytes: int
    weight_bytes: int


@contextmanager
def shapes_alone(on_host: bool) -> Iterator[None]:
    """Makes tensors without data, in bfloat16, without gradients. on_host: some of them in host memory."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        # Fake tensors tell two places apart; without a second place, plain meta tensors do.
        with FakeTensorMode() if on_host else nullcontext(), torch.device(DEVICE), torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def count_encode(
    config: VAEConfig,
    height: int,
    width: int,
    frames: int,
    *,
    piece: int = PIECE_FRAMES,
    on_host: bool = False,
) -> Count:
    """The encode stream over `frames` frames, a latent's at a time. on_host: where caches wait."""

    def work(vae: VideoVAE) -> None:
        step = config.time_factor
        pieces = (
            torch.empty(1, 3, 1 if i == 0 else step, height, width) for i in range(1 + (frames - 1) // step)
        )
        for _ in vae.encode_stream(pieces, frames=piece, cache_device=HOST if on_host else None):
            pass

    return _counted("encode", lambda: VideoVAE(config), work, on_host, lambda vae: vae.encoder)


def count_decode(
    config: VAEConfig,
    height: int,
    width: int,
    frames: int,
    *,
    piece: int = PIECE_FRAMES,
    on_host: bool = False,
) -> Count:
    """The decode stream to `frames` frames, fed one latent, or a piece's latents, at a time."""

    def work(vae: VideoVAE) -> None:
        latents, step = 1 + (frames - 1) // config.time_factor, max(1, piece // config.time_factor)
        shape = (height // config.space_factor, width // config.space_factor)
        pieces = (
            torch.empty(1, config.latent_channels, min(step, latents - i), *shape)
            for i in range(0, latents, step)
        )
        for _ in vae.decode_stream(pieces, frames=piece, cache_device=HOST if on_host else None):
            pass

    return _counted("decode", lambda: VideoVAE(config), work, on_host, lambda vae: vae.decoder)


def count_dit(
    config: DiTConfig,
    latent: tuple[int, int, int],
    *,
    group: int = GROUP_TOKENS,
    on_host: bool = False,
    text_tokens: int = TEXT_TOKENS,
) -> Count:
    """One pass of the transformer over a latent (T, H, W). on_host: where the token array lies."""

    def work(dit: DiT) -> None:
        video = torch.empty(*latent, config.video_in_channels)
        text = torch.empty(text_tokens, config.txt_in_dim)
        dit(video, text, 1000.0, group_tokens=group, token_device=HOST if on_host else None)

    return _counted("transformer", lambda: DiT(config), work, on_host, lambda dit: dit)


def _counted(
    stage: str,
    make: Callable[[], nn.Module],
    work: Callable[[nn.Module], None],
    on_host: bool,
    used: Callable[[nn.Module], nn.Module],
) -> Count:
    with shapes_alone(on_host):
        model = make()
        weights = list(model.parameters())
        with Ledger(weights) as ledger:
            work(model)
        return Count(
            stage,
            ledger.flops,
            ledger.peak[DEVICE],
            ledger.peak[HOST] if on_host else 0,
            sum(_bytes(weight) for weight in used(model).parameters()),
        )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def count(
    model: str, height: int, width: int, frames: int, piece: int, group: int, cache: str
) -> list[Count]:
    """All stages of a clip. frames: 1 + 4 k. cache: "device" or "host", of caches and token array."""
    vae, on_host = VAEConfig(), cache == "host"
    latent = (1 + (frames - 1) // vae.time_factor, height // vae.space_factor, width // vae.space_factor)
    return [
        count_encode(vae, height, width, frames, piece=piece, on_host=on_host),
        count_dit(MODELS[model](), latent, group=group, on_host=on_host),
        count_decode(vae, height, width, frames, piece=piece, on_host=on_host),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.count", description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="3b")
    parser.add_argument("--size", default="1280x720", help="of the output, multiples of 16")
    parser.add_argument("--frames", type=int, default=97, help="1 + 4 k")
    parser.add_argument("--piece", type=int, default=PIECE_FRAMES, help="frames through a VAE layer at once")
    parser.add_argument("--group", type=int, default=GROUP_TOKENS, help="tokens through a block together")
    parser.add_argument(
        "--cache", choices=("device", "host"), default="device", help="caches and token array"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    counts = count(args.model, height, width, args.frames, args.piece, args.group, args.cache)
    if args.json:
        print(json.dumps([asdict(stage) for stage in counts]))
        return
    print(f"SeedVR2 {args.model}, {args.size}, {args.frames} frames, bfloat16, kept on the {args.cache}")
    print(f"{'stage':12} {'TFLOP':>9} {'device GiB':>11} {'host GiB':>9} {'weights GiB':>12}")
    for c in counts:
        memory = (c.device_bytes / GIB, c.host_bytes / GIB, c.weight_bytes / GIB)
        print(f"{c.stage:12} {c.flops / 1e12:9.1f} {memory[0]:11.2f} {memory[1]:9.2f} {memory[2]:12.2f}")


if __name__ == "__main__":
    main()
