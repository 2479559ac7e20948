"""Frames come out upright, square, numbered and timed; broken files give what they have; memory is flat."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from seedvr_engine.errors import InputError
from seedvr_engine.media.orientation import from_angle
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from tests.media.clips import ClipSpec, clicks, scene, write_clip

LOSSLESS = ClipSpec(codec="ffv1", pixel_format="bgr0")
CORNERS = {"top left": (slice(4, 12), slice(4, 12)), "bottom right": (slice(-12, -4), slice(-12, -4))}


def _corner_picture():
    """Red at the top left, blue at the bottom right."""
    picture = np.full((48, 64, 3), 128, np.uint8)
    picture[:24, :24] = (230, 20, 20)
    picture[24:, 40:] = (20, 20, 230)
    return picture


def _same(one, other):
    return all(np.array_equal(a.rgb, b.rgb) and a.time == b.time for a, b in zip(one, other, strict=True))


def test_lossless_frames_come_out_as_they_went_in(tmp_path):
    frames = scene(1, 10)
    read = list(read_frames(probe(write_clip(tmp_path / "c.mkv", frames, LOSSLESS))))
    assert [frame.number for frame in read] == list(range(10))
    assert all(np.array_equal(frame.rgb, drawn) for frame, drawn in zip(read, frames, strict=True))


@pytest.mark.parametrize(
    ("turn", "red", "blue"),
    [(90, (-8, 8), (8, -8)), (-90, (8, -8), (-8, 8)), (180, (-8, -8), (8, 8))],
)
def test_a_rotated_clip_is_turned_upright(tmp_path, turn, red, blue):
    info = probe(write_clip(tmp_path / "r.mp4", [_corner_picture()] * 3, ClipSpec(rotation=turn)))
    assert (info.width, info.height) == ((48, 64) if turn != 180 else (64, 48))
    assert info.rotation == -turn % 360
    frame = next(read_frames(info))
    assert frame.rgb.shape == (info.height, info.width, 3)
    assert np.argmax(frame.rgb[red]) == 0
    assert frame.rgb[red].max() > 200
    assert np.argmax(frame.rgb[blue]) == 2


@pytest.mark.parametrize(
    ("angle", "clockwise"), [(0, 0), (90, 270), (-90, 90), (180, 180), (-180, 180), (88, 270)]
)
def test_an_angle_alone_says_the_turn(angle, clockwise):
    assert from_angle(angle).rotation == clockwise


def test_wide_pixels_become_square_ones(tmp_path):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = 255
    info = probe(write_clip(tmp_path / "a.mkv", [picture] * 2, ClipSpec(aspect=Fraction(2))))
    frame = next(read_frames(info))
    assert frame.rgb.shape == (48, 128, 3)
    assert frame.rgb[24, 56].max() < 20
    assert frame.rgb[24, 72].min() > 235


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_variable_rate_keeps_every_timestamp(tmp_path, suffix):
    times = [Fraction(ms, 1000) for ms in (0, 40, 57, 200, 241, 600, 633, 700, 1000, 1040)]
    info = probe(write_clip(tmp_path / f"v.{suffix}", scene(1, 10), ClipSpec(times=times)))
    assert [frame.time for frame in read_frames(info)] == times


def test_a_late_first_frame_keeps_its_time(tmp_path):
    times = [Fraction(1, 2) + n / Fraction(25) for n in range(5)]
    spec = ClipSpec(times=times, tracks=[clicks(0.8, [0.1])])
    info = probe(write_clip(tmp_path / "late.mp4", scene(1, 5), spec))
    assert [frame.time for frame in read_frames(info)] == times


def test_ten_bits_come_as_sixteen(tmp_path):
    ramp = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], 48, 0).repeat(3, 2)
    spec = ClipSpec(codec="ffv1", pixel_format="yuv444p10le", matrix="bt709", full_range=False)
    frame = next(read_frames(probe(write_clip(tmp_path / "ramp.mkv", [ramp], spec))))
    assert frame.rgb.dtype == np.uint16
    assert np.abs(frame.rgb.astype(int) - ramp).max() < 257  # finer than 8 bits
    assert len(np.unique(frame.rgb[0, :, 1])) > 60


@pytest.mark.parametrize("size", [(47, 63), (48, 65), (1, 1)])
def test_odd_sizes_are_read_whole(tmp_path, size):
    frames = [frame[: size[0], : size[1]] for frame in scene(1, 3, (48, 66))]
    info = probe(write_clip(tmp_path / "odd.mkv", frames, LOSSLESS))
    assert (info.height, info.width) == size
    assert np.array_equal(list(read_frames(info))[2].rgb, frames[2])


def _clip_with_b_frames(path):
    return write_clip(
        path, scene(3, 130), ClipSpec(gop=10, options={"crf": "20", "preset": "fast", "bf": "3"})
    )


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_starting_later_gives_the_same_numbers_times_and_pixels(tmp_path, suffix):
    info = probe(_clip_with_b_frames(tmp_path / f"c.{suffix}"))
    whole = list(read_frames(info))
    assert len(whole) == 130
    for first, stop in ((0, 3), (49, 52), (60, 61), (77, 90), (125, None), (129, 500)):
        part = list(read_frames(info, first=first, stop=stop))
        assert [frame.number for frame in part] == list(range(first, min(stop or 130, 130)))
        assert _same(part, whole[first:stop])
    assert list(read_frames(info, first=130)) == []


def test_starting_later_decodes_little_of_what_lies_before(tmp_path):
    info = probe(_clip_with_b_frames(tmp_path / "c.mp4"))
    damaged = bytearray(info.path.read_bytes())
    with av.open(str(info.path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size][1:60]
    for position, size in places:
        damaged[position + 5 : position + size] = b"\x55" * (size - 5)
    (tmp_path / "damaged.mp4").write_bytes(damaged)
    reader = read_frames(replace(info, path=tmp_path / "damaged.mp4"), first=110)
    assert _same(reader, read_frames(info, first=110))
    assert reader.warnings == []  # The damage was not even seen.


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_a_cut_off_clip_gives_what_there_is_and_a_warning(tmp_path, suffix):
    path = write_clip(tmp_path / f"c.{suffix}", scene(3, 100, (96, 128), noise=20), ClipSpec(gop=10))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 55 // 100])
    reader = read_frames(probe(path))
    numbers = [frame.number for frame in reader]
    assert 40 < len(numbers) < 70
    assert numbers == list(range(len(numbers)))
    # An MPEG transport stream is made to be cut anywhere: nothing in it says how long it should be.
    assert suffix == "ts" or any("ends at" in warning or "cut off" in warning for warning in reader.warnings)


def test_a_cut_off_mp4_whose_index_came_first_is_read_up_to_the_cut(tmp_path):
    path = tmp_path / "c.mp4"
    write_clip(tmp_path / "plain.mp4", scene(3, 100, (96, 128), noise=20), ClipSpec(gop=10))
    with (
        av.open(str(tmp_path / "plain.mp4")) as source,
        av.open(str(path), "w", options={"movflags": "faststart"}) as copy,
    ):
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 55 // 100])
    reader = read_frames(probe(path))
    assert 40 < len(list(reader)) < 70
    assert any("ends at" in warning for warning in reader.warnings)


def test_a_cut_off_mp4_without_its_index_is_refused_with_a_remedy(tmp_path):
    path = write_clip(tmp_path / "c.mp4", scene(3, 50))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="cut off before its index") as caught:
        probe(path)
    assert caught.value.remedy


def test_a_whole_clip_gives_no_warning(tmp_path):
    reader = read_frames(probe(write_clip(tmp_path / "c.mkv", scene(3, 30))))
    assert len(list(reader)) == 30
    assert reader.warnings == []


def test_a_wrong_frame_count_in_the_container_changes_nothing(tmp_path):
    info = replace(probe(write_clip(tmp_path / "c.mp4", scene(3, 30))), frames_estimate=7)
    assert len(list(read_frames(info))) == 30


def _open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_closing_early_frees_the_file(tmp_path):
    info = probe(write_clip(tmp_path / "c.mkv", scene(3, 30)))
    before = _open_files()
    with read_frames(info) as reader:
        next(reader)
        assert _open_files() > before
    assert _open_files() == before


_COUNT_MEMORY = """
import resource, sys
from pathlib import Path
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
frames = sum(1 for _ in read_frames(probe(Path(sys.argv[1]))))
print(frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_clip(tmp_path):
    size = (240, 320)
    drawn = scene(1, 8, size)
    spec = ClipSpec(options={"crf": "30", "preset": "ultrafast"})
    peaks = {}
    for count in (60, 600):
        path = write_clip(tmp_path / f"{count}.mp4", (drawn[n % 8] for n in range(count)), spec)
        done = subprocess.run(
            [sys.executable, "-c", _COUNT_MEMORY, str(path)], capture_output=True, text=True, check=True
        )
        frames, peak = done.stdout.split()
        assert int(frames) == count
        peaks[count] = int(peak) * 1024
    # The 540 frames more would be 124 MB.
    assert peaks[600] < peaks[60] + 20 * 1024**2
