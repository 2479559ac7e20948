"""Resizing, padding and colour are the official ones where there are official ones."""

import numpy as np
import pytest
import torch

from seedvr_engine.pipeline import colour, picture
from seedvr_engine.pipeline.size import Size, geometry
from tests.reference import numbers, relative_error
from tests.reference_weights import uniform


@pytest.mark.parametrize("name", ["resize_down_16x24", "resize_up_72x104"])
def test_resize_is_the_official_one(name):
    size = tuple(map(int, name.split("_")[-1].split("x")))
    resized = picture.resize(uniform("resize/video", (2, 3, 31, 45)) * 0.5 + 0.5, size)
    assert relative_error(resized, numbers("image_ops")[name]) < 1e-5


@pytest.mark.parametrize("name", ["wavelet", "adain"])
def test_colour_correction_is_the_official_one(name):
    content, style = uniform("color/content", (2, 3, 72, 88)), uniform("color/style", (2, 3, 72, 88))
    corrected = colour.CORRECTIONS[name](content, style)
    assert relative_error(corrected, numbers("image_ops")[name]) < 1e-5


@pytest.mark.parametrize("name", ["wavelet", "adain", "lab"])
def test_a_colour_cast_is_taken_away_and_detail_stays(name):
    generator = torch.Generator().manual_seed(1)
    style = torch.rand(1, 3, 8, 8, generator=generator) * 0.4 + 0.3
    style = picture.resize(style, (128, 128)).clamp(0, 1)
    detail = (torch.rand(1, 1, 128, 128, generator=generator) - 0.5) * 0.1
    cast = torch.tensor([0.1, -0.05, 0.08]).view(1, 3, 1, 1)
    corrected = colour.CORRECTIONS[name](style + detail + cast, style)
    assert (corrected - style).mean((0, 2, 3)).abs().max() < 0.01
    kept = torch.corrcoef(torch.stack(((corrected - style).mean(1).flatten(), detail.flatten())))[0, 1]
    assert kept > 0.95


def test_lab_and_back_is_the_same_picture():
    rgb = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(colour.lab_to_rgb(colour.rgb_to_lab(rgb)), rgb, atol=1e-5, rtol=0)
    white = colour.rgb_to_lab(torch.ones(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(white, torch.tensor([100.0, 0.0, 0.0]), atol=1e-2, rtol=0)


@pytest.mark.parametrize("size", [(33, 47), (5, 3), (16, 16), (1, 9)])
def test_padding_reflects_and_the_crop_gives_the_picture_back(size):
    shown = uniform("pad", (1, 3, *size))
    if min(size) == 1:
        shown = shown.expand(1, 3, *size)
    padded = picture.pad(shown, (48, 48))
    assert padded.shape == (1, 3, 48, 48)
    assert torch.equal(padded[..., : size[0], : size[1]], shown)
    if size == (33, 47):
        assert torch.equal(padded[..., 33, :47], shown[..., 31, :])


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 10)])
def test_pixels_survive_the_way_through_tensors(dtype, bits):
    rgb = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (6, 4, 3)).astype(dtype)
    back = picture.to_pixels(picture.to_tensor(rgb, torch.device("cpu")), bits)
    assert back.dtype == dtype
    assert np.abs(back.astype(int) - rgb).max() <= (0 if bits == 8 else 1)


def test_a_frame_larger_than_its_picture_is_black_around_it():
    shape = geometry((120, 160), Size(box=(200, 400)), "pad")
    frame = picture.frame_of(torch.ones(1, 3, *shape.resized), shape)
    assert frame.shape == (1, 3, 200, 400)
    assert frame[..., shape.offset[1]].sum() == 3 * 200
    assert frame[..., shape.offset[1] - 1].sum() == 0
