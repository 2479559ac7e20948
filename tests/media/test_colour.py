"""Colours come through: textbook bars in every matrix and range, read, written, and there and back."""

from fractions import Fraction

import numpy as np
import pytest

from seedvr_engine.media.colour import FrameMaker, RgbReader
from seedvr_engine.media.info import Colour
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.media.write import SegmentWriter, choose_target, join_segments
from tests.media.clips import ClipSpec, colour_bars, to_yuv, write_clip, yuv_frame

MATRICES = ["bt709", "smpte170m", "bt470bg", "bt2020nc"]
FORMATS = [("yuv420p", 8), ("yuv444p", 8), ("yuv420p10le", 10), ("yuv422p10le", 10)]


def _middles(picture):
    """One column from the middle of each of the eight bars: away from where chroma is shared."""
    width = picture.shape[1]
    return picture[8:-8, width // 16 :: width // 8].astype(np.float64)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("pixel_format", "bits"), FORMATS)
def test_bars_are_read_within_two_of_255(matrix, full, pixel_format, bits):
    bars = colour_bars((48, 128))
    frame = yuv_frame(to_yuv(bars, matrix, full, bits), pixel_format)
    deep = bits > 8
    rgb = RgbReader(Colour(matrix, "pc" if full else "tv"), deep=deep)(frame)
    assert rgb.dtype == (np.uint16 if deep else np.uint8)
    assert np.abs(_middles(rgb) / (65535 if deep else 255) - _middles(bars)).max() * 255 <= 2


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("pixel_format", "bits"), FORMATS)
def test_bars_are_written_with_the_textbook_values(matrix, full, pixel_format, bits):
    bars = colour_bars((48, 128))
    top = 255 if bits == 8 else 65535
    rgb = np.round(bars * top).astype(np.uint8 if bits == 8 else np.uint16)
    frame = FrameMaker(Colour(matrix, "pc" if full else "tv"), pixel_format)(rgb, 0, Fraction(1, 25))
    wanted = yuv_frame(to_yuv(bars, matrix, full, bits), pixel_format)
    kind = np.uint8 if bits == 8 else np.uint16
    for made, right in zip(frame.planes, wanted.planes, strict=True):
        rows = np.frombuffer(bytes(made), kind).reshape(made.height, -1)[:, : made.width]
        right_rows = np.frombuffer(bytes(right), kind).reshape(right.height, -1)[:, : right.width]
        assert np.abs(_middles(rows) - _middles(right_rows)).max() / 2 ** (bits - 8) <= 2
    assert frame.color_range == (2 if full else 1)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True])
def test_bars_survive_a_file_there_and_back_with_their_tags(tmp_path, matrix, full):
    bars = colour_bars((48, 128))
    frames = [yuv_frame(to_yuv(bars, matrix, full, 8), "yuv420p") for _ in range(3)]
    primaries = {"bt709": 1, "smpte170m": 6, "bt470bg": 5, "bt2020nc": 9}[matrix]
    spec = ClipSpec(
        matrix=matrix,
        full_range=full,
        tags={"color_primaries": primaries, "color_trc": 1},
        options={"crf": "1", "preset": "veryfast"},
    )
    source = probe(write_clip(tmp_path / "in.mp4", frames, spec))
    assert (source.colour.matrix, source.colour.range) == (matrix, "pc" if full else "tv")
    target = choose_target(source, (48, 128), quality=100)
    with SegmentWriter(tmp_path / "piece", target) as writer:
        for frame in read_frames(source):
            writer.write(frame.rgb, frame.time)
    join_segments([tmp_path / "piece"], source, target, tmp_path / "out.mp4")
    result = probe(tmp_path / "out.mp4")
    assert result.colour == source.colour
    for frame in read_frames(result):
        # Each way may round by one and the encoder by one more.
        assert np.abs(_middles(frame.rgb) / 255 - _middles(bars)).max() * 255 <= 4


HDR10 = (
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
)


def test_hdr10_numbers_come_along(tmp_path):
    frames = [yuv_frame(to_yuv(colour_bars(), "bt2020nc", False, 10), "yuv420p10le") for _ in range(2)]
    spec = ClipSpec(
        codec="libx265",
        pixel_format="yuv420p10le",
        matrix="bt2020nc",
        full_range=False,
        tags={"color_primaries": 9, "color_trc": 16},
        options={"crf": "20", "preset": "veryfast", "x265-params": f"log-level=none:bframes=0:{HDR10}"},
    )
    source = probe(write_clip(tmp_path / "in.mkv", frames, spec))
    assert source.hdr_metadata == HDR10
    target = choose_target(source, (48, 64))
    with SegmentWriter(tmp_path / "piece", target) as writer:
        for frame in read_frames(source):
            writer.write(frame.rgb, frame.time)
    join_segments([tmp_path / "piece"], source, target, tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").hdr_metadata == HDR10


@pytest.mark.parametrize(("container", "codec"), [("mov", "prores"), ("webm", "av1"), ("mkv", "h265")])
def test_every_container_carries_the_tags(tmp_path, container, codec):
    spec = ClipSpec(
        codec="libx265",
        pixel_format="yuv420p10le",
        matrix="bt2020nc",
        full_range=False,
        tags={"color_primaries": 9, "color_trc": 16},
    )
    bars = colour_bars((64, 128))
    frames = [yuv_frame(to_yuv(bars, "bt2020nc", False, 10), "yuv420p10le") for _ in range(2)]
    source = probe(write_clip(tmp_path / "in.mkv", frames, spec))
    target = choose_target(source, (64, 128), None, container, codec, 100)
    assert target.bit_depth == 10
    with SegmentWriter(tmp_path / "piece", target) as writer:
        for frame in read_frames(source):
            writer.write(frame.rgb, frame.time)
    join_segments([tmp_path / "piece"], source, target, tmp_path / f"out.{container}")
    result = probe(tmp_path / f"out.{container}")
    assert result.colour == source.colour
    assert result.hdr
    for frame in read_frames(result):
        assert np.abs(_middles(frame.rgb) / 65535 - _middles(bars)).max() * 255 <= 3
