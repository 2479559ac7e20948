"""Clips as they come from phones, cameras and downloads keep everything about them but their sharpness."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.restore import restore
from tests.media.clips import ClipSpec, clicks, heard_clicks, scene, write_clip

FRAMES = 8
# Frames of a phone: none as long as the one before, one much longer.
UNEVEN_S = [Fraction(ms, 1000) for ms in (0, 33, 71, 100, 350, 383, 391, 450)]
LATE_S = [Fraction(1, 2) + Fraction(n, 25) for n in range(FRAMES)]
H265_10 = {"codec": "libx265", "pixel_format": "yuv420p10le", "options": {"crf": "10", "preset": "ultrafast"}}
SOUND = clicks(FRAMES / 25, (0.05, 0.25))


@dataclass(frozen=True)
class Nasty:
    """name: with its container. size: (height, width) as stored."""

    name: str
    spec: ClipSpec
    size: tuple[int, int] = (24, 32)


NASTIES = [
    Nasty("turned left.mp4", ClipSpec(rotation=90)),
    Nasty("upside down.mov", ClipSpec(rotation=180)),
    Nasty("uneven.mp4", ClipSpec(times=UNEVEN_S)),
    Nasty("uneven.mkv", ClipSpec(times=UNEVEN_S)),
    Nasty("late.mkv", ClipSpec(times=LATE_S)),
    Nasty("film.mp4", ClipSpec(rate=Fraction(24000, 1001))),
    Nasty("deep.mkv", ClipSpec(**H265_10, matrix="bt709", full_range=False)),
    Nasty("wide gamut.mp4", ClipSpec(**H265_10, matrix="bt2020nc", tags={"color_primaries": 9})),
    Nasty("camcorder.mp4", ClipSpec(matrix="smpte170m", full_range=False)),
    Nasty("broadcast.mp4", ClipSpec(matrix="bt709", full_range=False)),
    Nasty("full range.mp4", ClipSpec(matrix="bt709", full_range=True)),
    Nasty("odd.mkv", ClipSpec(pixel_format="yuv444p"), size=(25, 33)),
    Nasty("anamorphic.mkv", ClipSpec(aspect=Fraction(4, 3))),
    Nasty("two languages.mkv", ClipSpec(tracks=(SOUND, SOUND))),
    Nasty("uncompressed sound.mov", ClipSpec(tracks=(SOUND,), audio_codec="pcm_s16le")),
    Nasty("subtitled.mkv", ClipSpec(tracks=(SOUND,), subtitles=((0.0, 0.2, "Hello"),))),
    Nasty("chapters.mp4", ClipSpec(chapters=((0.0, 0.16, "one"), (0.16, 0.32, "two")))),
    Nasty("animation.gif", ClipSpec(codec="gif", pixel_format="rgb8", time_base=Fraction(1, 100))),
    Nasty("old.avi", ClipSpec(codec="mpeg4", time_base=Fraction(1, 25))),
    Nasty("web.webm", ClipSpec(codec="libvpx-vp9", tracks=(SOUND,), audio_codec="libopus")),
    Nasty("broadcast.ts", ClipSpec(tracks=(SOUND,))),
]


def moving(frames: int, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    return scene(11, frames, size, speed=0.5)


def pictures(info: MediaInfo, size: tuple[int, int]) -> NDArray[np.float64]:
    """All frames, 0 to 255, brought to one size (height, width)."""
    frames = (frame.rgb / (257 if frame.rgb.dtype == np.uint16 else 1) for frame in read_frames(info))
    return np.stack([cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in frames])


def blurred(frame: NDArray[np.float64]) -> NDArray[np.float64]:
    return cv2.GaussianBlur(frame, (0, 0), 2)


def times(info: MediaInfo) -> list[Fraction]:
    return [frame.time for frame in read_frames(info)]


@pytest.mark.parametrize("nasty", NASTIES, ids=lambda nasty: nasty.name)
def test_what_is_nasty_comes_out_right(nasty, tmp_path):
    source = write_clip(tmp_path / nasty.name, moving(FRAMES, nasty.size), nasty.spec)
    result = restore(source, None, Options(model="preview"))
    before, after = probe(source), probe(result.output)

    # Upright, with square pixels, twice as large (video wants even sides).
    assert after.rotation == 0
    assert after.sample_aspect == 1
    assert abs(after.width - 2 * before.width) <= 1
    assert abs(after.height - 2 * before.height) <= 1

    shown, restored = (pictures(info, (before.height, before.width)) for info in (before, after))
    assert len(shown) == len(restored)
    assert np.abs(shown.mean((0, 1, 2)) - restored.mean((0, 1, 2))).max() < 2
    # Dither and grain may go, shapes may not.
    assert max(np.abs(blurred(a) - blurred(b)).mean() for a, b in zip(shown, restored, strict=True)) < 5

    # An MPEG stream's zero means nothing; its file begins with its earliest stream.
    origin = before.start if before.free_running else 0
    late = [float(abs(a - origin - b)) for a, b in zip(times(before), times(after), strict=True)]
    assert max(late) < 0.001

    assert after.bit_depth >= min(10, before.bit_depth)
    if before.colour.matrix != "gbr":
        assert after.colour == before.colour
    assert [(s.codec, s.language) for s in after.audio] == [(s.codec, s.language) for s in before.audio]
    assert [s.language for s in after.subtitles] == [s.language for s in before.subtitles]
    assert [(c.start, c.title) for c in after.chapters] == [(c.start, c.title) for c in before.chapters]
    assert result.warnings == before.warnings


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
def test_sound_and_picture_are_in_step_at_the_end(name, tmp_path):
    """A flash and a click together, near the start and near the end."""
    flashes, frames = (5, 70), moving(75, (24, 32))
    for flash in flashes:
        frames[flash] = np.full_like(frames[flash], 255)
    rate = Fraction(30000, 1001)
    sound = clicks(75 / rate, [float(flash / rate) for flash in flashes])
    source = write_clip(tmp_path / name, frames, ClipSpec(rate=rate, tracks=(sound,)))
    # A flash is no cut that matters here.
    output = restore(source, None, Options(model="preview", size="32x24", shots=False)).output
    light = [frame.rgb.mean() for frame in read_frames(probe(output))]
    brightest = sorted(np.argsort(light)[-2:])
    seen = [float(times(probe(output))[index]) for index in brightest]
    heard = heard_clicks(output)
    assert heard == pytest.approx(seen, abs=0.01)
    assert heard == pytest.approx(heard_clicks(source), abs=0.001)


def test_a_part_keeps_sound_and_picture_in_step(tmp_path):
    frames = moving(40, (24, 32))
    frames[30] = np.full_like(frames[30], 255)
    spec = ClipSpec(tracks=(clicks(40 / 25, (30 / 25,)),))
    source = write_clip(tmp_path / "clip.mp4", frames, spec)
    options = Options(model="preview", size="32x24", shots=False, start=0.4, end=1.5)
    output = restore(source, None, options).output
    clock = times(probe(output))
    assert clock[0] == pytest.approx(0, abs=0.001)
    assert all(later > earlier for earlier, later in pairwise(clock))
    light = [frame.rgb.mean() for frame in read_frames(probe(output))]
    assert heard_clicks(output) == pytest.approx([float(clock[int(np.argmax(light))])], abs=0.01)


def test_a_folder_of_them_is_restored_in_one_go(tmp_path, monkeypatch, capsys):
    from seedvr_engine.cli import main

    folder = tmp_path / "in"
    folder.mkdir()
    for nasty in NASTIES[:3]:
        write_clip(folder / nasty.name, moving(2, nasty.size), nasty.spec)
    words = ["seedvr", "restore", str(folder), "--model", "preview", "-o", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "3 restored, 0 skipped, 0 failed." in capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 3
