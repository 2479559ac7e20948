"""Pictures: every kind at 8 and 16 bit, turned upright, written whole; folders of them as a clip."""

import gc
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageCms

from seedvr_engine.errors import InputError, OutputError, UsageError
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.media.sequence import probe_sequence, sequence_files
from seedvr_engine.media.write import choose_target, write_still
from tests.media.clips import scene


def _picture(deep=False):
    picture = scene(5, 1)[0]
    return (
        picture.astype(np.uint16) * 257 + np.arange(64, dtype=np.uint16)[None, :, None] if deep else picture
    )


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_a_lossless_picture_comes_back_as_it_was(tmp_path, suffix):
    write_still(tmp_path / f"p.{suffix}", _picture(), 100)
    info = probe(tmp_path / f"p.{suffix}")
    assert (info.kind, info.width, info.height, info.bit_depth) == ("image", 64, 48, 8)
    frames = list(read_frames(info))
    assert len(frames) == 1
    # WebP stores RGB losslessly as well.
    assert np.array_equal(frames[0].rgb, _picture())


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_kept(tmp_path, suffix):
    write_still(tmp_path / f"p.{suffix}", _picture(deep=True), 80, bit_depth=16)
    info = probe(tmp_path / f"p.{suffix}")
    assert info.bit_depth == 16
    assert np.array_equal(next(read_frames(info)).rgb, _picture(deep=True))


def test_a_deep_picture_is_rounded_for_a_shallow_format(tmp_path):
    write_still(tmp_path / "p.png", _picture(deep=True), 80, bit_depth=8)
    read = next(read_frames(probe(tmp_path / "p.png"))).rgb
    assert np.array_equal(read, _picture())


def test_a_jpeg_is_close_and_its_colours_are_right(tmp_path):
    write_still(tmp_path / "p.jpg", _picture(), 95)
    read = next(read_frames(probe(tmp_path / "p.jpg"))).rgb
    pillow = np.asarray(Image.open(tmp_path / "p.jpg").convert("RGB"))
    assert np.abs(read.astype(int) - pillow).max() <= 3


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(tmp_path, suffix, orientation):
    picture = np.kron(np.array([[0, 90, 180], [220, 40, 130]], np.uint8), np.ones((24, 24), np.uint8))
    image = Image.fromarray(np.stack([picture] * 3, -1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {"quality": 95} if suffix == "jpg" else {}
    image.save(tmp_path / f"p.{suffix}", exif=exif, **options)
    from PIL import ImageOps

    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"p.{suffix}")).convert("RGB"))
    info = probe(tmp_path / f"p.{suffix}")
    read = next(read_frames(info)).rgb
    assert read.shape == upright.shape == (info.height, info.width, 3)
    assert np.abs(read.astype(int) - upright).max() <= 4


def test_grey_and_palette_pictures_become_rgb(tmp_path):
    grey = Image.fromarray(_picture()).convert("L")
    grey.save(tmp_path / "grey.png")
    read = next(read_frames(probe(tmp_path / "grey.png"))).rgb
    assert np.abs(read.astype(int) - np.asarray(grey)[..., None]).max() <= 1
    palette = Image.fromarray(_picture()).quantize(32)
    palette.save(tmp_path / "palette.png")
    read = next(read_frames(probe(tmp_path / "palette.png"))).rgb
    assert np.array_equal(read, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_profile_comes_along(tmp_path, suffix, depth):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(_picture()).save(tmp_path / "in.png", icc_profile=profile)
    info = probe(tmp_path / "in.png")
    assert info.icc == profile
    out = tmp_path / f"out.{suffix}"
    write_still(out, _picture(deep=depth == 16), 100, bit_depth=depth, icc=info.icc)
    assert probe(out).icc == profile
    assert (
        np.abs(next(read_frames(probe(out))).rgb / (65535 if suffix == "png" and depth == 16 else 255)).max()
        <= 1
    )


def test_looking_at_many_pictures_with_profiles_does_no_harm(tmp_path):
    """PyAV 18 frees a PNG profile's name twice once side data was looked at; the collector then crashes."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [Image.fromarray(frame) for frame in scene(5, 3)]
    frames[0].save(tmp_path / "still.png", icc_profile=profile)
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:], icc_profile=profile)
    for _ in range(30):
        for name in ("still.png", "moving.png"):
            assert len(list(read_frames(probe(tmp_path / name)))) == (3 if name == "moving.png" else 1)
    gc.collect()


def test_transparency_is_dropped_and_said(tmp_path):
    rgba = np.dstack([_picture(), np.full((48, 64), 200, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "p.png")
    info = probe(tmp_path / "p.png")
    assert any("transparency" in warning for warning in info.warnings)
    assert np.array_equal(next(read_frames(info)).rgb, _picture())


def test_an_animation_is_a_clip_and_a_single_gif_a_picture(tmp_path):
    frames = [Image.fromarray(frame) for frame in scene(5, 4)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=100)
    frames[0].save(tmp_path / "still.gif")
    moving = probe(tmp_path / "moving.gif")
    assert moving.kind == "video"
    assert [frame.time for frame in read_frames(moving)] == [Fraction(n, 10) for n in range(4)]
    assert probe(tmp_path / "still.gif").kind == "image"


def test_a_picture_gets_its_name_when_it_is_whole(tmp_path):
    (tmp_path / "p.png.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space"):
        write_still(tmp_path / "p.png", _picture(), 80)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_written_as_png_unless_its_name_says_otherwise(tmp_path):
    write_still(tmp_path / "in.png", _picture(), 80)
    info = probe(tmp_path / "in.png")
    assert choose_target(info, (96, 128)).container == "png"
    assert choose_target(info, (96, 128), tmp_path / "out.jpeg").container == "jpg"
    with pytest.raises(UsageError, match="mp4"):
        choose_target(info, (96, 128), tmp_path / "out.mp4")


def test_a_sequence_is_read_in_natural_order(tmp_path):
    for name in (1, 2, 10, 9, 100):
        Image.fromarray(np.full((6, 8, 3), name, np.uint8)).save(tmp_path / f"shot {name}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    info = probe_sequence(tmp_path, 24)
    assert (info.kind, info.rate, info.frames_estimate) == ("sequence", 24, 5)
    read = list(read_frames(info))
    assert [int(frame.rgb[0, 0, 0]) for frame in read] == [1, 2, 9, 10, 100]
    assert [frame.time for frame in read] == [Fraction(n, 24) for n in range(5)]
    later = list(read_frames(info, first=3))
    assert [(frame.number, int(frame.rgb[0, 0, 0])) for frame in later] == [(3, 10), (4, 100)]


def test_a_sequence_with_a_picture_of_another_size_stops_there_and_names_it(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "1.png")
    Image.new("RGB", (9, 6)).save(tmp_path / "2.png")
    reader = read_frames(probe_sequence(tmp_path, "30000/1001"))
    assert next(reader).number == 0
    with pytest.raises(InputError, match=r"2\.png is 9x6"):
        next(reader)


def test_a_folder_without_pictures_and_a_rate_of_zero_are_refused(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        probe_sequence(tmp_path, 25)
    Image.new("RGB", (8, 6)).save(tmp_path / "1.png")
    for rate in (0, -1, "abc"):
        with pytest.raises(UsageError, match="no frame rate"):
            probe_sequence(tmp_path, rate)
    assert sequence_files(tmp_path) == [tmp_path / "1.png"]
