"""Puts a frame of a clip and the same frame of its restoration side by side: the picture of the README.

    python examples/picture.py DAMAGED RESTORED OUTPUT.png [--at SECONDS]... [--crop LEFT,TOP,WIDTH,HEIGHT]

Each --at gives a row. The damaged frame is enlarged to the restored size as a player would (bicubic). --crop
shows a part, in pixels of the restored clip.
"""

import argparse
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

GAP = 6  # pixels between the pictures


def frame_at(path: Path, seconds: float) -> Image.Image:
    """The frame that is on screen at a time; the last one when the clip is shorter."""
    shown = None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if shown is not None and frame.time is not None and frame.time > seconds + 1e-6:
                break
            shown = frame
        if shown is None:
            raise SystemExit(f"{path} has no frames.")
        return shown.to_image()


def labelled(image: Image.Image, text: str) -> Image.Image:
    """The image with a word in its lower left corner, light on a dark patch."""
    draw = ImageDraw.Draw(image, "RGBA")
    font = ImageFont.load_default(max(12, image.height // 22))
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    place = (12, image.height - (bottom - top) - 18)
    draw.rectangle(
        [place[0] - 8, place[1] + top - 6, place[0] + right - left + 8, place[1] + bottom + 6], (0, 0, 0, 150)
    )
    draw.text(place, text, (255, 255, 255, 255), font=font)
    return image


def row(damaged: Path, restored: Path, seconds: float, crop: tuple[int, int, int, int] | None) -> Image.Image:
    """Before and after at one time, side by side."""
    after = frame_at(restored, seconds)
    before = frame_at(damaged, seconds).resize(after.size, Image.Resampling.BICUBIC)
    if crop:
        left, top, width, height = crop
        before, after = (image.crop((left, top, left + width, top + height)) for image in (before, after))
    both = Image.new("RGB", (2 * after.width + GAP, after.height), "white")
    both.paste(labelled(before, "before"), (0, 0))
    both.paste(labelled(after, "after"), (after.width + GAP, 0))
    return both


def four_numbers(text: str) -> tuple[int, int, int, int]:
    left, top, width, height = (int(part) for part in text.split(","))
    return left, top, width, height


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws a before | after picture.")
    parser.add_argument("damaged", type=Path)
    parser.add_argument("restored", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--at", type=float, action="append", metavar="SECONDS", help="default: 1.2 and 3")
    parser.add_argument("--crop", type=four_numbers, metavar="LEFT,TOP,WIDTH,HEIGHT")
    given = parser.parse_args()
    rows = [row(given.damaged, given.restored, seconds, given.crop) for seconds in given.at or (1.2, 3.0)]
    sheet = Image.new("RGB", (rows[0].width, sum(r.height + GAP for r in rows) - GAP), "white")
    for number, image in enumerate(rows):
        sheet.paste(image, (0, number * (image.height + GAP)))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(given.output, optimize=True)


if __name__ == "__main__":
    main()
