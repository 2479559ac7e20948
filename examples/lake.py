"""The first shot: evening at the lake, a boat sails by."""

from collections.abc import Callable

import numpy as np
from painting import HEIGHT, WIDTH, Picture, firs, grass, lettering, picture, ridge, sky, slope, window
from PIL import Image, ImageDraw, ImageFont

SHORE = 430  # where the lake begins


def sailing_boat() -> Picture:
    """A boat with two sails on a clear ground, its waterline at y = 300."""
    boat = Image.new("RGBA", (320, 320))
    draw = ImageDraw.Draw(boat)
    draw.line([(160, 26), (160, 262)], (88, 60, 40), 6)
    main = [(168, 34), (168, 240), (276, 240), (228, 150)]
    jib = [(152, 58), (152, 240), (62, 240)]
    draw.polygon(main, (250, 244, 228))
    draw.polygon(jib, (232, 118, 84))
    for y in range(70, 240, 34):
        draw.line([(168, y), (168 + 0.52 * (y - 34), y + 4)], (206, 196, 178), 2)
        draw.line([(152, y + 6), (152 - 0.48 * (y - 56), y + 10)], (190, 86, 60), 2)
    draw.text((186, 150), "87", (40, 70, 130), font=ImageFont.load_default(40))
    for foot in (30, 292):
        draw.line([(160, 28), (foot, 258)], (70, 60, 60), 1)
    draw.polygon([(160, 10), (160, 26), (204, 18)], (210, 50, 50))
    draw.polygon([(26, 252), (300, 252), (270, 300), (62, 300)], (150, 44, 40))
    draw.polygon([(26, 252), (300, 252), (296, 262), (32, 262)], (246, 238, 220))
    draw.line([(54, 288), (277, 288)], (96, 26, 30), 4)
    for x in (110, 140):
        draw.ellipse([x, 268, x + 12, 280], (240, 220, 160))
    draw.ellipse([226, 216, 246, 236], (232, 190, 150))  # somebody at the helm
    draw.rectangle([224, 234, 250, 254], (46, 84, 140))
    return boat


def lake_layers() -> list[tuple[float, Picture]]:
    """(how fast it passes, layer) from far to near, all above the shore."""
    heaven = sky(
        [(0, (64, 104, 166)), (0.35, (150, 172, 200)), (0.52, (250, 214, 164)), (0.62, (255, 196, 130))],
        (255, 236, 214),
        3,
    )
    rows, columns = np.mgrid[0:HEIGHT, 0 : heaven.shape[1]]
    distance = np.hypot(columns - 930, rows - 250)
    heaven += np.exp(-distance / 130)[..., None] * np.array((120, 84, 30))
    heaven += np.clip(44 - distance, 0, 1)[..., None] * (np.array((255, 250, 220)) - heaven)
    width = WIDTH + 260
    far, near = ridge(width, 400, 260, 420, 11), ridge(width, 415, 120, 300, 5)
    mountains = slope(far, (112, 116, 158), 21, 0.30, snow=46)
    hills = slope(near, (74, 104, 84), 8, 0.22)
    firs(hills, near, 1500, 30, (44, 84, 62), 2)
    return [(0.1, picture(heaven)), (0.25, mountains), (0.6, hills)]


def water(above: Picture, seconds: float) -> Picture:
    """The lake: what stands above the shore, mirrored, rippled and darker with nearness."""
    depth = np.arange(HEIGHT - SHORE)
    mirrored = np.asarray(above.convert("RGB"), np.float32)[
        np.clip(SHORE - 1 - depth * 1.25, 0, None).astype(int)
    ]
    near = depth / depth.max()
    columns = np.arange(WIDTH)
    phase = 260 / (0.05 + near) ** 0.5  # waves look longer the nearer they are
    push = (2 + 16 * near)[:, None] * np.sin(
        phase[:, None] + columns / (60 + 240 * near)[:, None] + 3.2 * seconds
    )
    source = np.clip(columns + push, 0, WIDTH - 1).astype(int)
    rippled = np.take_along_axis(mirrored, source[..., None], 1)
    crest = np.sin(phase[:, None] * 2.3 + columns / (24 + 90 * near)[:, None] + 4.1 * seconds)
    crest *= np.sin(columns / (70 + 160 * near)[:, None] - 1.7 * seconds + phase[:, None] * 0.7)
    tint = np.array((38, 72, 108), np.float32)
    body = rippled * (1 - 0.45 * near[:, None, None] - 0.12) + tint * (0.45 * near[:, None, None] + 0.12)
    sun_lane = np.exp(-(((columns - 900) / (50 + 190 * near[:, None])) ** 2))
    body += (
        np.clip(crest - 0.15, 0, 1)[..., None] * (14 + 260 * sun_lane[..., None]) * np.array((1.0, 0.86, 0.6))
    )
    return picture(body)


def lake() -> Callable[[float], Picture]:
    """The first shot: evening at the lake, a boat sails by."""
    layers, boat = lake_layers(), sailing_boat()

    def paint(seconds: float) -> Picture:
        camera = 60 + 40 * seconds
        canvas = Image.new("RGBA", (WIDTH, HEIGHT))
        for speed, layer in layers:
            canvas.alpha_composite(window(layer, camera * speed))
        canvas.alpha_composite(water(canvas, seconds), (0, SHORE))
        lean = boat.rotate(2.5 * np.sin(2.2 * seconds), Image.Resampling.BICUBIC, center=(160, 300))
        x, y = 180 + 130 * seconds, 262 + 4 * np.sin(2.8 * seconds)
        image = lean.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((320, 200), Image.Resampling.BILINEAR)
        wobble = np.asarray(image).astype(np.float32)
        shift = (6 * np.sin(np.arange(200) / 5 + 5 * seconds)).astype(int)
        wobble = np.stack([np.roll(row, offset, 0) for row, offset in zip(wobble, shift, strict=True)])
        canvas.alpha_composite(
            picture(wobble[..., :3] * 0.7, wobble[..., 3] / 255 * 0.55), (round(x), round(y) + 288)
        )
        canvas.alpha_composite(lean, (round(x), round(y)))
        reeds = Image.new("RGBA", (WIDTH, HEIGHT))
        sway = 10 * np.sin(1.9 * seconds)
        grass(reeds, 420, 575, 31, sway, [(34, 54, 40), (52, 74, 44), (82, 96, 50), (26, 40, 36)])
        canvas.alpha_composite(reeds)
        lettering(canvas, (70, 52), "1987", 118, (255, 246, 222, 255))
        lettering(canvas, (76, 176), "A summer at the lake", 46, (255, 240, 210, 255))
        return canvas

    return paint
