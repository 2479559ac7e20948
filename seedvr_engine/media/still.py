"""Still pictures: reading with orientation at 8 and 16 bit, writing PNG, JPEG, WebP and TIFF."""

import io
import struct
import warnings
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from seedvr_engine.errors import InputError
from seedvr_engine.media.colour import RgbReader
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.opening import open_media, output_errors
from seedvr_engine.media.orientation import EXIF_ORIENTATIONS, UPRIGHT, Orientation

PICTURE_SUFFIXES = {
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".tif",
    ".tiff",
    ".bmp",
    ".ppm",
    ".pgm",
    ".dpx",
    ".exr",
    ".jxl",
    ".avif",
}
_EXIF_ORIENTATION_TAG = 0x0112
_EXIF_DESCRIPTION_TAG = 0x010E


def read_tags(path: Path) -> tuple[Orientation, bytes]:
    """How the picture is to be turned (EXIF) and its colour profile; upright and empty by default."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            orientation = EXIF_ORIENTATIONS.get(image.getexif().get(_EXIF_ORIENTATION_TAG, 1), UPRIGHT)
            return orientation, image.info.get("icc_profile") or b""
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return UPRIGHT, b""


def read_still(info: MediaInfo, path: Path | None = None) -> NDArray:
    """Decodes one picture, upright: (H, W, 3), uint8, or uint16 where it holds more than 8 bits.

    info: what `probe` said of it. path: another picture of the same kind (the next of a sequence).
    Raises InputError where it cannot be decoded.
    """
    path = path or info.path
    with open_media(path) as container:
        try:
            frame = next(container.decode(video=0))
        except (StopIteration, av.error.FFmpegError) as error:
            raise InputError(
                f"{path.name} holds no picture that can be decoded.", remedy="Export or download it again."
            ) from error
        to_rgb = RgbReader(info.colour, deep=info.bit_depth > 8)
        return info.orientation.apply(to_rgb(frame))


def write_still(
    path: Path, rgb: NDArray, quality: int, *, bit_depth: int = 8, icc: bytes = b"", comment: str = ""
) -> None:
    """Writes one picture in the format of the path's suffix; it gets its name when it is whole.

    rgb: (H, W, 3), uint8 or uint16 (full scale). quality: 0 to 100, used by JPEG and WebP (100: lossless
    WebP).
    bit_depth: above 8, PNG and TIFF are written with 16 bits a component; JPEG and WebP hold 8.
    icc, comment: the source's colour profile (`MediaInfo.icc`) and a sentence, kept in all but TIFF.
    Raises OutputError where the place cannot be written or is full.
    """
    suffix = path.suffix.lower()
    deep = bit_depth > 8 and suffix not in {".jpg", ".jpeg", ".webp"}
    part = path.with_name(path.name + ".part")
    with output_errors(path):
        try:
            part.write_bytes(_encode_still(_to_depth(rgb, deep), suffix, quality, icc, comment))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _to_depth(rgb: NDArray, deep: bool) -> NDArray:
    if deep and rgb.dtype == np.uint8:
        return rgb.astype(np.uint16) * 257
    if not deep and rgb.dtype == np.uint16:
        return ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return rgb


def _encode_still(rgb: NDArray, suffix: str, quality: int, icc: bytes, comment: str) -> bytes:
    if suffix in {".jpg", ".jpeg", ".webp"}:
        return _encode_lossy(rgb, suffix, quality, icc, comment)
    # Pillow has no RGB with 16 bits; libav's PNG and TIFF encoders have both depths.
    codec, pixel_format = {
        (".png", np.uint8): ("png", "rgb24"),
        (".png", np.uint16): ("png", "rgb48be"),
    }.get((suffix, rgb.dtype.type), ("tiff", "rgb48le" if rgb.dtype == np.uint16 else "rgb24"))
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.height, encoder.width = rgb.shape[:2]
    encoder.pix_fmt = pixel_format
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(rgb), format="rgb48le" if rgb.dtype == np.uint16 else "rgb24"
    )
    frame = frame.reformat(format=pixel_format)
    frame.pts = 0
    picture = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    if codec != "png":
        return picture
    if comment:
        picture = _with_chunk(picture, b"iTXt" + b"Comment\0\0\0\0\0" + comment.encode())
    return _with_chunk(picture, b"iCCP" + b"ICC profile\0\0" + zlib.compress(icc)) if icc else picture


def _with_chunk(png: bytes, body: bytes) -> bytes:
    """Puts a chunk, its type first, behind a PNG's header (PNG specification, 11.3.2.3 and 11.3.3.4)."""
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    header_end = 8 + 25
    return png[:header_end] + chunk + png[header_end:]


def _encode_lossy(rgb: NDArray, suffix: str, quality: int, icc: bytes, comment: str) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    if comment:
        exif[_EXIF_DESCRIPTION_TAG] = comment
    image = Image.fromarray(rgb)
    if suffix == ".webp":
        image.save(
            buffer, "WEBP", quality=quality, lossless=quality >= 100, method=4, icc_profile=icc, exif=exif
        )
    else:
        subsampling = 0 if quality >= 90 else 2
        image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, icc_profile=icc, exif=exif)
    return buffer.getvalue()


def has_alpha(pixel_format: str) -> bool:
    """True where a pixel format stores transparency."""
    return pixel_format.startswith(("rgba", "bgra", "argb", "abgr", "yuva", "gbrap", "ya"))
