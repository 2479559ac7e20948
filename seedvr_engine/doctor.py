"""Looks at a machine and says, in sentences, what helps and what is missing."""

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from seedvr_engine import __version__
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
    import torch

    yield Finding(True, f"PyTorch {torch.__version__}")
    if not torch.cuda.is_available():
        built = "without CUDA" if torch.version.cuda is None else f"for CUDA {torch.version.cuda}"
        yield Finding(
            True,
            f"No GPU that PyTorch (built {built}) can use: the preview model runs on the CPU, "
            "SeedVR2 would take hours.",
        )
        return
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Finding(free > 0.5 * total, f"{name}: {free / 1e9:.1f} of {total / 1e9:.1f} GB free.")


def _memory() -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    yield Finding(
        memory.available > 4e9,
        f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB host memory free, "
        f"{psutil.cpu_count()} cores.",
    )
    folder = get_settings().ckpts
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    yield Finding(
        free > 20e9, f"{free / 1e9:.0f} GB disk free for checkpoints; the 3B takes 7 GB, the 7B 17 GB."
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
