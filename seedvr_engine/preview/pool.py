"""A stock of damaged clips on disk, drawn before the training so that it never waits for a codec."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from seedvr_engine.preview.config import SCALE
from seedvr_engine.preview.damage import damage, draw_damage
from seedvr_engine.preview.draw import draw_clip

CLIP_FRAMES = 7
CLIP_SIZE = 192
SHARD_CLIPS = 50


@dataclass(frozen=True)
class Pool:
    """clean: (N, F, H, W, 3) uint8; damaged: (N, F, H / 2, W / 2, 3) uint8."""

    clean: np.ndarray
    damaged: np.ndarray

    def crop(
        self, rng: np.random.Generator, count: int, frames: int, size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Random pieces of random clips, turned and mirrored alike.

        size: of the clean piece in pixels, a multiple of 8.
        Returns uint8, clean (count, frames, size, size, 3), damaged (count, frames, size / 2, size / 2, 3).
        """
        pairs = [self._crop_one(rng, frames, size // SCALE) for _ in range(count)]
        return np.stack([clean for clean, _ in pairs]), np.stack([damaged for _, damaged in pairs])

    def _crop_one(self, rng: np.random.Generator, frames: int, small: int) -> tuple[np.ndarray, np.ndarray]:
        index, start = rng.integers(len(self.clean)), rng.integers(self.clean.shape[1] - frames + 1)
        y, x = rng.integers(self.damaged.shape[2] - small + 1, size=2)
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        pieces = []
        for clip, scale in ((self.clean, SCALE), (self.damaged, 1)):
            rows, columns = slice(scale * y, scale * (y + small)), slice(scale * x, scale * (x + small))
            piece = np.rot90(clip[index, start : start + frames, rows, columns], turns, axes=(1, 2))
            pieces.append(piece[:, :, ::-1] if mirrored else piece)
        return pieces[0], pieces[1]


def load_pool(
    folder: Path, clips: int, seed: int, processes: int = 2, shard_clips: int = SHARD_CLIPS
) -> Pool:
    """Reads the pool of `clips` clips, drawing what is missing of it.

    folder: where shards lie; a shard depends on seed and index alone, and has its name when whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}_{index:03}.npz" for index in range(-(-clips // shard_clips))]
    missing = [
        (path, seed, range(index * shard_clips, (index + 1) * shard_clips))
        for index, path in enumerate(paths)
        if not path.exists()
    ]
    if missing:
        # Spawned, as libraries with threads of their own do not survive a fork.
        with ProcessPoolExecutor(processes, get_context("spawn")) as executor:
            list(executor.map(_draw_shard, missing))
    shards = [np.load(path) for path in paths]
    clean = np.concatenate([shard["clean"] for shard in shards])
    return Pool(clean[:clips], np.concatenate([shard["damaged"] for shard in shards])[:clips])


def draw_pair(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Clean and damaged clip number `index` of a seed's pool."""
    rng = np.random.default_rng((seed, index))
    clean = draw_clip(rng, CLIP_FRAMES, CLIP_SIZE)
    return clean, damage(clean, draw_damage(rng), rng)


def _draw_shard(job: tuple[Path, int, range]) -> None:
    path, seed, numbers = job
    cv2.setNumThreads(1)
    pairs = [draw_pair(seed, number) for number in numbers]
    clean, damaged = (np.stack(clips) for clips in zip(*pairs, strict=True))
    partial = path.with_suffix(".part.npz")
    np.savez(partial, clean=clean, damaged=damaged)
    partial.rename(path)
