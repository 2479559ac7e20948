"""Draws training clips: scenes that look like photographs, made of moving layers.

A scene is a background and up to three cut-outs in front of it. Each layer is a still canvas, drawn at twice
the clip's resolution and moved by its own slow camera: edges are antialiased, motion is finer than a pixel.
Canvases are dead leaves (arXiv math/0312035), strokes like fur and grass, clouds of 1/f noise, gradients with
shapes and text, and crops of the freely licensed photographs that come with scikit-image, but for those the
model is judged on.
"""

from functools import cache

import cv2
import numpy as np
from skimage import data

SUPERSAMPLING = 2
MARGIN = 28
"""Pixels of the clip that a canvas is wider on every side, so that no camera leaves it."""

PHOTOGRAPHS = (
    "camera",
    "brick",
    "grass",
    "gravel",
    "coins",
    "moon",
    "hubble_deep_field",
    "motorcycle",
    "immunohistochemistry",
)
WORDS = (
    "SeedVR",
    "film",
    "1968",
    "Hotel",
    "reel",
    "Exit",
    "Kino",
    "a quick fox",
    "42",
    "OPEN",
    "lorem",
    "Wien",
    "%&@",
)


def draw_clip(rng: np.random.Generator, frames: int, size: int) -> np.ndarray:
    """One clip (frames, size, size, 3) uint8 RGB; the same generator state draws the same clip."""
    canvas_size = SUPERSAMPLING * (size + 2 * MARGIN)
    lens = rng.uniform(0.5, 1.3)
    pan = rng.normal(0, 1.0, 2) if rng.random() < 0.8 else np.zeros(2)
    layers = [(draw_canvas(rng, canvas_size), np.ones((canvas_size, canvas_size), np.float32), pan)]
    for _ in range(rng.choice([0, 1, 2, 3], p=[0.5, 0.25, 0.15, 0.1])):
        layers.append(
            (draw_canvas(rng, canvas_size), draw_mask(rng, canvas_size), pan + rng.normal(0, 1.0, 2))
        )
    moving = [
        (cv2.GaussianBlur(canvas, (0, 0), lens), mask, draw_camera(rng, velocity, frames, size))
        for canvas, mask, velocity in layers
    ]
    clip = np.stack([_compose(moving, frame, size) for frame in range(frames)])
    return np.rint((255 * _develop(rng, clip)).clip(0, 255)).astype(np.uint8)


def draw_camera(rng: np.random.Generator, velocity: np.ndarray, frames: int, size: int) -> np.ndarray:
    """Maps clip pixels to canvas pixels, one affine matrix per frame: (frames, 2, 3).

    velocity: (x, y), clip pixels per frame, cut to what the canvas's margin allows.
    """
    limit = 0.8 * MARGIN / frames
    velocity = np.clip(velocity, -limit, limit)
    turn, zoom = (rng.normal(0, 0.002, 2)) if rng.random() < 0.3 else (0.0, 0.0)
    shake = rng.normal(0, 0.3, (frames, 2)) if rng.random() < 0.2 else np.zeros((frames, 2))
    matrices = []
    for frame in range(frames):
        angle, scale = turn * frame, SUPERSAMPLING * (1 + zoom * frame)
        linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.full(2, size / 2)
        offset = (
            SUPERSAMPLING * (centre + MARGIN + velocity * (frame - frames / 2) + shake[frame])
            - linear @ centre
        )
        matrices.append(np.column_stack((linear, offset)))
    return np.stack(matrices)


def draw_canvas(rng: np.random.Generator, size: int) -> np.ndarray:
    """A still picture (size, size, 3) float32 in [0, 1]."""
    makers = (draw_photograph, draw_leaves, draw_strokes, draw_cloud, draw_print)
    canvas = makers[rng.choice(5, p=[0.3, 0.25, 0.3, 0.05, 0.1])](rng, size)
    return canvas.clip(0, 1).astype(np.float32)


def draw_mask(rng: np.random.Generator, size: int) -> np.ndarray:
    """The outline of a thing in front: (size, size) float32, 1 inside."""
    mask = np.zeros((size, size), np.float32)
    points = _blob(rng, rng.uniform(0.3, 0.7, 2) * size, rng.uniform(0.08, 0.3) * size)
    cv2.fillPoly(mask, [points], 1.0)
    return cv2.GaussianBlur(mask, (0, 0), rng.choice([0.6, 1.0, 3.0], p=[0.6, 0.3, 0.1]))


def draw_photograph(rng: np.random.Generator, size: int) -> np.ndarray:
    """A turned, scaled and recoloured crop of a photograph."""
    photo = _photograph(PHOTOGRAPHS[rng.choice(len(PHOTOGRAPHS), p=_photograph_weights())])
    wanted = int(size / rng.uniform(0.9, 2.1))
    height, width = photo.shape[:2]
    side = min(wanted, height, width)
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    crop = np.rot90(photo[y : y + side, x : x + side], int(rng.integers(4)))
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    if rng.random() < 0.25:
        crop = crop[..., rng.permutation(3)]
    return cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=cv2.INTER_CUBIC)


def draw_leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Dead leaves: things of all sizes that hide one another, shaded and textured, over a calm ground."""
    canvas = draw_gradient(rng, size)
    palette = draw_palette(rng, 12)
    smallest, largest = size * rng.uniform(0.008, 0.03), size * rng.uniform(0.1, 0.45)
    count = int(rng.choice([15, 50, 150, 400]))
    power = rng.uniform(1.5, 2.5)
    low, high = smallest**-power, largest**-power
    radii = np.sort((low + rng.random(count) * (high - low)) ** (-1 / power))[::-1]
    if rng.random() < 0.5:
        rng.shuffle(radii)
    textured = rng.uniform(0, 0.9)
    for radius in radii:
        _draw_leaf(rng, canvas, radius, palette[rng.integers(len(palette))], textured)
    return canvas


def _draw_leaf(
    rng: np.random.Generator, canvas: np.ndarray, radius: float, colour: np.ndarray, textured: float
) -> None:
    size = len(canvas)
    points = _blob(rng, rng.uniform(0, size, 2), radius)
    x0, y0 = np.maximum(points.min(0) - 2, 0)
    x1, y1 = np.minimum(points.max(0) + 3, size)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    mask = np.zeros((y1 - y0, x1 - x0, 1), np.float32)
    cv2.fillPoly(mask, [(points - (x0, y0)) * 16], 1.0, lineType=cv2.LINE_AA, shift=4)
    grey = np.ones(mask.shape, np.float32)
    ramp_x, ramp_y = np.linspace(-1, 1, x1 - x0)[None, :, None], np.linspace(-1, 1, y1 - y0)[:, None, None]
    grey += rng.normal(0, 0.12) * ramp_x + rng.normal(0, 0.12) * ramp_y
    if rng.random() < textured and radius > 6:
        grey = grey + rng.choice([0.03, 0.08, 0.2]) * _texture(rng, y1 - y0, x1 - x0)
    region = canvas[y0:y1, x0:x1]
    region += mask * (colour * grey - region)


def draw_strokes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Fur, hair, grass: thousands of thin strokes along a slowly turning direction, over spots and shade."""
    spots = draw_leaves(rng, size) if rng.random() < 0.5 else draw_cloud(rng, size)
    ground = cv2.GaussianBlur(spots.astype(np.float32), (0, 0), rng.uniform(4, 20)).clip(0, 1)
    canvas = np.rint(255 * ground).astype(np.uint8)
    turn = rng.uniform(0, 2 * np.pi) + rng.uniform(0.2, 1.2) * _cloud(rng, size, 2.2)
    length, contrast = rng.uniform(8, 40), rng.choice([0.06, 0.12, 0.25])
    count = int(rng.uniform(2, 6) * size**2 / length / 10)
    starts = rng.integers(0, size, (count, 2))
    angles = turn[starts[:, 1], starts[:, 0]] + rng.normal(0, 0.25, count)
    ends = np.rint(
        starts + rng.exponential(length, (count, 1)) * np.stack((np.cos(angles), np.sin(angles)), -1)
    )
    colours = 255 * (ground[starts[:, 1], starts[:, 0]] * np.exp(contrast * rng.standard_normal((count, 1))))
    widths = rng.integers(1, 4, count)
    for start, end, colour, width in zip(
        starts.tolist(),
        ends.astype(int).tolist(),
        colours.clip(0, 255).tolist(),
        widths.tolist(),
        strict=True,
    ):
        cv2.line(canvas, start, end, colour, width, cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


def draw_cloud(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise whose amplitude falls as a power of the frequency, as in photographs, in two colours."""
    grey = _cloud(rng, size, rng.uniform(0.9, 1.8))[..., None]
    first, second = draw_palette(rng, 2)
    return first + (second - first) * (0.5 + 0.25 * rng.uniform(0.4, 1.2) * grey)


def draw_print(rng: np.random.Generator, size: int) -> np.ndarray:
    """Text, lines and plain shapes on a smooth ground."""
    canvas = np.rint(255 * draw_gradient(rng, size)).astype(np.uint8)
    palette = [tuple(int(255 * v) for v in colour) for colour in draw_palette(rng, 8)]
    for _ in range(rng.integers(4, 30)):
        _print_one(rng, canvas, palette[rng.integers(8)])
    return canvas.astype(np.float32) / 255


def _print_one(rng: np.random.Generator, canvas: np.ndarray, colour: tuple[int, ...]) -> None:
    size = len(canvas)
    (ax, ay), (bx, by) = rng.integers(0, size, (2, 2)).tolist()
    thickness = int(rng.integers(1, 9))
    match rng.integers(5):
        case 0:
            cv2.line(canvas, (ax, ay), (bx, by), colour, thickness, cv2.LINE_AA)
        case 1:
            radius = int(rng.integers(4, size // 6))
            cv2.circle(canvas, (ax, ay), radius, colour, int(rng.choice([-1, thickness])), cv2.LINE_AA)
        case 2:
            width, height = rng.integers(6, size // 4, 2).tolist()
            cv2.rectangle(canvas, (ax, ay), (ax + width, ay + height), colour, -1)
        case _:
            font, scale = int(rng.choice([0, 2, 3, 4, 6, 7])), rng.uniform(0.6, 3.0)
            cv2.putText(
                canvas,
                str(rng.choice(WORDS)),
                (ax, ay),
                font,
                scale,
                colour,
                max(1, int(2 * scale)),
                cv2.LINE_AA,
            )


def draw_gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """A ground that changes slowly between four corner colours, (size, size, 3) float32."""
    corners = draw_palette(rng, 4).reshape(2, 2, 3) * rng.uniform(0.3, 1.0) + 0.1
    return np.ascontiguousarray(
        cv2.resize(corners.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    )


def draw_palette(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours around a common mood, mostly muted: (count, 3) float32 in [0, 1]."""
    mood = rng.uniform(0.15, 0.85, 3) * 0.5 + 0.25
    brightness = rng.uniform(0.05, 0.95, (count, 1))
    tint = rng.normal(0, rng.choice([0.02, 0.08, 0.2]), (count, 3))
    return (brightness * (0.6 + 0.8 * (mood - mood.mean())) + tint + 0.1).clip(0.01, 0.99).astype(np.float32)


def _blob(rng: np.random.Generator, centre: np.ndarray, radius: float) -> np.ndarray:
    """The outline of a disc, ellipse, polygon or wobbly thing: (points, 2) int32."""
    corners = int(rng.choice([3, 4, 5, 24, 24, 24]))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 2 * np.pi)
    radii = np.full(corners, radius)
    for wave in range(2, 5):
        radii *= 1 + rng.choice([0.0, 0.12]) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    stretch, turn = np.exp(rng.normal(0, 0.5)), rng.uniform(0, np.pi)
    points = np.stack((radii * np.cos(angles) * stretch, radii * np.sin(angles) / stretch), axis=-1)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.rint(points @ rotation.T + centre).astype(np.int32)


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A crop of a cloud or a piece of a photographed surface, deviation about 1: (height, width, 1)."""
    if rng.random() < 0.5:
        source = _photograph(("brick", "grass", "gravel", "camera")[rng.integers(4)])[..., :1]
        source = (source - source.mean()) / source.std()
    else:
        source = _cloud_stock()[rng.integers(6)][..., None]
    rows = (rng.integers(len(source)) + np.arange(height)) % len(source)
    columns = (rng.integers(source.shape[1]) + np.arange(width)) % source.shape[1]
    return source[rows][:, columns]


def _cloud(rng: np.random.Generator, size: int, power: float) -> np.ndarray:
    """1/f^power noise, (size, size), mean 0, deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1.0
    cloud = np.fft.irfft2(spectrum * frequency**-power, s=(size, size))
    return ((cloud - cloud.mean()) / cloud.std()).astype(np.float32)


@cache
def _cloud_stock() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [_cloud(rng, 512, power) for power in (0.6, 0.9, 1.2, 1.2, 1.5, 1.8)]


@cache
def _photograph(name: str) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]."""
    picture = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, name)()
    picture = picture.astype(np.float32) / 255
    return picture[..., :3] if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)


def _photograph_weights() -> np.ndarray:
    # Scenes with things in them count for more than flat surfaces.
    weights = np.array([4.0, 1, 1, 1, 1.5, 0.7, 0.7, 7.0, 1.0])
    return weights / weights.sum()


def _compose(layers: list[tuple[np.ndarray, np.ndarray, np.ndarray]], frame: int, size: int) -> np.ndarray:
    """Frame `frame` of the scene, (size, size, 3) float32."""
    picture = np.zeros((size, size, 3), np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for canvas, mask, camera in layers:
        moved = cv2.warpAffine(
            canvas, camera[frame], (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        alpha = cv2.warpAffine(mask, camera[frame], (size, size), flags=flags)[..., None]
        picture += alpha * (moved - picture)
    return picture


def _develop(rng: np.random.Generator, clip: np.ndarray) -> np.ndarray:
    """Exposure, contrast, gamma and a colour cast, the same for all frames; sometimes a little grain."""
    clip = clip.clip(0, 1) ** rng.uniform(0.75, 1.35)
    low, high = rng.uniform(-0.05, 0.15), rng.uniform(0.8, 1.08)
    clip = low + (high - low) * clip * (1 + rng.normal(0, 0.04, 3))
    if rng.random() < 0.15:
        clip = clip.mean(-1, keepdims=True).repeat(3, axis=-1)
    return clip.astype(np.float32)
