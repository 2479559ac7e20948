"""Runs restorations and looks at what comes out."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.plan import Plan
from tests.media.clips import ClipSpec, scene, write_clip

# Real architecture, small numbers; lossless, so that frames can be compared.
SMALL = Options(model="3b", size="64x48", container="mkv", codec="ffv1", seed=7)
PREVIEW = replace(SMALL, model="preview")
PLAN = Plan(
    group_tokens=4096,
    piece_frames=4,
    stretch_latents=None,
    overlap_latents=2,
    cache_place="device",
    token_place="device",
    weight_place="device",
    device_bytes=0,
    host_bytes=0,
)


def clip(path: Path, lengths: tuple[int, ...], size: tuple[int, int] = (24, 32), **spec) -> Path:
    """A clip of several shots, as many frames each; size: (height, width)."""
    frames = [frame for seed, length in enumerate(lengths) for frame in scene(seed, length, size, speed=0.5)]
    return write_clip(path, frames, ClipSpec(**spec))


def frames_of(path: Path) -> NDArray[np.int16]:
    """All frames (F, H, W, 3)."""
    return np.stack([frame.rgb for frame in read_frames(probe(path))]).astype(np.int16)


def times_of(path: Path) -> list[Fraction]:
    return [frame.time for frame in read_frames(probe(path))]
