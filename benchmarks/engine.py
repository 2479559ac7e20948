"""Times every stage with random weights on the device that is there.

    python -m benchmarks.engine --model mini --size 64x64 --frames 5

FLOPs are the closed forms of `seedvr_engine.pipeline.cost`; FLOP/s are what the stage achieved.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from seedvr_engine.models.config import DiTConfig, VAEConfig
from seedvr_engine.models.dit import DiT
from seedvr_engine.models.vae import PIECE_FRAMES, VideoVAE
from seedvr_engine.pipeline.cost import decode_cost, dit_cost, encode_cost
from seedvr_engine.preview import config as preview

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TEXT_TOKENS = 58


@dataclass(frozen=True)
class Timing:
    """One stage: its best time of several, after one run that does not count."""

    stage: str
    seconds: float
    flops: int


def models(name: str) -> tuple[DiTConfig, VAEConfig]:
    """3b and 7b as released; mini: the 3B with 4 narrow blocks, a narrow VAE; preview: the built-in one."""
    if name == "preview":
        return preview.dit_config(), preview.vae_config()
    if name == "mini":
        small = replace(
            DiTConfig.seedvr2_3b(), vid_dim=256, txt_dim=256, emb_dim=1536, heads=2, num_layers=4, mm_layers=2
        )
        return small, VAEConfig(channels=(32, 64, 64, 96))
    return {"3b": DiTConfig.seedvr2_3b, "7b": DiTConfig.seedvr2_7b}[name](), VAEConfig()


def default_device() -> torch.device:
    """The accelerator, if there is one."""
    found = torch.accelerator.current_accelerator()
    return found if found is not None and torch.accelerator.is_available() else torch.device("cpu")


@torch.inference_mode()
def run(
    name: str, height: int, width: int, frames: int, device: torch.device, dtype: torch.dtype, repeats: int
) -> list[Timing]:
    """Times encode stream, transformer and decode stream over a random clip of 1 + time_factor k frames."""
    torch.manual_seed(0)
    dit, vae = models(name)
    latent = (1 + (frames - 1) // vae.time_factor, height // vae.space_factor, width // vae.space_factor)
    with torch.device(device):
        encode, decode = _time_autoencoder(vae, latent, dtype, repeats)
        restore = _time_transformer(dit, latent, dtype, repeats)
    size = (vae, height, width, frames)
    return [
        Timing("encode", encode, encode_cost(*size, piece_frames=PIECE_FRAMES).flops),
        Timing("transformer", restore, dit_cost(dit, latent, text_tokens=TEXT_TOKENS).flops),
        Timing("decode", decode, decode_cost(*size, piece_frames=PIECE_FRAMES).flops),
    ]


def _time_autoencoder(
    config: VAEConfig, latent: tuple[int, int, int], dtype: torch.dtype, repeats: int
) -> tuple[float, float]:
    """Seconds of the encode and the decode stream to and from a latent (T, H, W)."""
    vae = VideoVAE(config).to(dtype).eval()
    latents, space = latent[0], config.space_factor
    steps = [1] + [config.time_factor] * (latents - 1)
    video = torch.rand(1, 3, sum(steps), latent[1] * space, latent[2] * space, dtype=dtype) * 2 - 1
    code = torch.randn(1, config.latent_channels, *latent, dtype=dtype)
    return (
        _best(lambda: list(vae.encode_stream(video.split(steps, dim=2))), repeats),
        _best(lambda: list(vae.decode_stream(code.split(1, dim=2))), repeats),
    )


def _time_transformer(
    config: DiTConfig, latent: tuple[int, int, int], dtype: torch.dtype, repeats: int
) -> float:
    """Seconds of one pass over a latent (T, H, W)."""
    dit = DiT(config).to(dtype).eval()
    video = torch.randn(*latent, config.video_in_channels, dtype=dtype)
    text = torch.randn(TEXT_TOKENS, config.txt_in_dim, dtype=dtype)
    return _best(lambda: dit(video, text, 1000.0), repeats)


def _best(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        work()
        if torch.get_default_device().type != "cpu":
            torch.accelerator.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--model", choices=("mini", "preview", "3b", "7b"), default="mini")
    parser.add_argument("--size", default="64x64", help="of the output, multiples of 16")
    parser.add_argument("--frames", type=int, default=5, help="1 + 4 k")
    parser.add_argument("--device", type=torch.device, default=default_device())
    parser.add_argument("--precision", choices=DTYPES, help="fp32 on a CPU, else bf16")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    # Many CPUs have no bfloat16 instructions and are a hundred times slower with it.
    precision = args.precision or ("fp32" if args.device.type == "cpu" else "bf16")
    timings = run(args.model, height, width, args.frames, args.device, DTYPES[precision], args.repeats)
    print(f"{args.model}, {args.size}, {args.frames} frames, {precision}, {args.device}")
    print(f"{'stage':12} {'seconds':>9} {'frames/s':>9} {'TFLOP':>9} {'GFLOP/s':>9}")
    for timing in timings:
        speed = timing.flops / timing.seconds / 1e9
        print(
            f"{timing.stage:12} {timing.seconds:9.3f} {args.frames / timing.seconds:9.2f}"
            f" {timing.flops / 1e12:9.3f} {speed:9.1f}"
        )


if __name__ == "__main__":
    main()
