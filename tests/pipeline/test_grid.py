"""A constant frame rate repeats frames or leaves them out; speed, length and sound stay."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from seedvr_engine.errors import Cancelled, UsageError
from seedvr_engine.media.probe import probe
from seedvr_engine.pipeline.grid import Grid
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.restore import restore
from tests.media.clips import clicks
from tests.pipeline.runs import PREVIEW, clip, frames_of, times_of


def shown(times: list[Fraction], end: Fraction, grid: Grid) -> list[tuple[int, Fraction]]:
    """(frame, when) for all that a clip shows on the grid."""
    ends = [*times[1:], end]
    pairs = enumerate(zip(times, ends, strict=True))
    return [(number, when) for number, (time, stop) in pairs for when in grid.times(time, stop)]


@pytest.mark.parametrize("rate", [1, 24, Fraction(30000, 1001), 60, 240])
@pytest.mark.parametrize("origin", [Fraction(0), Fraction("1.013")])
def test_every_place_of_the_grid_shows_the_frame_that_is_on(rate, origin):
    random = np.random.default_rng(3)
    times = [origin + Fraction(int(ms), 1000) for ms in np.cumsum(random.integers(1, 90, 60))]
    grid = Grid(Fraction(rate), Fraction(22), origin)
    all_shown = shown(times[:-1], times[-1], grid)
    assert {after[1] - before[1] for before, after in pairwise(all_shown)} == {1 / grid.rate}
    forgiven = 1 / max(grid.rate, grid.source_rate) / 2
    for number, when in all_shown:
        assert times[number] <= when + forgiven < times[number + 1]


def test_a_clip_that_has_the_rate_already_keeps_its_frames():
    for offset in (Fraction(0), Fraction(1, 50), Fraction(7, 1000)):
        times = [offset + Fraction(number, 25) for number in range(50)]
        grid = Grid(Fraction(25), Fraction(25), Fraction(0))
        numbers = [number for number, _ in shown(times, offset + 2, grid)]
        assert numbers == list(range(50))


def test_broadcast_rates_are_meant_by_their_usual_names():
    assert Options(rate=23.976).frame_rate == Options(rate=23.98).frame_rate == Fraction(24000, 1001)
    assert Options(rate=59.94).frame_rate == Fraction(60000, 1001)
    assert [Options(rate=rate).frame_rate for rate in (1, 24.0, 25, 30, 240)] == [1, 24, 25, 30, 240]
    assert Options(rate=12.5).frame_rate == Fraction(25, 2)


@pytest.mark.parametrize("rate", [0.5, 241, -25, float("nan")])
def test_a_rate_that_no_player_shows_is_refused(rate):
    with pytest.raises(UsageError, match="rate"):
        Options(rate=rate)


@pytest.mark.parametrize(("rate", "frames"), [(50.0, 40), (10.0, 8), (1.0, 1)])
def test_the_output_has_the_rate_the_length_and_the_sound_of_the_whole(rate, frames, tmp_path):
    sound = clicks(0.8, (0.1, 0.5))
    source = clip(tmp_path / "film.mkv", (12, 8), tracks=(sound,), audio_codec="flac")
    output = tmp_path / "out.mkv"
    restore(source, output, replace(PREVIEW, rate=rate))
    assert times_of(output) == [Fraction(number) / Fraction(rate) for number in range(frames)]
    assert len(probe(output).audio) == 1
    every = tmp_path / "every.mkv"
    restore(source, every, PREVIEW)
    # What is on at the time of each output frame; half a frame early counts.
    chosen = [int(Fraction(number * 25) / Fraction(rate) + Fraction(1, 2)) for number in range(frames)]
    if rate > 25:
        chosen = [number // 2 for number in range(frames)]
    assert np.abs(frames_of(output) - frames_of(every)[chosen]).max() <= 1


def test_stopped_between_segments_that_show_nothing_it_goes_on_and_ends_the_same(tmp_path):
    """At one frame a second most segments of 64 frames at 100 frames a second show none."""
    source = clip(tmp_path / "fast.mkv", (150, 60), rate=Fraction(100))
    options = replace(PREVIEW, rate=1.0)
    undisturbed, output = tmp_path / "undisturbed.mkv", tmp_path / "out.mkv"
    restore(source, undisturbed, options)
    seen = []
    with pytest.raises(Cancelled):
        restore(
            source,
            output,
            options,
            on_progress=seen.append,
            cancelled=lambda: seen[-1].stage == "decode" and seen[-1].kept > 12,
        )
    restore(source, output, options)
    assert times_of(output) == times_of(undisturbed) == [0, 1, 2]
    assert np.array_equal(frames_of(output), frames_of(undisturbed))


def test_a_clip_shorter_than_a_step_of_its_rate_still_shows_a_frame(tmp_path):
    source = clip(tmp_path / "late.mkv", (3,), times=[Fraction(3, 10), Fraction(2, 5), Fraction(1, 2)])
    restore(source, tmp_path / "out.mkv", replace(PREVIEW, rate=1.0))
    assert len(times_of(tmp_path / "out.mkv")) == 1
