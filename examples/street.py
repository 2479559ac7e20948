"""A harbour street at noon, as somebody films it with a phone: walls, awnings, signs, a cyclist, a cat."""

from collections.abc import Callable

import numpy as np
from painting import (
    HEIGHT,
    WIDTH,
    Colour,
    Picture,
    cloud_noise,
    lettering,
    picture,
    ridge,
    sky,
    slope,
    toned,
    window,
)
from PIL import Image, ImageDraw

PAVEMENT = 560  # where the houses stand
WIDE = WIDTH + 400

_HOUSES: list[tuple[int, int, Colour, str]] = [
    # left edge, roof, wall, what the sign says
    (-20, 130, (214, 126, 92), "Bakery"),
    (300, 190, (236, 208, 140), "Books"),
    (600, 96, (128, 164, 176), "Cafe Nordlicht"),
    (980, 170, (222, 178, 162), "Flowers"),
    (1290, 120, (160, 178, 128), "Hotel"),
]


def house(draw: ImageDraw.ImageDraw, left: int, roof: int, wall: Colour, width: int, seed: int) -> None:
    """A plastered front with shutters, and a roof of tiles."""
    random = np.random.default_rng(seed)
    draw.rectangle([left, roof, left + width, PAVEMENT], wall)
    for row in range(5):
        top = roof - 60 + 13 * row
        for x in range(left - 14 + 8 * (row % 2), left + width + 14, 16):
            draw.rounded_rectangle(
                [x, top, x + 14, top + 14], 5, toned((168, 74, 58), random.uniform(0.7, 1.2))
            )
    for floor, y in enumerate(range(roof + 34, PAVEMENT - 250, 118)):
        for x in range(left + 34, left + width - 70, 92):
            glass = toned((96, 128, 158), random.uniform(0.7, 1.25))
            draw.rectangle([x - 5, y - 5, x + 45, y + 75], (246, 242, 232))
            draw.rectangle([x, y, x + 40, y + 70], glass)
            draw.line([(x + 20, y), (x + 20, y + 70)], (246, 242, 232), 4)
            draw.line([(x, y + 34), (x + 40, y + 34)], (246, 242, 232), 4)
            for side in (x - 24, x + 46):
                shutter = toned((60, 104, 92) if floor % 2 else (74, 92, 132), random.uniform(0.9, 1.1))
                draw.rectangle([side, y - 2, side + 18, y + 72], shutter)
                for slat in range(y + 4, y + 70, 7):
                    draw.line([(side + 2, slat), (side + 16, slat)], toned(shutter, 0.75), 2)


def shop(canvas: Picture, left: int, width: int, sign: str, seed: int) -> None:
    """A shop window under a striped awning."""
    draw = ImageDraw.Draw(canvas)
    random = np.random.default_rng(seed)
    top = PAVEMENT - 130
    draw.rectangle([left + 20, top, left + width - 20, PAVEMENT], (58, 50, 48))
    draw.rectangle([left + 32, top + 40, left + width - 100, PAVEMENT - 12], (120, 146, 150))
    draw.rectangle([left + width - 88, top + 36, left + width - 34, PAVEMENT], (96, 62, 44))
    for _ in range(26):  # what is for sale
        x, y = random.integers(left + 40, left + width - 118), random.integers(PAVEMENT - 62, PAVEMENT - 26)
        colour = tuple(int(part) for part in random.integers(70, 245, 3))
        draw.ellipse([x, y, x + 16, y + 14], colour)
    stripe = (190, 60, 54) if seed % 2 else (52, 108, 96)
    for number, x in enumerate(range(left + 12, left + width - 24, 20)):
        draw.polygon(
            [(x, top + 4), (x + 20, top + 4), (x + 16, top + 48), (x - 6, top + 48)],
            stripe if number % 2 else (246, 240, 226),
        )
    draw.rounded_rectangle([left + 24, top - 46, left + width - 24, top - 4], 6, (66, 48, 40))
    lettering(canvas, (left + 38, top - 44), sign, 34, (248, 234, 200, 255))


def street() -> Picture:
    """Everything that stands still, wider than the canvas."""
    canvas = Image.new("RGBA", (WIDE, HEIGHT))
    draw = ImageDraw.Draw(canvas)
    for seed, (left, roof, wall, sign) in enumerate(_HOUSES):
        width = (_HOUSES[seed + 1][0] if seed + 1 < len(_HOUSES) else WIDE + 40) - left
        house(draw, left, roof, wall, width, seed)
        shop(canvas, left, width, sign, seed)
    stones = np.random.default_rng(12)
    draw.rectangle([0, PAVEMENT, WIDE, HEIGHT], (112, 106, 100))
    for row, y in enumerate(range(PAVEMENT, HEIGHT, 20)):
        for x in range(-30 + 17 * (row % 2), WIDE, 34):
            tone = toned((150, 142, 132), stones.uniform(0.8, 1.15))
            draw.rounded_rectangle([x, y, x + 31, y + 17], 4, tone)
    plaster = cloud_noise(WIDE, HEIGHT, 40, 3) - 0.5
    rgba = np.asarray(canvas).astype(np.float32)
    return picture(rgba[..., :3] * (1 + 0.22 * plaster[..., None]), rgba[..., 3] / 255)


def cyclist(canvas: Picture, x: float, travelled: float) -> None:
    """Somebody on a bicycle, riding to the right."""
    draw = ImageDraw.Draw(canvas)
    ground, radius = PAVEMENT + 92, 44
    for centre in (x, x + 138):
        box = [centre - radius, ground - 2 * radius, centre + radius, ground]
        draw.ellipse(box, outline=(28, 28, 30), width=6)
        for spoke in range(6):
            turn = travelled / radius + spoke * np.pi / 6
            dx, dy = np.cos(turn) * (radius - 4), np.sin(turn) * (radius - 4)
            line = [(centre - dx, ground - radius - dy), (centre + dx, ground - radius + dy)]
            draw.line(line, (120, 120, 126), 2)
    hub = (x + 60, ground - radius)
    red = (196, 46, 44)
    for line in (
        [(x, ground - radius), hub, (x + 118, ground - 118), (x + 40, ground - 116), hub],
        [(x, ground - radius), (x + 40, ground - 116)],
        [(x + 138, ground - radius), (x + 116, ground - 140)],
    ):
        draw.line(line, red, 6, joint="curve")
    draw.rounded_rectangle([x + 18, ground - 128, x + 58, ground - 116], 6, (40, 32, 30))
    turn = travelled / radius * 0.6
    for phase, tone in ((0.0, 1.0), (np.pi, 0.75)):
        foot = (hub[0] + 20 * np.cos(turn + phase), hub[1] + 20 * np.sin(turn + phase))
        knee = (x + 84, ground - 88 + 10 * np.sin(turn + phase))
        draw.line([(x + 44, ground - 132), knee, foot], toned((52, 70, 116), tone), 17, joint="curve")
    draw.line([(x + 46, ground - 134), (x + 74, ground - 214)], (232, 190, 66), 36)
    draw.line([(x + 72, ground - 204), (x + 116, ground - 146)], (214, 172, 54), 13)
    draw.ellipse([x + 60, ground - 268, x + 102, ground - 222], (228, 178, 144))
    draw.pieslice([x + 56, ground - 276, x + 106, ground - 226], 170, 370, (60, 66, 74))


def stroll() -> Callable[[float], Picture]:
    """A shot of the street by a hand that is not quite steady."""
    heaven = picture(sky([(0, (92, 146, 210)), (1, (206, 224, 238))], (255, 254, 250), 8))
    hill = slope(ridge(WIDE, 300, 200, 300, 4), (128, 148, 128), 9, 0.2)
    still = street()

    def paint(seconds: float) -> Picture:
        shake = 5 * np.sin(9.1 * seconds) + 3 * np.sin(23 * seconds + 1), 6 * np.sin(7.3 * seconds + 2)
        left = 120 + 34 * seconds + shake[0]
        canvas = Image.new("RGBA", (WIDTH, HEIGHT))
        canvas.alpha_composite(window(heaven, left * 0.1))
        canvas.alpha_composite(window(hill, left * 0.3))
        canvas.alpha_composite(window(still, left))
        cyclist(canvas, 40 + 300 * seconds - shake[0], 300 * seconds)
        return canvas.rotate(
            0.5 * np.sin(3.1 * seconds), Image.Resampling.BICUBIC, translate=(0, shake[1])
        ).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=(24, 14, WIDTH - 24, HEIGHT - 14))

    return paint
