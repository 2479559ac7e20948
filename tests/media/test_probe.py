"""What is said about a file before it is restored, and which files are refused."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from seedvr_engine.errors import InputError
from seedvr_engine.media.probe import probe
from tests.media import broken
from tests.media.clips import ClipSpec, clicks, scene, write_clip


def test_a_plain_clip_is_described(tmp_path):
    info = probe(write_clip(tmp_path / "plain.mp4", scene(1, 10), ClipSpec(metadata={"title": "Harbour"})))
    assert (info.kind, info.width, info.height, info.bit_depth) == ("video", 64, 48, 8)
    assert info.rate == 25
    assert info.duration_s == pytest.approx(0.4)
    assert info.metadata["title"] == "Harbour"
    assert not info.interlaced
    assert not info.hdr


def test_a_clip_without_tags_gets_the_colours_that_players_assume(tmp_path):
    small = probe(write_clip(tmp_path / "small.mp4", scene(1, 2)))
    large = probe(write_clip(tmp_path / "large.mp4", [np.zeros((720, 96, 3), np.uint8)] * 2))
    assert (small.colour.matrix, small.colour.range) == ("smpte170m", "tv")
    assert (large.colour.matrix, large.colour.primaries) == ("bt709", "bt709")


def test_hdr_is_recognised_by_its_curve(tmp_path):
    spec = ClipSpec(
        codec="libx265",
        pixel_format="yuv420p10le",
        matrix="bt2020nc",
        full_range=False,
        tags={"color_primaries": 9, "color_trc": 16},
    )
    info = probe(write_clip(tmp_path / "hdr.mkv", scene(1, 3), spec))
    assert info.hdr
    assert (info.bit_depth, info.colour.matrix, info.colour.transfer) == (10, "bt2020nc", "smpte2084")
    assert not probe(write_clip(tmp_path / "sdr.mkv", scene(1, 3))).hdr


def test_interlaced_material_is_flagged_and_said(tmp_path):
    info = probe(write_clip(tmp_path / "fields.mkv", scene(1, 4), ClipSpec(interlaced=True)))
    assert info.interlaced
    assert any("interlaced" in warning for warning in info.warnings)


def test_streams_beside_the_picture_are_named(tmp_path):
    spec = ClipSpec(
        tracks=[clicks(0.4, [0.1]), clicks(0.4, [0.2])],
        subtitles=[(0.1, 0.3, "hello")],
        chapters=[(0, 0.2, "one"), (0.2, 0.4, "two")],
    )
    info = probe(write_clip(tmp_path / "rich.mkv", scene(1, 10), spec))
    assert [(s.codec, s.language) for s in info.audio] == [("aac", "eng"), ("aac", "deu")]
    assert len(info.subtitles) == 1
    assert [chapter.title for chapter in info.chapters] == ["one", "two"]
    assert info.chapters[1].start == Fraction(1, 5)


def test_the_chapter_track_of_an_mp4_is_no_lost_stream(tmp_path):
    info = probe(write_clip(tmp_path / "c.mp4", scene(1, 10), ClipSpec(chapters=[(0, 0.2, "one")])))
    assert [chapter.title for chapter in info.chapters] == ["one"]
    assert info.extras == ()


@pytest.mark.parametrize(
    ("aspect", "width"), [(Fraction(4, 3), 85), (Fraction(8, 9), 57), (Fraction(1), 64), (Fraction(900), 64)]
)
def test_pixels_are_counted_as_squares(tmp_path, aspect, width):
    info = probe(write_clip(tmp_path / "aspect.mkv", scene(1, 2), ClipSpec(aspect=aspect)))
    assert (info.width, info.height) == (width, 48)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (broken.missing, "does not exist"),
        (broken.empty, "is empty"),
        (broken.text, "no video or picture"),
        (broken.sound, "sound but no picture"),
        (broken.no_frames, "no frame"),
        (broken.playlist, "playlist"),
        (broken.concat_named_mp4, "playlist"),
        (broken.too_wide, "16400x2"),
        (broken.too_tall_clip, "16x16386"),
        (broken.a_folder, "is a folder"),
    ],
)
def test_what_cannot_be_restored_is_refused_in_one_sentence_with_a_remedy(tmp_path, make, said):
    with pytest.raises(InputError) as caught:
        probe(make(tmp_path))
    assert said in caught.value.message
    assert caught.value.message.count(". ") == 0
    assert caught.value.remedy.endswith(".")


def test_an_unreadable_file_is_told_from_a_broken_one(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "locked.mp4", scene(1, 2))

    def locked(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", locked)
    with pytest.raises(InputError, match="Permission denied"):
        probe(path)


def test_a_file_name_with_a_pattern_is_one_file(tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 6), (255, 0, 0)).save(tmp_path / "frame%03d.png")
    Image.new("RGB", (16, 6), (0, 255, 0)).save(tmp_path / "frame001.png")
    info = probe(tmp_path / "frame%03d.png")
    assert (info.kind, info.width) == ("image", 8)


def test_a_movie_that_keeps_its_pictures_in_another_file_opens_nothing_else(tmp_path, monkeypatch):
    """A .mov may name another file as the place of its samples; only the file itself is ever opened."""
    path = write_clip(tmp_path / "refers.mov", scene(1, 3))
    # 'url ' with flag 1 means "in this file"; an 'alis' record without it points elsewhere.
    data = path.read_bytes()
    assert data.count(b"url \x00\x00\x00\x01") >= 1
    path.write_bytes(data.replace(b"url \x00\x00\x00\x01", b"url \x00\x00\x00\x00"))
    opened = []
    original = Path.open

    def noted(self, *args, **kwargs):
        opened.append(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", noted)
    probe(path)
    assert set(opened) == {path}
