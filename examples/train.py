"""The second shot: a steam train crosses a viaduct."""

from collections.abc import Callable

import numpy as np
from painting import (
    HEIGHT,
    WIDTH,
    Colour,
    Picture,
    cloud_noise,
    grass,
    picture,
    ridge,
    sky,
    slope,
    toned,
    under,
    window,
)
from PIL import Image, ImageDraw, ImageFilter, ImageFont

TRACK = 372  # the height of the rails


def viaduct(width: int) -> Picture:
    """A stone bridge with round arches, course by course."""
    random = np.random.default_rng(77)
    stone = Image.new("RGBA", (width, HEIGHT))
    draw = ImageDraw.Draw(stone)
    for course, y in enumerate(range(TRACK + 8, HEIGHT, 15)):
        for x in range(-30 + 17 * (course % 2), width, 34):
            tone = random.uniform(0.82, 1.14)
            draw.rectangle([x, y, x + 32, y + 13], toned((176, 148, 122), tone))
            draw.line([(x, y + 14), (x + 34, y + 14)], (104, 88, 78), 2)
            draw.line([(x + 33, y), (x + 33, y + 14)], (110, 92, 80), 2)
    for x in range(-60, width, 250):
        draw.rounded_rectangle([x - 8, TRACK + 60, x + 196, HEIGHT + 200], 104, (206, 184, 158))
        draw.rounded_rectangle([x + 8, TRACK + 76, x + 180, HEIGHT + 200], 88, (0, 0, 0, 0))
    draw.rectangle([0, TRACK + 4, width, TRACK + 22], (204, 182, 156))
    draw.rectangle([0, TRACK + 22, width, TRACK + 27], (104, 86, 74))
    for x in range(0, width, 26):
        draw.rectangle([x, TRACK - 2, x + 14, TRACK + 5], (84, 64, 52))
    draw.rectangle([0, TRACK - 5, width, TRACK - 1], (74, 74, 84))
    return stone


def wheel(draw: ImageDraw.ImageDraw, x: float, radius: float, angle: float) -> None:
    """A spoked wheel that stands on the rails."""
    y = TRACK - 5 - radius
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], (36, 32, 36), (150, 40, 36), 4)
    for spoke in range(4):
        turn = angle + spoke * np.pi / 4
        reach = (np.cos(turn) * (radius - 4), np.sin(turn) * (radius - 4))
        draw.line([(x - reach[0], y - reach[1]), (x + reach[0], y + reach[1])], (190, 60, 50), 3)


def locomotive(draw: ImageDraw.ImageDraw, x: float, travelled: float) -> None:
    """A steam locomotive, its front at x, running to the left."""
    green, brass = (32, 88, 66), (226, 184, 92)
    draw.rounded_rectangle([x + 14, TRACK - 96, x + 196, TRACK - 40], 20, green)
    draw.rectangle([x + 178, TRACK - 130, x + 262, TRACK - 40], green)
    draw.rectangle([x + 170, TRACK - 138, x + 270, TRACK - 128], (28, 30, 36))
    draw.rectangle([x + 196, TRACK - 118, x + 240, TRACK - 84], (250, 226, 160))
    draw.polygon(
        [(x + 34, TRACK - 96), (x + 66, TRACK - 96), (x + 74, TRACK - 146), (x + 26, TRACK - 146)],
        (28, 30, 36),
    )
    draw.ellipse([x + 96, TRACK - 114, x + 134, TRACK - 84], brass)
    for band in (80, 140, 166):
        draw.line([(x + band, TRACK - 95), (x + band, TRACK - 42)], brass, 3)
    draw.rectangle([x + 6, TRACK - 44, x + 268, TRACK - 30], (150, 40, 36))
    draw.ellipse([x + 2, TRACK - 84, x + 22, TRACK - 58], (255, 240, 180))
    draw.polygon([(x + 8, TRACK - 30), (x + 40, TRACK - 30), (x - 16, TRACK - 8)], (60, 58, 64))
    draw.text((x + 200, TRACK - 78), "52", brass, font=ImageFont.load_default(34))
    for place in (74, 132, 190):
        wheel(draw, x + place, 25, -travelled / 25)
    rod = (np.cos(-travelled / 25) * 14, np.sin(-travelled / 25) * 14)
    draw.line(
        [(x + 74 + rod[0], TRACK - 30 + rod[1]), (x + 190 + rod[0], TRACK - 30 + rod[1])], (214, 214, 220), 6
    )
    wheel(draw, x + 240, 16, -travelled / 16)


def wagon(draw: ImageDraw.ImageDraw, x: float, colour: Colour, travelled: float) -> None:
    """A coach with lit windows, its front at x."""
    draw.rectangle([x - 16, TRACK - 44, x, TRACK - 36], (40, 36, 40))
    draw.rounded_rectangle([x, TRACK - 116, x + 270, TRACK - 30], 8, colour)
    draw.rounded_rectangle([x - 4, TRACK - 126, x + 274, TRACK - 110], 8, (92, 92, 100))
    draw.rectangle([x, TRACK - 62, x + 270, TRACK - 56], (238, 222, 180))
    for window_x in range(16, 250, 42):
        draw.rectangle(
            [x + window_x, TRACK - 102, x + window_x + 30, TRACK - 70], (252, 232, 172), (60, 44, 40), 3
        )
    for place in (40, 84, 190, 234):
        wheel(draw, x + place, 16, -travelled / 16)


def smoke(canvas: Picture, chimney: float, seconds: float) -> None:
    """Puffs that leave the chimney, rise, grow and thin out."""
    random = np.random.default_rng(5)
    puffs = Image.new("RGBA", canvas.size)
    draw = ImageDraw.Draw(puffs)
    for number in range(60):
        born = number * 0.09 - 3.2
        age, drift = seconds - born, random.normal(0, 6, 2)
        tone = int(random.uniform(222, 252))
        if not 0 < age < 3.2:
            continue
        x = chimney + 150 * age + drift[0] * age * 2  # the train leaves it behind
        y, radius = TRACK - 152 - 62 * age**0.75 + drift[1] * age, 12 + 24 * age**0.8
        draw.ellipse(
            [x - radius, y - radius, x + radius, y + radius], (tone, tone, tone, int(190 * (1 - age / 3.2)))
        )
        draw.ellipse(
            [x - radius * 0.6, y - radius * 0.9, x + radius * 0.5, y],
            (255, 252, 244, int(120 * (1 - age / 3.2))),
        )
    canvas.alpha_composite(puffs.filter(ImageFilter.GaussianBlur(2.5)))


def fields(width: int) -> Picture:
    """Rolling fields, each with its own furrows, and hedges between them."""
    land = Image.new("RGBA", (width, HEIGHT))
    tones = [(148, 170, 92), (206, 186, 104), (112, 148, 84), (186, 198, 118), (92, 132, 78)]
    grain = cloud_noise(width, HEIGHT, 30, 44) - 0.5
    rows, columns = np.mgrid[0:HEIGHT, 0:width]
    for number, tone in enumerate(tones):
        line = ridge(width, 420 + 62 * number, 110, 520, 60 + number)
        furrows = np.sin((rows - line[None]) * (0.52 - 0.05 * number) + columns * 0.05 * (-1) ** number)
        rgb = np.array(tone, np.float32) * (1 + 0.10 * furrows + 0.3 * grain)[..., None]
        land.alpha_composite(picture(rgb, under(line, HEIGHT)))
        random, draw = np.random.default_rng(90 + number), ImageDraw.Draw(land)
        for _ in range(110):
            x = int(random.integers(0, width))
            for _ in range(9):
                dx, dy, radius = random.normal(0, 7), random.normal(-9, 5), random.uniform(3, 8)
                leaf = toned((62, 98, 58), random.uniform(0.7, 1.25))
                draw.ellipse(
                    [x + dx - radius, line[x] + dy - radius, x + dx + radius, line[x] + dy + radius], leaf
                )
    return land


def train() -> Callable[[float], Picture]:
    """The second shot: a steam train crosses a viaduct."""
    heaven = picture(
        sky([(0, (82, 138, 200)), (0.6, (204, 224, 236)), (1, (220, 232, 236))], (255, 253, 248), 15)
    )
    blue = slope(ridge(WIDTH + 260, 400, 150, 360, 33), (128, 150, 176), 34, 0.22)
    land, bridge = fields(WIDTH + 260), viaduct(WIDTH + 400)
    coaches = [(168, 54, 46), (44, 76, 128), (168, 54, 46), (44, 76, 128)]

    def paint(seconds: float) -> Picture:
        camera = 100 - 30 * seconds
        canvas = Image.new("RGBA", (WIDTH, HEIGHT))
        for speed, layer in ((0.15, heaven), (0.35, blue), (0.6, land)):
            canvas.alpha_composite(window(layer, camera * speed))
        travelled = 150 * seconds
        front = 520 - travelled
        smoke(canvas, front + 50, seconds)
        rolling = Image.new("RGBA", (WIDTH, HEIGHT))
        draw = ImageDraw.Draw(rolling)
        locomotive(draw, front, travelled)
        for number, colour in enumerate(coaches):
            wagon(draw, front + 290 + 290 * number, colour, travelled)
        canvas.alpha_composite(rolling)
        canvas.alpha_composite(window(bridge, camera))
        meadow = Image.new("RGBA", (WIDTH + 300, HEIGHT))
        sway = 8 * np.sin(2.1 * seconds)
        grass(meadow, 700, 610, 52, sway, [(72, 118, 56), (104, 146, 66), (148, 170, 80), (52, 92, 50)])
        canvas.alpha_composite(window(meadow, camera * 1.6))
        return canvas

    return paint
