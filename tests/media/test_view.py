"""Frames and copies for the browser."""

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from seedvr_engine.errors import InputError
from seedvr_engine.media.info import Colour
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.media.tonemap import to_screen
from seedvr_engine.media.view import (
    Copy,
    Placement,
    encode_jpeg,
    frame_at,
    make_copy,
    place,
    plays_everywhere,
    times_of,
)
from tests.media.clips import ClipSpec, clicks, heard_clicks, scene, write_clip


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """60 frames of 64x48 with B frames and sound, the frames at uneven times."""
    times = [Fraction(n, 25) + (Fraction(1, 50) if n % 3 == 1 else 0) for n in range(60)]
    spec = ClipSpec(times=times, tracks=[clicks(2.4, [0.5, 1.5])], gop=20)
    return write_clip(tmp_path_factory.mktemp("view") / "film.mp4", scene(3, 60, speed=1.5), spec)


def copied(source: Path, destination: Path, **changes) -> Path:
    """A copy of a clip by its own clock."""
    info = probe(source)
    given = {"clock": source, "shift": Fraction(0), "placement": Placement.whole((info.height, info.width))}
    make_copy(Copy(source, destination, **{**given, "sound": True, **changes}))
    return destination


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_the_frame_at_a_time_is_the_one_that_reading_from_the_start_shows_then(suffix, tmp_path):
    path = write_clip(tmp_path / f"clip{suffix}", scene(5, 45, speed=2), ClipSpec(gop=12))
    info = probe(path)
    frames = list(read_frames(info))
    for number in (0, 1, 11, 12, 29, 44):
        assert np.array_equal(frame_at(info, frames[number].time), frames[number].rgb)
        between = frames[number].time + Fraction(1, 60)
        assert np.array_equal(frame_at(info, between), frames[number].rgb)


def test_outside_of_a_clip_its_first_or_last_frame_is_shown(film):
    info = probe(film)
    frames = list(read_frames(info))
    assert np.array_equal(frame_at(info, Fraction(-1)), frames[0].rgb)
    assert np.array_equal(frame_at(info, Fraction(1000)), frames[-1].rgb)


def test_a_turned_clip_is_seen_upright(tmp_path):
    path = write_clip(tmp_path / "phone.mp4", scene(6, 5, speed=2), ClipSpec(rotation=90))
    info = probe(path)
    frames = list(read_frames(info))
    assert frame_at(info, frames[3].time).shape == (64, 48, 3)
    assert np.array_equal(frame_at(info, frames[3].time), frames[3].rgb)


def test_a_copy_has_every_frame_at_its_time_and_counts_from_0(film, tmp_path):
    times = times_of(probe(film))
    copy = probe(copied(film, tmp_path / "copy.mp4"))
    assert times_of(copy) == [time - times[0] for time in times]
    for original, frame in zip(read_frames(probe(film)), read_frames(copy), strict=True):
        assert distance(original.rgb, frame.rgb) < 6


def test_a_copy_plays_in_every_browser(tmp_path):
    spec = ClipSpec(codec="libx265", pixel_format="yuv420p10le", tracks=[clicks(1, [0.2])])
    path = write_clip(tmp_path / "deep.mkv", scene(4, 20), replace(spec, audio_codec="flac"))
    assert not plays_everywhere(probe(path))
    copy = probe(copied(path, tmp_path / "copy.mp4"))
    assert plays_everywhere(copy)
    assert (copy.width, copy.height) == (64, 48)
    assert copy.colour == Colour()


def test_a_large_clip_is_copied_at_1920_pixels_with_even_sides(tmp_path):
    path = write_clip(
        tmp_path / "wide.mp4", [np.full((101, 2501, 3), 90, np.uint8)] * 2, ClipSpec(pixel_format="yuv444p")
    )
    copy = probe(copied(path, tmp_path / "copy.mp4", sound=False))
    assert (copy.width, copy.height) == (1920, 78)


def test_the_original_of_a_cut_clip_is_copied_in_step_with_it(film, tmp_path):
    """The clock is a clip that begins 1 s later, at half the rate, twice as large."""
    clock_times = [Fraction(n * 2, 25) for n in range(15)]
    clock = write_clip(tmp_path / "result.mp4", scene(1, 15, (96, 128)), ClipSpec(times=clock_times))
    placement = Placement.whole((48, 64), (96, 128))
    copy = copied(
        film, tmp_path / "copy.mp4", clock=clock, shift=Fraction(1), placement=placement, sound=False
    )
    originals = list(read_frames(probe(film)))
    shown = list(read_frames(probe(copy)))
    assert [frame.time for frame in shown] == clock_times
    for frame in shown:
        match = max((o for o in originals if o.time <= frame.time + 1), key=lambda o: o.time)
        assert distance(place(match.rgb, placement), frame.rgb) < 6


def test_sound_stays_in_step_and_is_cut_where_the_copy_begins(film, tmp_path):
    assert heard_clicks(copied(film, tmp_path / "whole.mp4")) == pytest.approx([0.5, 1.5], abs=0.03)
    late = copied(film, tmp_path / "late.mp4", shift=Fraction(1))
    assert heard_clicks(late) == pytest.approx([0.5], abs=0.03)
    assert heard_clicks_none(copied(film, tmp_path / "silent.mp4", sound=False))


def heard_clicks_none(path: Path) -> bool:
    with av.open(str(path)) as container:
        return not container.streams.audio


def test_a_copy_has_its_name_only_when_it_is_whole(film, tmp_path):
    copy = tmp_path / "copy.mp4"
    seen = []
    info = probe(film)
    request = Copy(film, copy, film, Fraction(0), Placement.whole((info.height, info.width)), sound=False)
    make_copy(request, lambda share: seen.append((share, copy.exists())))
    assert seen[-1] == (1.0, False)
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["copy.mp4"]
    with pytest.raises(InputError):
        make_copy(replace(request, source=Path(__file__), destination=tmp_path / "other.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == ["copy.mp4"]


def test_the_process_makes_a_copy_and_ends_with_whoever_asked_for_it(film, tmp_path):
    info = probe(film)
    place_whole = Placement.whole((info.height, info.width))
    request = Copy(film, tmp_path / "copy.mp4", film, Fraction(1, 3), place_whole, sound=True)
    assert Copy.from_json(request.to_json()) == request
    command = [sys.executable, "-m", "seedvr_engine.media.view", request.to_json()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        shares = [float(line) for line in process.stdout]
    assert process.returncode == 0
    assert shares
    assert (tmp_path / "copy.mp4").exists()
    long = write_clip(tmp_path / "l.mp4", scene(1, 2) * 1500)
    long = replace(request, source=long, clock=long, destination=tmp_path / "long.mp4", sound=False)
    command[-1] = long.to_json()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.close()
        assert process.wait(10) == 1
    assert not list(tmp_path.glob("long.mp4*"))


def test_pictures_are_placed_as_the_pipeline_places_them():
    torch = pytest.importorskip("torch")
    from seedvr_engine.pipeline import picture
    from seedvr_engine.pipeline.size import Size, geometry

    rgb = scene(9, 1, (90, 150))[0]
    for text, fit in (("3x", "inside"), ("160x160", "crop"), ("200x200", "pad"), ("64x80", "stretch")):
        shape = geometry((90, 150), Size.parse(text), fit)
        expected = picture.frame_of(picture.prepare(rgb, shape, torch.device("cpu")), shape)
        shown = place(rgb, Placement(shape.crop, shape.resized, shape.output, shape.offset))
        # Pillow filters one direction after the other, and clips in between: at hard edges it shows a little.
        assert distance(picture.to_pixels(expected, 8), shown) < 0.3
        assert np.abs(picture.to_pixels(expected, 8).astype(int) - shown).max() < 10


def test_hdr_is_shown_at_an_ordinary_brightness_and_in_its_hues():
    pq = Colour("bt2020nc", "tv", "bt2020", "smpte2084")
    # PQ signals of 0, 1, 100, 203 and 1000 candela per square metre (ITU-R BT.2408, SMPTE ST 2084).
    signal = np.array([0, 0.1499, 0.5081, 0.5807, 0.7518])
    grey = np.repeat((signal * 65535).round().astype(np.uint16)[None, :, None], 3, 2)
    shown = to_screen(grey, pq)[0]
    assert (np.ptp(shown.astype(int), axis=1) <= 1).all()
    assert shown[0, 0] == 0
    assert 20 < shown[1, 0] < 60
    assert 150 < shown[2, 0] < shown[3, 0] < 235
    assert shown[4, 0] >= 254
    red = np.array([[[40000, 8000, 8000]]], np.uint16)
    assert to_screen(red, pq)[0, 0].argmax() == 0
    hlg = replace(pq, transfer="arib-std-b67")
    # HLG's reference white (203) is at 75 % of the signal.
    assert 185 < to_screen(np.full((1, 1, 3), int(0.75 * 65535), np.uint16), hlg)[0, 0, 0] < 235


def test_what_is_no_hdr_keeps_its_values():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    assert np.array_equal(to_screen(values, Colour()), values)
    assert np.array_equal(to_screen(values.astype(np.uint16) * 257, Colour()), values)


def test_a_moment_is_a_small_jpeg():
    small = encode_jpeg(scene(1, 1, (300, 900))[0], 640)
    assert small[:2] == b"\xff\xd8"
    assert len(small) < 60_000


def test_the_command_line_of_a_copy_is_plain_json(tmp_path):
    request = Copy(
        tmp_path / "a b.mp4",
        tmp_path / "c.mp4",
        tmp_path / "d.mp4",
        Fraction(1001, 30000),
        Placement((0, 1, 2, 3), (4, 5), (6, 7), (8, 9)),
        sound=False,
    )
    assert json.loads(request.to_json())["shift"] == "1001/30000"
