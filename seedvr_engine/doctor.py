"""Looks at a machine and says, in sentences, what helps and what is missing."""

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seedvr_engine import __version__
from seedvr_engine.pipeline.machine import (
    cpu,
    driver_version,
    free_bytes,
    gpus,
    host_bytes,
    host_free_bytes,
    torch_build,
    torch_has_cuda,
)
from seedvr_engine.settings import get_settings


@dataclass(frozen=True)
class Finding:
    """good: nothing to do. text: what was found, what it means, what to do."""

    good: bool
    text: str


def findings() -> Iterator[Finding]:
    """Everything worth knowing about this machine, one sentence or two each."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (_software, _gpu, _memory, _codecs, _checkpoints)
    for check in checks:
        yield from check()


def _software() -> Iterator[Finding]:
    yield Finding(
        True, f"seedvr-engine {__version__}, Python {platform.python_version()}, {platform.platform()}"
    )
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    if not supported:
        yield Finding(False, "This Python is not one of 3.11 to 3.13. Run ./setup_environment.sh.")


def _gpu() -> Iterator[Finding]:
    build = torch_build()
    if not build:
        yield Finding(False, "PyTorch is missing. Run ./setup_environment.sh.")
        return
    yield Finding(True, f"PyTorch {build['__version__']}")
    cards, driver = gpus(), driver_version()
    for card in cards:
        free = free_bytes(card)
        amount = f"{free / 1e9:.1f} of {card.total_bytes / 1e9:.1f} GB free"
        way = "bfloat16" if card.has_bf16 else "float16, as it has no fast bfloat16"
        yield Finding(free > 0.5 * card.total_bytes, f"{card.label}: {amount}, driver {driver}, {way}.")
    if cards:
        return
    if driver is not None and not torch_has_cuda():
        yield Finding(
            False,
            f"There is a GPU (driver {driver}), but this PyTorch was built without CUDA. "
            "Run ./setup_environment.sh for the one that fits.",
        )
        return
    built = f"for CUDA {build['cuda']}" if torch_has_cuda() else "without CUDA"
    yield Finding(
        True,
        f"No GPU that PyTorch (built {built}) can use: the preview model runs on the CPU, "
        "SeedVR2 would take hours.",
    )


def _memory() -> Iterator[Finding]:
    free, total, processor = host_free_bytes(), host_bytes(), cpu()
    yield Finding(
        free > 4e9,
        f"{free / 1e9:.1f} of {total / 1e9:.1f} GB host memory free, "
        f"{processor.label}, {processor.cores} cores.",
    )
    folder = get_settings().ckpts
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    disk = shutil.disk_usage(existing).free
    yield Finding(
        disk > 20e9, f"{disk / 1e9:.0f} GB disk free for checkpoints; the 3B takes 7 GB, the 7B 17 GB."
    )


def _codecs() -> Iterator[Finding]:
    import av

    wanted = ("libx264", "libx265", "libsvtav1", "prores_ks", "ffv1")
    missing = [name for name in wanted if name not in av.codecs_available]
    text = f"PyAV {av.__version__} with all encoders." if not missing else f"PyAV lacks {', '.join(missing)}."
    yield Finding(not missing, text)


def _checkpoints() -> Iterator[Finding]:
    from seedvr_engine.checkpoints.find import available_models, find_checkpoints

    root = get_settings().ckpts
    found = find_checkpoints(root)
    present = available_models(found)
    if present:
        yield Finding(True, f"Models in {root}: {', '.join(present)}.")
    else:
        yield Finding(True, f"No SeedVR2 checkpoint in {root}: `seedvr download 3b` brings the smallest.")
    for item in found:
        if item.problem:
            yield Finding(False, item.problem)
