"""Damages clean clips the way film, phones and the web do: blur, downscaling, noise, real H.264."""

import io
import math
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np

from seedvr_engine.preview.config import SCALE

FRAME_RATE = Fraction(25)


@dataclass(frozen=True)
class Damage:
    """How a clip suffers, in this order.

    blur: standard deviation of a Gaussian, in pixels of the clean clip.
    noise: standard deviation of Gaussian noise on the downscaled clip, in steps of 1/255.
    crf: constant rate factor of libx264, 0 (nearly lossless) to 51.
    preset: libx264's preset.
    """

    blur: float
    noise: float
    crf: int
    preset: str = "medium"


KINDS: dict[str, Damage] = {
    "old film": Damage(blur=1.2, noise=15, crf=20),
    "soft": Damage(blur=1.5, noise=2, crf=18),
    "phone": Damage(blur=1.0, noise=4, crf=26),
    "heavy": Damage(blur=1.0, noise=4, crf=32),
}


def draw_damage(rng: np.random.Generator) -> Damage:
    """A damage at random: three in five lie near one of the four kinds, the others in a wider range."""
    if rng.random() < 0.6:
        kind = list(KINDS.values())[rng.integers(len(KINDS))]
        return Damage(
            blur=kind.blur * rng.uniform(0.85, 1.15),
            noise=kind.noise * rng.uniform(0.75, 1.3),
            crf=int(np.clip(kind.crf + rng.integers(-2, 3), 0, 51)),
        )
    return Damage(
        blur=rng.uniform(0.2, 1.8),
        noise=math.exp(rng.uniform(math.log(0.5), math.log(20))),
        crf=int(rng.integers(14, 37)),
        preset=str(rng.choice(["veryfast", "medium"])),
    )


def damage(clip: np.ndarray, how: Damage, rng: np.random.Generator) -> np.ndarray:
    """Blurs, halves, adds noise, encodes and decodes.

    clip: (F, H, W, 3) uint8 RGB, H and W multiples of 4. Returns (F, H / 2, W / 2, 3) uint8.
    Raises ValueError for other sizes (4:2:0 needs even sides after halving).
    """
    _, height, width, _ = clip.shape
    if height % (2 * SCALE) or width % (2 * SCALE):
        raise ValueError(f"both sides must be multiples of {2 * SCALE}, got {width}x{height}")
    small = np.stack([halve(blur(frame.astype(np.float32), how.blur)) for frame in clip])
    noisy = small + how.noise * rng.standard_normal(small.shape, dtype=np.float32)
    return through_h264(np.rint(noisy.clip(0, 255)).astype(np.uint8), how.crf, how.preset)


def blur(frame: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of a float32 frame (H, W, 3), sigma in pixels; edges reflected."""
    return cv2.GaussianBlur(frame, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) if sigma > 0 else frame


def halve(frame: np.ndarray) -> np.ndarray:
    """The mean of every 2x2 pixels, as a sensor of half the resolution sees it; (H, W, 3) float32."""
    return cv2.resize(frame, (frame.shape[1] // SCALE, frame.shape[0] // SCALE), interpolation=cv2.INTER_AREA)


def through_h264(clip: np.ndarray, crf: int, preset: str = "medium") -> np.ndarray:
    """What a viewer sees after libx264 at 4:2:0; (F, H, W, 3) uint8, even sides, same shape back."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": preset, "threads": "1"}
        stream = container.add_stream("libx264", rate=FRAME_RATE, options=options)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for pixels in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        container.streams.video[0].codec_context.thread_count = 1
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
