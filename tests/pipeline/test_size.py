"""A size means what people mean by it."""

import pytest

from seedvr_engine.errors import UsageError
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.size import Size, geometry, official_geometry
from tests.reference import facts


@pytest.mark.parametrize("case", facts("geometry"), ids=str)
def test_the_official_rule(case):
    resized, cropped, offset = official_geometry(tuple(case["input"]), tuple(case["target"]))
    assert [list(resized), list(cropped), list(offset)] == [case["resized"], case["cropped"], case["offset"]]


@pytest.mark.parametrize(
    ("source", "text", "fit", "output"),
    [
        ((120, 212), "720p", "inside", (720, 1272)),
        ((212, 120), "720p", "inside", (1272, 720)),
        ((120, 212), "2x", "inside", (240, 424)),
        ((120, 212), "424x240", "inside", (240, 424)),
        ((478, 320), "2x", "inside", (956, 640)),
        ((120, 160), "1280x720", "inside", (720, 960)),
        ((120, 160), "1280x720", "pad", (720, 1280)),
        ((120, 160), "1280x720", "crop", (720, 1280)),
        ((120, 160), "1280x720", "stretch", (720, 1280)),
        ((120, 160), "641x481", "stretch", (481, 641)),
        ((101, 99), "1.5x", "inside", (152, 148)),
        ((360, 640), "1280x720", "inside", (720, 1280)),
        ((358, 640), "1280x716", "inside", (716, 1280)),
    ],
)
def test_output_sizes(source, text, fit, output):
    shape = geometry(source, Size.parse(text), fit)
    assert shape.output == output
    assert all(side % 16 == 0 for side in shape.padded)
    assert all(0 <= padded - side < 16 for padded, side in zip(shape.padded, shape.resized, strict=True))


def test_the_default_size_stops_at_1080_and_an_explicit_one_does_not():
    assert geometry((720, 1280), Size.parse(Options().size), "inside").output == (1080, 1920)
    assert geometry((720, 1280), Size.parse("2x"), "inside").output == (1440, 2560)


def test_the_default_size_makes_nothing_smaller():
    assert geometry((2160, 3840), Size.parse(Options().size), "inside").output == (2160, 3840)
    assert geometry((240, 320), Size.parse(Options().size), "inside").output == (480, 640)


def test_a_crop_keeps_the_middle_and_the_aspect():
    top, left, height, width = geometry((120, 160), Size.parse("320x160"), "crop").crop
    assert (top, left, height, width) == (20, 0, 80, 160)


@pytest.mark.parametrize("text", ["", "big", "0x", "100x", "720", "12x12", "20000x720", "-2x", "1280*720"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError):
        Size.parse(text)


def test_an_output_beyond_the_largest_side_is_refused():
    with pytest.raises(UsageError, match="16384"):
        geometry((3000, 6000), Size.parse("4x"), "inside")


@pytest.mark.parametrize(
    "wrong",
    [
        {"precision": "int3"},
        {"colour": "sepia"},
        {"steps": 0},
        {"guidance": -1.0},
        {"condition_noise": 1.5},
        {"quality": 101},
        {"start": 5.0, "end": 5.0},
        {"size": "huge"},
    ],
)
def test_options_out_of_range_are_refused_with_a_remedy(wrong):
    with pytest.raises(UsageError) as caught:
        Options(**wrong)
    assert caught.value.remedy
