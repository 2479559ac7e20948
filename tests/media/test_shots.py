"""Shot changes on drawn clips: every cut found, little else taken for one, and the same cuts shot by shot."""

from fractions import Fraction
from itertools import accumulate, pairwise

import cv2
import numpy as np
import pytest

from seedvr_engine.media.read import Frame
from seedvr_engine.media.shots import CERTAIN, LIKELY, distance, mark_shots, thumbnail
from tests.media.clips import scene

SIZE = (96, 160)


def _as_frames(pictures):
    return (Frame(n, Fraction(n, 25), None, picture) for n, picture in enumerate(pictures))


def _cuts(pictures):
    """Numbers of the frames that begin a shot, without the first."""
    shots = [shot for shot, _ in mark_shots(_as_frames(pictures))]
    return [n for n in range(1, len(shots)) if shots[n] != shots[n - 1]]


def _noisy(pictures, strength, seed=0):
    rng = np.random.default_rng(seed)
    return [(p + rng.normal(0, strength, p.shape)).clip(0, 255).astype(np.uint8) for p in pictures]


def _joined(lengths, **options):
    pictures = [p for seed, length in enumerate(lengths) for p in scene(seed + 11, length, SIZE, **options)]
    return pictures, list(accumulate(lengths))[:-1]


@pytest.mark.parametrize("speed", [0, 1, 4])
@pytest.mark.parametrize("noise", [0, 10])
def test_hard_cuts_are_found_and_nothing_else(speed, noise):
    for first in range(0, 12, 3):
        lengths = (8, 5, 12)
        pictures = [
            p
            for n, length in enumerate(lengths)
            for p in scene(first + n, length, SIZE, speed=speed, noise=noise)
        ]
        assert _cuts(pictures) == [8, 13]


def test_photographs_are_told_apart():
    data = pytest.importorskip("skimage.data")
    pictures = [data.chelsea(), data.coffee(), data.astronaut(), data.rocket(), data.retina(), data.camera()]
    pictures = [p if p.ndim == 3 else np.stack([p] * 3, -1) for p in pictures]
    shots = [cv2.resize(p, SIZE[::-1], interpolation=cv2.INTER_AREA) for p in pictures]
    for first in shots:
        for second in shots:
            if first is not second:
                assert _cuts([first] * 2 + [second] * 2) == [2]


def test_shots_of_one_frame_are_shots():
    pictures, borders = _joined((6, 1, 1, 6, 1, 5))
    assert _cuts(pictures) == borders


def test_a_single_foreign_frame_inside_a_shot_is_a_shot():
    pictures, _ = _joined((12,))
    pictures[6] = scene(99, 1, SIZE)[0]
    assert _cuts(pictures) == [6, 7]


def test_a_cut_at_the_very_start_and_end_is_found():
    pictures, borders = _joined((1, 9, 1))
    assert _cuts(pictures) == borders


def test_cuts_between_cards_of_one_colour_are_found():
    red, blue, dark = (
        np.full((*SIZE, 3), colour, np.uint8) for colour in ((180, 30, 30), (30, 30, 180), (5, 5, 5))
    )
    assert _cuts([red] * 4 + [blue] * 4 + [dark] * 4) == [4, 8]


def test_a_fast_pan_is_no_cut():
    assert _cuts(scene(4, 30, SIZE, speed=8)) == []


def test_a_zoom_is_no_cut():
    picture = scene(4, 1, (192, 320))[0]
    pictures = []
    for n in range(25):
        height, width = round(192 / 1.03**n), round(320 / 1.03**n)
        pictures.append(cv2.resize(picture[:height, :width], SIZE[::-1], interpolation=cv2.INTER_AREA))
    assert _cuts(pictures) == []


def test_something_that_walks_in_is_no_cut():
    still = scene(4, 1, SIZE)[0]
    pictures = []
    for n in range(30):
        picture = still.copy()
        picture[30:90, max(0, 6 * n - 40) : max(0, 6 * n)] = (200, 60, 40)
        pictures.append(picture)
    assert _cuts(pictures) == []


def test_strong_noise_is_no_cut():
    pictures = scene(4, 1, (360, 640))
    assert _cuts(_noisy(pictures * 20, 40)) == []


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("level", [90, 255])
def test_a_flash_is_no_cut(length, level):
    pictures = scene(4, 20, SIZE)
    for n in range(8, 8 + length):
        pictures[n] = (pictures[n].astype(int) + level).clip(0, 255).astype(np.uint8)
    assert _cuts(pictures) == []


def test_a_flash_on_a_cut_does_not_hide_it():
    pictures, (border,) = _joined((8, 8))
    pictures[border - 1] = np.full_like(pictures[0], 255)
    assert set(_cuts(pictures)) & {border - 1, border}


def test_a_fade_is_cut_at_most_where_it_is_black():
    pictures = scene(4, 40, SIZE)
    levels = np.concatenate([np.linspace(1, 0, 20), np.linspace(0, 1, 20)])
    faded = [(p * level).astype(np.uint8) for p, level in zip(pictures, levels, strict=True)]
    assert set(_cuts(faded)) <= {19, 20, 21}


def test_a_change_of_exposure_is_no_cut():
    pictures = scene(4, 20, SIZE)
    for n in range(10, 20):
        pictures[n] = (pictures[n] * 0.6).astype(np.uint8)
    assert _cuts(pictures) == []


def test_a_long_dissolve_is_cut_once_at_most():
    one, other = scene(4, 30, SIZE), scene(5, 30, SIZE)
    weights = np.linspace(0, 1, 30)[:, None, None, None]
    mixed = [(a * (1 - w) + b * w).astype(np.uint8) for a, b, w in zip(one, other, weights, strict=True)]
    assert len(_cuts(mixed)) <= 1


def _restless():
    """Cuts, flashes, noise, pans and single frames in one clip."""
    pictures, _ = _joined((7, 1, 9, 3, 2, 12, 1, 1, 8), speed=3, noise=6)
    for n in (4, 12, 13, 27, 40):
        pictures[n] = (pictures[n].astype(int) + 160).clip(0, 255).astype(np.uint8)
    return pictures


def test_shots_taken_one_by_one_are_cut_as_within_the_clip():
    pictures = _restless()
    cuts = _cuts(pictures)
    edges = [0, *cuts, len(pictures)]
    assert len(cuts) >= 8
    for begin, end in pairwise(edges):
        assert _cuts(pictures[begin:end]) == []


def test_a_soft_cut_in_a_calm_shot_is_found_though_the_shot_before_was_wild():
    wild = scene(4, 12, SIZE, speed=24)
    one, other = scene(5, 1, SIZE)[0].astype(float), scene(6, 1, SIZE)[0].astype(float)
    calm, soft = [(one * (1 - w) + other * w).astype(np.uint8) for w in (0, 0.4)]
    assert CERTAIN > distance(thumbnail(calm), thumbnail(soft)) > LIKELY
    cuts = _cuts(wild + [calm] * 3 + [soft] * 3)
    assert cuts[-2:] == [12, 15]


def test_what_lies_far_before_does_not_matter():
    pictures = _restless()
    cuts = _cuts(pictures)
    for start in (1, 5, 9, 13, 18, 22, 30):
        later = [cut + start for cut in _cuts(pictures[start:])]
        near = start + 6
        assert [cut for cut in later if cut >= near] == [cut for cut in cuts if cut >= near]


def test_every_frame_comes_once_in_order_and_few_are_held():
    pictures = _restless()
    given = 0

    def counted():
        nonlocal given
        for frame in _as_frames(pictures):
            given += 1
            yield frame

    for number, (_, frame) in enumerate(mark_shots(counted())):
        assert frame.number == number
        assert given - number <= 4
    assert given == len(pictures)
    assert list(mark_shots(iter(()))) == []


def test_sixteen_bit_frames_are_cut_like_eight_bit_ones():
    pictures = _restless()
    assert _cuts([p.astype(np.uint16) * 257 for p in pictures]) == _cuts(pictures)
