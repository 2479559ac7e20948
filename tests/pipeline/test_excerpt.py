"""The frames that a preview restores lie as they do in the full run: same shot, same latents."""

from dataclasses import replace
from fractions import Fraction

import pytest

from seedvr_engine.errors import InputError
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.pipeline.excerpt import excerpt, number_at
from tests.pipeline.runs import SMALL, clip

CUT = 26
LENGTHS = (CUT, 50)
RATE = 25


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return probe(clip(tmp_path_factory.mktemp("film") / "film.mkv", LENGTHS))


def at(film, frame: int, length_s: float | None = None, **options):
    return excerpt(film, replace(SMALL, **options), frame / RATE, length_s, time_factor=4)


def test_it_begins_where_a_latent_of_the_shot_ends_and_ends_with_one(film):
    part = at(film, CUT + 21)
    assert (part.shown, part.shown_stop) == (CUT + 21, CUT + 22)
    # Eight frames early and no more than a latent earlier; latents end at frames 0, 4, 8, ... of the shot.
    assert part.first == CUT + 12
    assert part.stop == CUT + 25
    assert (part.start_s, part.end_s) == pytest.approx(((CUT + 12) / RATE, (CUT + 25) / RATE), abs=1e-3)


def test_it_does_not_reach_across_a_cut(film):
    assert (at(film, CUT + 3).first, at(film, CUT - 1).stop) == (CUT, CUT)


def test_without_shots_or_with_a_start_the_latents_count_from_there(film):
    assert at(film, 50, shots=False).first == 40
    assert at(film, 50, shots=False, start=7 / RATE).first == 7 + 32
    assert at(film, 20, start=7 / RATE).first == 7 + 4


def test_two_seconds_are_shown_from_the_moment_on(film):
    part = at(film, 10, 2.0)
    assert (part.shown, part.shown_stop) == (10, 60)
    assert (part.first, part.stop) == (0, CUT + 37)


@pytest.mark.parametrize(("frame", "shown"), [(500, 75), (0, 0)])
def test_a_moment_outside_is_moved_inside(film, frame, shown):
    assert at(film, frame).shown == shown
    assert at(film, frame, 2.0).shown_stop <= 76


def test_a_moment_before_the_part_that_is_restored_is_its_first_frame(film):
    assert at(film, 2, start=40 / RATE, end=60 / RATE).shown == 40
    assert at(film, 70, start=40 / RATE, end=60 / RATE).shown == 59


def test_a_part_without_frames_is_told(film):
    with pytest.raises(InputError, match="no frame between"):
        at(film, 2, start=100.0)


def test_a_cut_far_before_the_moment_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("seedvr_engine.pipeline.excerpt._SEARCHED_FRAMES", 10)
    film = probe(clip(tmp_path / "film.mkv", (17, 60)))
    assert (at(film, 70).first - 17) % 4 == 0
    monkeypatch.setattr("seedvr_engine.pipeline.excerpt._FURTHEST_FRAMES", 20)
    assert (at(film, 70).first - 50) % 4 == 0


def test_packets_tell_the_number_of_a_frame_where_they_can(film, tmp_path):
    with read_frames(film) as frames:
        assert all(number_at(film, frame.time) == frame.number for frame in frames)
    assert number_at(film, Fraction(1, 50)) == 1
    assert number_at(probe(clip(tmp_path / "film.ts", (30,))), Fraction(1)) == 0
