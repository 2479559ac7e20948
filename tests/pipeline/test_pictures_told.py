"""Whoever watches a restoration sees frames before and after, and how much of the work is safe."""

from dataclasses import replace

import numpy as np
import pytest

from seedvr_engine.pipeline.messages import Pair, Progress
from seedvr_engine.pipeline.restore import restore
from seedvr_engine.pipeline.task import Viewer
from tests.pipeline.runs import PREVIEW, clip, frames_of


def test_the_first_frame_is_shown_at_once_as_it_was_and_as_it_is_written(tmp_path):
    source, output = clip(tmp_path / "film.mp4", (6,)), tmp_path / "out.mkv"
    shown: list[Pair] = []
    restore(source, output, PREVIEW, on_picture=shown.append)
    first = shown[0]
    assert (first.number, first.time_s) == (0, 0.0)
    assert first.before.shape == first.after.shape == (48, 64, 3)
    assert first.before.dtype == first.after.dtype == np.uint8
    assert np.abs(first.after.astype(int) - frames_of(output)[0]).max() <= 1
    small = frames_of(source)[0]
    assert np.abs(first.before[::2, ::2].astype(int) - small).mean() < 8
    assert not np.array_equal(first.before, first.after)


def test_pictures_are_shown_once_a_second_however_slow_the_viewer():
    now = 100.0
    shown: list[int] = []

    def slow(pair: Pair) -> None:
        nonlocal now
        now += 5
        shown.append(pair.number)

    viewer = Viewer(slow, lambda: now)
    for number in range(40):
        if viewer.is_due:
            viewer.show(Pair(number, 0.0, *np.zeros((2, 4, 4, 3), np.uint8)))
        now += 0.25
    assert shown == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]


def test_a_failure_of_the_viewer_is_not_swallowed(tmp_path):
    source = clip(tmp_path / "film.mp4", (3,))

    def fail(pair: Pair) -> None:
        raise RuntimeError("no screen")

    with pytest.raises(RuntimeError, match="no screen"):
        restore(source, tmp_path / "out.mkv", PREVIEW, on_picture=fail)


def test_pieces_that_are_safe_are_counted_anew_in_every_run(tmp_path):
    source = clip(tmp_path / "film.mp4", (5, 4))
    told: list[Progress] = []
    restore(source, tmp_path / "out.mkv", PREVIEW, on_progress=told.append)
    counts = [progress.kept for progress in told]
    assert counts == sorted(counts)
    assert counts[0] == 0
    # A run of condition latents, a run of restored ones and a segment for each shot.
    assert counts[-1] == 6


def test_a_deep_output_is_shown_in_8_bits(tmp_path):
    source = clip(
        tmp_path / "deep.mkv", (2,), codec="libx265", pixel_format="yuv420p10le", options={"crf": "8"}
    )
    shown: list[Pair] = []
    restore(source, tmp_path / "out.mkv", replace(PREVIEW, codec="ffv1"), on_picture=shown.append)
    assert shown[0].before.dtype == shown[0].after.dtype == np.uint8
    assert abs(int(shown[0].before.mean()) - int(shown[0].after.mean())) <= 3
