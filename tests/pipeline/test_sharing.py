"""Processes share the shots of a clip: nothing is done twice or lost, and nothing comes out different."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from seedvr_engine.errors import Cancelled, SilentHelperError
from seedvr_engine.media.probe import probe
from seedvr_engine.pipeline import counts, progress, work
from seedvr_engine.pipeline.crew import helping as helping_devices
from seedvr_engine.pipeline.restore import help_restore, restore
from tests.pipeline.runs import PLAN, PREVIEW, clip, frames_of, times_of
from tests.processes import PROCESSES

LENGTHS = (9, 13, 5, 9, 7, 9)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return clip(tmp_path_factory.mktemp("film") / "film.mkv", LENGTHS)


@pytest.fixture(scope="module")
def alone(source, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("alone") / "alone.mkv"
    restore(source, output, PREVIEW)
    return output


def _help(source: Path, output: Path, over, finished) -> None:
    finished.value = help_restore(source, output, PREVIEW, is_over=over.is_set)


class Helper:
    """A process that helps with the restoration of `source` into `output` until `over` is set."""

    def __init__(self, source: Path, output: Path) -> None:
        self.over = PROCESSES.Event()
        self._finished = PROCESSES.Value("i", -1)
        self.process = PROCESSES.Process(target=_help, args=(source, output, self.over, self._finished))
        self.process.start()

    def end(self) -> int:
        """Returns how many shots it has finished; -1 where it did not get to its end."""
        self.over.set()
        self.process.join()
        return self._finished.value


@contextmanager
def helping(source: Path, output: Path) -> Iterator[Helper]:
    helper = Helper(source, output)
    try:
        yield helper
    finally:
        helper.end()


def is_held(folder: Path, by: int) -> bool:
    """Whether this process holds a shot, as the kernel tells."""
    inodes = {path.stat().st_ino for path in folder.glob(".*/shot-*.lock")}
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any(int(words[4]) == by and int(words[5].split(":")[2]) in inodes for words in locks)


def held(outputs: Path, shot: int) -> IO[str]:
    """Holds a shot of the restoration in this folder, as another process would, until it is closed."""
    (folder,) = outputs.glob(".*")
    lock = (folder / f"shot-{shot:06d}.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def same(one: Path, other: Path) -> bool:
    return times_of(one) == times_of(other) and bool(np.array_equal(frames_of(one), frames_of(other)))


def when(is_so: Callable[[], bool], do: Callable[[], None]) -> Callable[[object], None]:
    """For `on_progress`: does something once, as soon as something is so."""
    done = threading.Event()

    def look(_: object) -> None:
        if not done.is_set() and is_so():
            done.set()
            do()

    return look


def test_shared_shots_come_out_as_those_of_one_process(source, alone, tmp_path):
    output = tmp_path / "shared.mkv"
    told = []
    with helping(source, output) as helper:
        result = restore(source, output, PREVIEW, helpers=1, on_progress=told.append)
        count = helper.end()
    assert 1 <= count < len(LENGTHS)
    assert same(output, alone)
    assert result.frames == told[-1].frames_done == sum(LENGTHS)
    assert [path.name for path in tmp_path.iterdir()] == ["shared.mkv"]


def test_a_helper_that_is_killed_over_a_shot_loses_nothing(source, alone, tmp_path):
    output = tmp_path / "shared.mkv"
    with helping(source, output) as helper:
        pid = helper.process.pid
        kill = when(lambda: is_held(tmp_path, pid), lambda: os.kill(pid, signal.SIGKILL))
        restore(source, output, PREVIEW, helpers=1, on_progress=kill)
        assert helper.end() == -1
    assert helper.process.exitcode == -signal.SIGKILL
    assert same(output, alone)


def test_a_restoration_that_is_stopped_waits_for_its_helper_and_goes_on_later(source, alone, tmp_path):
    output = tmp_path / "shared.mkv"
    with helping(source, output) as helper:
        pid = helper.process.pid
        stop = threading.Event()

        def end() -> None:
            stop.set()
            helper.over.set()

        with pytest.raises(Cancelled):
            restore(
                *(source, output, PREVIEW),
                helpers=1,
                on_progress=when(lambda: is_held(tmp_path, pid), end),
                cancelled=stop.is_set,
            )
        assert not is_held(tmp_path, pid)
    assert list(tmp_path.glob(".*/shot-*"))
    restore(source, output, PREVIEW)
    assert same(output, alone)


def test_a_shot_that_another_process_holds_comes_last(source, alone, tmp_path):
    """The owner does all others first, waits, and takes it over when it is let go."""
    output = tmp_path / "shared.mkv"
    locks = []

    def hold_then_let_go(now) -> None:
        if not locks and now.stage == "encode":
            locks.append(held(tmp_path, shot=0))
        if locks and [path.name for path in tmp_path.glob(".*/shot-??????")] == ["shot-000000"]:
            locks[0].close()

    restore(source, output, PREVIEW, helpers=1, on_progress=hold_then_let_go)
    assert locks[0].closed
    assert same(output, alone)


def test_a_process_that_hangs_over_a_shot_is_told_and_nothing_else_is_lost(source, alone, tmp_path):
    output = tmp_path / "shared.mkv"
    locks = []

    def hang(now) -> None:
        if not locks and now.stage == "encode":
            locks.append(held(tmp_path, shot=0))
            os.utime(locks[0].name, (time.time() - 3600,) * 2)

    with pytest.raises(SilentHelperError, match="has not moved"):
        restore(source, output, PREVIEW, helpers=1, on_progress=hang)
    assert [path.name for path in tmp_path.glob(".*/shot-??????")] == ["shot-000000"]
    locks[0].close()
    restore(source, output, PREVIEW)
    assert same(output, alone)


def test_whoever_holds_a_shot_shows_life(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "_SIGN_S", 0.0)
    kept = work.Work(tmp_path / "out.mkv", "0" * 16)
    kept.save()
    with kept.holding(0):
        os.utime(kept.folder / "shot-000000.lock", (time.time() - 3600,) * 2)
        assert kept.silent_s(0) > 3000
        assert kept.is_held(0)
        assert kept.silent_s(0) > 3000
        kept.show_life()
        assert kept.silent_s(0) < 60


def test_a_helper_finds_nothing_where_there_is_no_restoration(source, tmp_path):
    with helping(source, tmp_path / "shared.mkv") as helper:
        assert helper.end() == 0
    assert not list(tmp_path.iterdir())


def test_a_helper_leaves_alone_what_it_would_cut_into_other_stretches(tmp_path):
    source, output = clip(tmp_path / "film.mkv", (17, 17, 17)), tmp_path / "shared.mkv"
    with helping(source, output) as helper:
        restore(source, output, PREVIEW, plan=replace(PLAN, stretch_latents=4), helpers=1)
        assert helper.end() == 0


def test_with_a_rate_of_its_own_the_end_does_not_depend_on_who_was_first(tmp_path):
    """The last shot lies between two steps of the rate, and its frame is shown only where nothing was."""
    source, options = clip(tmp_path / "film.mkv", (20, 18, 4)), replace(PREVIEW, rate=1.0)
    alone, output = tmp_path / "alone.mkv", tmp_path / "shared.mkv"
    restore(source, alone, options)
    locks = []

    def hold_all_but_the_last(now) -> None:
        if not locks and now.stage == "encode":
            locks.extend(held(tmp_path, shot) for shot in range(2))
        elif now.elapsed_s > 2:
            for lock in locks:
                lock.close()

    restore(source, output, options, helpers=2, on_progress=hold_all_but_the_last)
    assert locks
    assert same(output, alone)


def test_what_an_earlier_run_has_written_is_not_taken_for_work_of_this_one(tmp_path, monkeypatch):
    monkeypatch.setattr(counts, "SEGMENT_FRAMES", 8)
    monkeypatch.setattr(progress, "_INTERVAL_S", 0.0)
    source, output = clip(tmp_path / "film.mkv", (29,)), tmp_path / "shared.mkv"
    stop = threading.Event()

    def look(now) -> None:
        if now.stage == "decode" and now.frames_done >= 20:
            stop.set()

    with pytest.raises(Cancelled):
        restore(source, output, PREVIEW, on_progress=look, cancelled=stop.is_set)
    with held(tmp_path, shot=0) as lock:
        # The frames are there while another process holds the shot, which then lets go.
        let_go = when(lambda: time.monotonic() > began + 0.5, lock.close)
        began = time.monotonic()
        result = restore(source, output, PREVIEW, helpers=1, on_progress=let_go)
    assert result.stage_frames["decode"] <= 29 - 16
    assert result.stage_frames["restore"] == 0


def test_processes_are_started_for_the_devices_that_may_share(source, alone, tmp_path):
    output, options = tmp_path / "shared.mkv", replace(PREVIEW, gpus=2)
    with helping_devices(probe(source), output, options) as helpers:
        assert helpers == 1
        restore(source, output, options, helpers=helpers)
    assert same(output, alone)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("options", [PREVIEW, replace(PREVIEW, gpus=3, device="cpu")], ids=["one", "named"])
def test_nothing_is_started_where_one_device_works_alone(source, tmp_path, options):
    with helping_devices(probe(source), tmp_path / "shared.mkv", options) as helpers:
        assert helpers == 0


def test_a_clip_restored_by_several_from_the_command_line(source, alone, tmp_path):
    output = tmp_path / "shared.mkv"
    words = ("restore", source, "-o", output, "--model", "preview", "--size", PREVIEW.size, "--codec", "ffv1")
    command = [sys.executable, "-m", "seedvr_engine.cli", *words, "--seed", PREVIEW.seed, "--gpus", 2]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    assert same(output, alone)
