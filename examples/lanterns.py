"""Paper lanterns rise over a valley at night: soft light and smooth shapes, as image generators like them."""

from collections.abc import Callable

import numpy as np
from painting import HEIGHT, WIDTH, Picture, cloud_noise, firs, gradient, picture, ridge, slope, window
from PIL import Image, ImageDraw, ImageFilter

_COUNT = 26


def night() -> Picture:
    """A sky with stars, a moon and a band of haze."""
    width = WIDTH + 200
    stops = [(0, (14, 18, 52)), (0.45, (44, 44, 104)), (0.7, (126, 82, 128)), (1, (232, 148, 112))]
    rgb = gradient(stops, HEIGHT, width)
    haze = cloud_noise(width, HEIGHT, 180, 5, stretch=3.0)[..., None]
    rgb += (haze - 0.5) * np.array((60, 50, 74))
    random = np.random.default_rng(4)
    rows, columns = np.mgrid[0:HEIGHT, 0:width]
    for _ in range(170):
        x, y, size = random.integers(0, width), int(330 * random.random() ** 1.4), random.uniform(0.7, 1.8)
        near = np.s_[max(0, y - 8) : y + 9, max(0, x - 8) : x + 9]
        glow = np.exp(-((rows[near] - y) ** 2 + (columns[near] - x) ** 2) / (2 * size**2))
        rgb[near] += glow[..., None] * random.uniform(60, 210)
    distance = np.hypot(columns - 1010, rows - 150)
    rgb += np.exp(-np.maximum(distance - 62, 0) / 70)[..., None] * np.array((96, 92, 84))
    face = np.clip(63 - distance, 0, 1)[..., None]
    seas = cloud_noise(width, HEIGHT, 50, 20)[..., None] * 44
    return picture(rgb * (1 - face) + face * (np.array((250, 244, 226)) - seas))


def lantern(size: float, flicker: float) -> Picture:
    """A paper lantern with its glow, `size` pixels wide, on a clear ground four times as wide."""
    side = int(4 * size)
    image = Image.new("RGBA", (side, side))
    rows, columns = np.mgrid[0:side, 0:side] / size - 2
    glow = np.exp(-1.5 * np.hypot(rows, columns)) * 0.62 * flicker
    image.alpha_composite(picture(np.full((side, side, 3), (255, 168, 78), np.float32), glow))
    paper = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(paper)
    left, right, top, bottom = (
        side / 2 - size / 2,
        side / 2 + size / 2,
        side / 2 - size * 0.7,
        side / 2 + size * 0.6,
    )
    body = [(left + size * 0.12, top), (right - size * 0.12, top), (right, bottom), (left, bottom)]
    draw.polygon(body, (255, 190, 104))
    for rib in np.linspace(0.2, 0.8, 3):
        x = left + size * rib
        draw.line([(x + (0.5 - rib) * size * 0.24, top), (x, bottom)], (226, 132, 62), max(1, int(size / 16)))
    heart = [side / 2 - size * 0.3, bottom - size * 0.75, side / 2 + size * 0.3, bottom - size * 0.05]
    draw.ellipse(heart, (255, 244, 200))
    draw.rectangle([left, bottom - size * 0.09, right, bottom], (150, 84, 46))
    image.alpha_composite(paper.filter(ImageFilter.GaussianBlur(size / 26)))
    return image


def lanterns() -> Callable[[float], Picture]:
    """The shot: the camera rises slowly with the lanterns."""
    heaven = night()
    wide = WIDTH + 260
    far, near = ridge(wide, 560, 210, 420, 14), ridge(wide, 660, 130, 260, 2)
    mountains = slope(far, (62, 54, 104), 21, 0.2, snow=30)
    hills = slope(near, (32, 38, 62), 8, 0.2)
    firs(hills, near, 900, 34, (26, 40, 58), 6)
    random = np.random.default_rng(31)
    places = sorted(random.uniform(14, 62) for _ in range(_COUNT))
    lights = [
        (size, random.uniform(-60, WIDTH), random.uniform(0, 1), random.uniform(0, 6)) for size in places
    ]

    def paint(seconds: float) -> Picture:
        canvas = Image.new("RGBA", (WIDTH, HEIGHT))
        for speed, layer in ((6, heaven), (16, mountains), (34, hills)):
            canvas.alpha_composite(window(layer, 40 + speed * seconds))
        for size, x, height, phase in lights:
            flicker = 1 + 0.12 * np.sin(7 * seconds + phase)
            y = HEIGHT - ((height * 760 + (30 + 1.3 * size) * seconds) % 860)
            sway = 0.4 * size * np.sin(1.3 * seconds + phase)
            light = lantern(size, flicker).rotate(4 * np.sin(1.3 * seconds + phase), Image.Resampling.BICUBIC)
            left, top = x + sway - 20 * seconds - 2 * size, y - 2 * size
            box = (round(left), round(top))
            canvas.paste(light, box, light)
        return canvas

    return paint
