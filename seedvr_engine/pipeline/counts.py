"""Frames, latents and segments of a shot: which belong together."""

import math
from dataclasses import dataclass
from pathlib import Path

from seedvr_engine.pipeline.work import Work

SEGMENT_FRAMES = 64


def latents_of(frames: int, time_factor: int) -> int:
    """Latent frames of a shot; the last one may be filled up by repeating the last frame."""
    return 1 + math.ceil((frames - 1) / time_factor)


def frames_of(latents: int, time_factor: int) -> int:
    """Frames under the first latents of a shot."""
    return 1 + (latents - 1) * time_factor if latents else 0


@dataclass(frozen=True)
class Segment:
    """Frames of a shot that become one file; counted from the shot's first frame."""

    path: Path
    first: int
    stop: int
    first_latent: int


def segments_of(work: Work, index: int, time_factor: int) -> list[Segment]:
    """Cuts a shot into segments on the grid of its latents."""
    shot = work.shots[index]
    assert shot.frames is not None
    latents, each = latents_of(shot.frames, time_factor), max(1, SEGMENT_FRAMES // time_factor)
    found = []
    for latent in range(0, latents, each):
        first = frames_of(latent, time_factor)
        stop = min(frames_of(min(latent + each, latents), time_factor), shot.frames)
        found.append(Segment(work.segment(shot.first + first), first, stop, latent))
    return found
