"""What was deleted, damaged or left lying is dealt with, and nothing that was said is lost."""

import os
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from seedvr_engine.errors import Cancelled
from seedvr_engine.media.probe import probe
from seedvr_engine.media.read import read_frames
from seedvr_engine.pipeline.background import Prefetched
from seedvr_engine.pipeline.restore import restore
from tests.pipeline.runs import PREVIEW, clip, frames_of


def stop_at(source, output, enough, options=PREVIEW):
    seen = []
    with pytest.raises(Cancelled):
        restore(source, output, options, on_progress=seen.append, cancelled=lambda: enough(seen[-1]))


def test_a_segment_deleted_by_hand_is_made_again_from_its_frames(tmp_path):
    source, output = clip(tmp_path / "film.mp4", (70, 6, 8)), tmp_path / "out.mkv"
    restore(source, tmp_path / "undisturbed.mkv", PREVIEW)
    stop_at(source, output, lambda now: now.stage == "decode" and now.shot == 1)
    (work,) = [path for path in tmp_path.glob(".out.mkv.*") if path.is_dir()]
    assert not (work / "shot-000000").exists()
    (work / "segments" / "000000000").unlink()
    result = restore(source, output, PREVIEW)
    assert result.shots == (0, 70, 76)
    assert np.array_equal(frames_of(output), frames_of(tmp_path / "undisturbed.mkv"))


def test_a_warning_of_the_reader_is_told_by_the_run_that_finishes(tmp_path):
    whole = clip(tmp_path / "whole.mkv", (30,), gop=6)
    source, output = tmp_path / "cut.mkv", tmp_path / "out.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    stop_at(source, output, lambda now: now.stage == "decode")
    warnings = restore(source, output, PREVIEW).warnings
    assert any("cut" in warning or "ends at" in warning for warning in warnings)


def test_unfinished_work_of_other_choices_is_told_and_goes_after_a_week(tmp_path):
    source, output = clip(tmp_path / "film.mp4", (6,)), tmp_path / "out.mkv"
    stop_at(source, output, lambda now: now.stage == "decode", replace(PREVIEW, seed=1))
    (work,) = [path for path in tmp_path.glob(".out.mkv.*") if path.is_dir()]
    told = []
    restore(source, output, PREVIEW, on_progress=told.append)
    assert any(work.name in note for note in told[-1].notes)
    assert work.is_dir()
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(work / "state.json", (week_ago, week_ago))
    restore(source, output, PREVIEW, overwrite=True, on_progress=told.append)
    assert not work.exists()
    assert not any(work.name in note for note in told[-1].notes)


def test_a_join_can_be_stopped_and_leaves_nothing_half_written(tmp_path):
    source, output = clip(tmp_path / "film.mp4", (6,)), tmp_path / "out.mkv"
    stop_at(source, output, lambda now: now.stage == "join")
    assert not list(tmp_path.glob("out.mkv*"))
    restore(source, output, PREVIEW)
    assert len(frames_of(output)) == 6


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_picture_says_what_restored_it(suffix, tmp_path):
    Image.fromarray(np.full((16, 24, 3), 90, np.uint8)).save(tmp_path / "in.png")
    output = tmp_path / f"out.{suffix}"
    restore(tmp_path / "in.png", output, replace(PREVIEW, size="2x", container=None, codec=None))
    with Image.open(output) as image:
        note = image.info["Comment"] if suffix == "png" else image.getexif()[0x010E]
    assert note.startswith("Restored with preview")


def test_every_picture_of_a_folder_says_what_restored_it(tmp_path):
    source = clip(tmp_path / "film.mp4", (2,))
    restore(source, tmp_path / "out", replace(PREVIEW, container="png", codec=None))
    for path in sorted((tmp_path / "out").glob("*.png")):
        with Image.open(path) as image:
            assert image.info["Comment"].startswith("Restored with preview")


def test_waiting_for_a_reader_ends_when_the_restoration_does():
    """The reader never gives anything; whoever waits for it is asked all the same."""
    released = threading.Event()

    def make(is_stopped):
        released.wait(20)
        yield 1

    def check():
        raise Cancelled("stop")

    frames = Prefetched(make, 2, check)
    with pytest.raises(Cancelled):
        next(iter(frames))
    released.set()
    frames.close()


def test_a_reader_on_its_way_to_a_frame_far_behind_can_be_stopped(tmp_path):
    info = probe(clip(tmp_path / "film.mp4", (40,)))
    reader, asked = read_frames(info, first=39), []

    def is_stopped():
        asked.append(True)
        return len(asked) > 3

    reader.is_stopped = is_stopped
    assert list(reader) == []
    assert len(asked) == 4
