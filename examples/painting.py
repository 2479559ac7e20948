"""What the scenes are painted with: skies, mountains, trees, grass, letters; in pixels of the canvas."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 1280, 720  # the canvas

Picture = Image.Image
Colour = tuple[int, ...]  # red, green, blue, and alpha where something shines through; 0 to 255
Stops = list[tuple[float, Colour]]  # (place from 0 at the top to 1 at the bottom, colour)


def toned(colour: Colour, factor: float) -> Colour:
    """A colour made lighter or darker."""
    return tuple(int(part * factor) for part in colour)


def cloud_noise(width: int, height: int, cell: float, seed: int, stretch: float = 1.0) -> np.ndarray:
    """Smooth random values (height, width) in [0, 1]; the largest blobs are cell * stretch wide."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    strength = 1.0
    while cell >= 2:
        grid = random.random((int(height / cell) + 3, int(width / cell / stretch) + 3)).astype(np.float32)
        smooth = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += strength * np.asarray(smooth)
        cell, strength = cell / 2, strength * 0.55
    return (total - total.min()) / (total.max() - total.min())


def ridge(width: int, base: float, swing: float, cell: float, seed: int) -> np.ndarray:
    """The height of a skyline for each column (width,)."""
    return base - swing * cloud_noise(width, 4, cell, seed)[1]


def gradient(stops: Stops, height: int, width: int) -> np.ndarray:
    """Colours from top to bottom (height, width, 3)."""
    places = np.linspace(0, 1, height)
    rows = np.stack(
        [np.interp(places, [s[0] for s in stops], [s[1][c] for s in stops]) for c in range(3)], -1
    )
    return np.broadcast_to(rows[:, None].astype(np.float32), (height, width, 3)).copy()


def picture(rgb: np.ndarray, alpha: np.ndarray | None = None) -> Picture:
    """An RGBA picture of float colours (H, W, 3) in [0, 255] and alpha (H, W) in [0, 1]."""
    alpha = np.ones(rgb.shape[:2]) if alpha is None else alpha
    return Image.fromarray(np.dstack([rgb, alpha * 255]).clip(0, 255).astype(np.uint8), "RGBA")


def under(line: np.ndarray, height: int) -> np.ndarray:
    """Alpha (height, width): 1 below the skyline, 0 above."""
    return np.clip(np.arange(height)[:, None] - line[None], 0, 1)


def sky(stops: Stops, light: Colour, seed: int) -> np.ndarray:
    """A sky with drifting clouds, wider than the canvas."""
    width = WIDTH + 200
    rgb = gradient(stops, HEIGHT, width)
    shape = cloud_noise(width, HEIGHT, 140, seed, stretch=2.6)
    body = np.clip((shape - 0.5) * 4, 0, 1)[..., None] * np.linspace(1.0, 0.35, HEIGHT)[:, None, None]
    shade = 0.78 + 0.22 * np.clip((shape - np.roll(shape, -14, 0)) * 9 + 0.5, 0, 1)[..., None]
    return rgb * (1 - 0.85 * body) + np.array(light, np.float32) * shade * 0.85 * body


def slope(line: np.ndarray, colour: Colour, seed: int, relief: float, snow: float = 0.0) -> Picture:
    """Mountains below a skyline, lit from the right; snow: how far down it lies, in pixels."""
    width = len(line)
    rock = cloud_noise(width, HEIGHT, 90, seed)
    lit = np.clip((rock - np.roll(rock, 5, 1)) * 16, -1, 1)[..., None]
    rgb = np.array(colour, np.float32) * (1 + relief * lit)
    if snow:
        depth = np.arange(HEIGHT)[:, None] - line[None] + (rock - 0.5) * snow * 3
        white = np.clip((snow - depth) / 8, 0, 1) * np.clip((line.max() - line) / 60, 0, 1)
        rgb += (np.array((238, 232, 240)) * (1 + 0.2 * lit) - rgb) * white[..., None]
    return picture(rgb, under(line, HEIGHT))


def firs(canvas: Picture, line: np.ndarray, count: int, size: float, colour: Colour, seed: int) -> None:
    """Plants fir trees along and below a skyline, the nearer ones in front."""
    random = np.random.default_rng(seed)
    draw = ImageDraw.Draw(canvas)
    places = sorted(
        (random.random() ** 1.5 * 70 * size / 26, random.integers(0, len(line))) for _ in range(count)
    )
    for below, x in places:
        foot, tall = line[x] + below + 6, size * random.uniform(0.7, 1.3)
        shade = random.uniform(0.75, 1.25)
        for part in range(4):
            top, wide = foot - tall * (1 - part * 0.2), tall * (0.1 + 0.06 * part)
            bottom = top + tall * 0.36
            tone = shade * (0.85 + 0.1 * part)
            draw.polygon([(x, top), (x - wide, bottom), (x, bottom)], toned(colour, tone * 0.75))
            draw.polygon([(x, top), (x, bottom), (x + wide, bottom)], toned(colour, tone * 1.2))


def grass(canvas: Picture, count: int, top: float, seed: int, sway: float, colours: list[Colour]) -> None:
    """Blades of grass along the lower edge; sway: how far their tips lean, in pixels."""
    random = np.random.default_rng(seed)
    draw = ImageDraw.Draw(canvas)
    for _ in range(count):
        x, tall = random.uniform(-20, canvas.width + 20), random.uniform(0.35, 1.0) * (HEIGHT - top)
        lean = random.normal(0, 14) + sway * tall / 60 * random.uniform(0.6, 1.4)
        colour = colours[random.integers(len(colours))]
        middle = (x + lean * 0.3, HEIGHT - tall * 0.55)
        tip = (x + lean, HEIGHT - tall)
        draw.polygon(
            [(x - 3, HEIGHT), (x + 3, HEIGHT), (middle[0] + 2, middle[1]), tip, (middle[0] - 2, middle[1])],
            colour,
        )


def lettering(canvas: Picture, place: tuple[float, float], text: str, size: float, colour: Colour) -> None:
    """Text with a soft shadow, so that it reads on light and dark."""
    font = ImageFont.load_default(size)
    shadow = Image.new("RGBA", canvas.size)
    ImageDraw.Draw(shadow).text((place[0] + 3, place[1] + 4), text, (20, 20, 40, 170), font=font)
    canvas.alpha_composite(shadow.filter(ImageFilter.GaussianBlur(3)))
    ImageDraw.Draw(canvas).text(place, text, colour, font=font)


def window(layer: Picture, left: float) -> Picture:
    """The part of a wide layer that a panning camera sees; left may lie between two pixels."""
    return layer.transform(
        (WIDTH, HEIGHT), Image.Transform.AFFINE, (1, 0, left, 0, 1, 0), Image.Resampling.BILINEAR
    )
