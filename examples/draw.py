"""Draws old_film.mp4, the clip of the README: two shots of a summer, damaged as an old film is.

    python examples/draw.py [OUTPUT] [--clean CLEAN.mp4]

Everything in it is drawn here, so the clip belongs to the project. The scenes are painted at 1280x720 and
halved, which smooths every edge; CLEAN gets that picture, OUTPUT the damaged one of half its size.
Seeded: each run draws the same.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from film import SAMPLE_RATE, write_film
from lake import lake
from painting import HEIGHT, WIDTH, Picture
from PIL import Image, ImageFilter
from train import train

RATE = 24  # frames a second
FRAMES_PER_SHOT = 48


def scenes() -> Iterator[Picture]:
    """Every frame of the clip, RGB at half the canvas."""
    for shot in (lake, train):
        paint = shot()
        for number in range(FRAMES_PER_SHOT):
            yield (
                paint(number / RATE)
                .convert("RGB")
                .resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.LANCZOS)
            )


def age(frame: Picture, random: np.random.Generator) -> np.ndarray:
    """What decades do to a frame: half the size, soft, grainy, a little faded. Returns (H, W, 3) uint8."""
    soft = frame.filter(ImageFilter.GaussianBlur(1.4)).resize(
        (WIDTH // 4, HEIGHT // 4), Image.Resampling.BICUBIC
    )
    faded = np.asarray(soft, np.float32) * 0.92 + 14
    flicker = 1 + random.normal(0, 0.006)
    return (faded * flicker + random.normal(0, 10, faded.shape)).clip(0, 255).astype(np.uint8)


def melody(seconds: float) -> np.ndarray:
    """A small tune on a music box: mono samples (1, N) in [-1, 1]."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = np.zeros_like(time)
    for number, key in enumerate([0, 4, 7, 12, 11, 7, 4, 7, 5, 9, 12, 16, 14, 11, 7, 12]):
        since = time - number * seconds / 16
        ringing = np.where(since >= 0, np.exp(-3.2 * np.maximum(since, 0)), 0)
        pitch = 392.0 * 2 ** (key / 12)
        for overtone, strength in ((1, 1.0), (2, 0.35), (4, 0.12)):
            sound += strength * ringing * np.sin(2 * np.pi * pitch * overtone * since)
    fade = np.clip((seconds - time) / 0.3, 0, 1)
    return (0.16 * sound * fade)[None].astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the example clip.")
    parser.add_argument("output", nargs="?", type=Path, default=Path(__file__).with_name("old_film.mp4"))
    parser.add_argument(
        "--clean", type=Path, help="also write the clip before it was damaged, twice the size"
    )
    given = parser.parse_args()
    frames = list(scenes())
    random = np.random.default_rng(1987)
    tune = melody(2 * FRAMES_PER_SHOT / RATE)
    aged = (age(frame, random) for frame in frames)
    write_film(given.output, aged, (WIDTH // 4, HEIGHT // 4), RATE, 24, tune)
    if given.clean:
        clean = (np.asarray(frame) for frame in frames)
        write_film(given.clean, clean, (WIDTH // 2, HEIGHT // 2), RATE, 12, tune)


if __name__ == "__main__":
    main()
