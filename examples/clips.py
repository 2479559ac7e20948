"""Draws phone_clip.mp4 and soft_clip.mp4: clips with other troubles than an old film's.

    python examples/clips.py [FOLDER]

phone_clip: a shaking hand, the noise of a small sensor, and little room for the encoder. soft_clip: smooth
and a little blurred, with shimmering texture, as video generators make them. Both are painted at 1280x720 and
belong to the project; seeded, so that each run draws the same.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from film import SAMPLE_RATE, write_film
from lanterns import lanterns
from painting import Picture, cloud_noise
from PIL import Image, ImageFilter
from street import stroll

PHONE_RATE, PHONE_FRAMES, PHONE_SIZE = 30, 75, (480, 270)
SOFT_RATE, SOFT_FRAMES, SOFT_SIZE = 24, 60, (512, 288)


def frames_of(paint: Callable[[float], Picture], count: int, rate: int) -> Iterator[Picture]:
    """The frames of a shot, RGB at the size of the canvas."""
    for number in range(count):
        yield paint(number / rate).convert("RGB")


def by_phone(frame: Picture, random: np.random.Generator) -> np.ndarray:
    """A cheap sensor's view: small, too much contrast, noise that is stronger in colour. (H, W, 3) uint8."""
    small = frame.filter(ImageFilter.GaussianBlur(1.0)).resize(PHONE_SIZE, Image.Resampling.BILINEAR)
    light = np.asarray(small, np.float32)
    light = (light - 128) * 1.08 + 126
    height, width = light.shape[:2]
    grain = random.normal(0, 7, (height, width, 1))
    blotches = random.normal(0, 5, (height // 2, width // 2, 3)).repeat(2, 0).repeat(2, 1)
    return (light + grain + blotches[:height, :width]).clip(0, 255).astype(np.uint8)


def by_generator(frame: Picture, number: int) -> np.ndarray:
    """A generated look: details are smoothed away, and what texture there is shimmers. (H, W, 3) uint8."""
    small = frame.resize(SOFT_SIZE, Image.Resampling.LANCZOS)
    smooth = small.filter(ImageFilter.MedianFilter(3)).filter(ImageFilter.GaussianBlur(0.9))
    shimmer = cloud_noise(*SOFT_SIZE, 12, 300 + number // 2)[..., None] - 0.5
    return (np.asarray(smooth, np.float32) * (1 + 0.05 * shimmer)).clip(0, 255).astype(np.uint8)


def street_sound(seconds: float) -> np.ndarray:
    """Wind, steps and a bicycle's bell: mono samples (1, N) in [-1, 1]."""
    random = np.random.default_rng(8)
    count = int(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    noise = np.cumsum(random.normal(0, 1, count))
    wind = noise - np.convolve(noise, np.ones(2000) / 2000, "same")
    sound = 0.05 * wind / np.abs(wind).max() * (1 + 0.4 * np.sin(2.2 * time))
    for step in np.arange(0.2, seconds, 0.52):
        since = np.maximum(time - step, 0)
        sound += 0.05 * (time >= step) * np.exp(-60 * since) * random.normal(0, 1, count)
    for ring in (1.1, 1.35):
        since = np.maximum(time - ring, 0)
        for pitch, strength in ((2093, 1.0), (4410, 0.4), (6820, 0.2)):
            sound += 0.06 * strength * (time >= ring) * np.exp(-7 * since) * np.sin(2 * np.pi * pitch * since)
    return sound[None].astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the example clips of a phone and of a generator.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().folder
    random = np.random.default_rng(2024)
    phone = (by_phone(frame, random) for frame in frames_of(stroll(), PHONE_FRAMES, PHONE_RATE))
    sound = street_sound(PHONE_FRAMES / PHONE_RATE)
    write_film(folder / "phone_clip.mp4", phone, PHONE_SIZE, PHONE_RATE, 30, sound)
    shot = frames_of(lanterns(), SOFT_FRAMES, SOFT_RATE)
    soft = (by_generator(frame, number) for number, frame in enumerate(shot))
    write_film(folder / "soft_clip.mp4", soft, SOFT_SIZE, SOFT_RATE, 22)


if __name__ == "__main__":
    main()
