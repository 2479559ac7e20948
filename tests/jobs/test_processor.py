"""The processor with its real worker, on clips of a second."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from seedvr_engine.errors import InputError, UsageError
from seedvr_engine.jobs.errors import DataFolderInUseError, QueueFullError, UnknownJobError
from seedvr_engine.jobs.messages import Job
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.media import view
from seedvr_engine.media.probe import probe
from seedvr_engine.media.tonemap import to_screen
from tests.jobs.conftest import LENGTHS
from tests.jobs.host import SMALL, Outside, processes_of
from tests.jobs.stored import settings_in
from tests.pipeline.runs import clip, frames_of


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def processor(root) -> Iterator[SeedVRProcessor]:
    """One for all tests of this file: a worker takes seconds to start."""
    running = SeedVRProcessor(settings_in(root))
    running.start()
    yield running
    running.stop()
    assert processes_of(root) == []


# Seconds of work, so that there is time to act.
SLOW = replace(SMALL, size="256x192")


def end_of(processor: SeedVRProcessor, job: Job) -> Job:
    """The job when nothing more happens to it."""
    *_, last = processor.events(job.id)
    return last


def wait_for(processor: SeedVRProcessor, job: Job, enough: Callable[[Job], bool]) -> Job:
    for now in processor.events(job.id):
        if enough(now):
            return now
    raise AssertionError(f"it ended before: {now}")


def is_encoding(job: Job) -> bool:
    return job.stage == "encode"


def test_a_clip_is_restored_and_watched_from_the_queue_to_the_result(processor, film):
    job = processor.process_video(film, SLOW, name="My film: 1/2.mp4", owner="visitor:1", batch="b")
    seen = list(processor.events(job.id))
    done = seen[-1]
    assert [seen[0].state, seen[-2].state, done.state] == ["queued", "running", "done"]
    assert all(one.revision <= other.revision for one, other in pairwise(seen))
    assert len({now.progress for now in seen}) > 3
    assert done.result.name == f"My film_ 1_2_restored_{job.id[:8]}.mkv"
    assert len(frames_of(done.result)) == sum(LENGTHS) == done.frames_done
    assert (done.facts["width"], done.facts["height"], done.facts["frames"]) == (256, 192, 60)
    assert done.model.startswith("preview")
    assert done.plan
    folder = processor.folder_of(job.id)
    before, after = (cv2.imread(str(folder / f"latest_{name}.jpg")) for name in ("before", "after"))
    assert before.shape == after.shape == (192, 256, 3)
    assert (folder / "thumbnail.jpg").exists()
    assert [other.id for other in processor.jobs_of("visitor:1")] == [job.id]
    assert [other.id for other in processor.batch_of("b")] == [job.id]
    assert not processor.foresee(job.input, SLOW).is_guess


def test_a_running_job_is_cancelled_within_three_seconds_and_goes_on_from_its_work(processor, film):
    job = processor.process_video(film, SLOW)
    wait_for(processor, job, lambda now: now.frames_done > 0)
    began = time.monotonic()
    processor.cancel(job.id)
    cancelled = end_of(processor, job)
    assert time.monotonic() - began < 3
    assert (cancelled.state, cancelled.result) == ("cancelled", None)
    again = processor.resume(job.id)
    assert again.state == "queued"
    first = wait_for(processor, job, lambda now: now.state == "running" and now.stage != "")
    assert first.progress > 0.2
    done = end_of(processor, job)
    assert done.state == "done"
    assert done.ran_s > cancelled.ran_s


def test_a_queued_job_is_cancelled_at_once(processor, film):
    running, waiting = (processor.process_video(film, SLOW) for _ in range(2))
    processor.cancel(waiting.id)
    assert processor.status(waiting.id).state == "cancelled"
    processor.cancel(running.id)
    assert end_of(processor, running).is_final


def test_previews_come_first_and_show_what_the_full_run_shows(processor, film):
    full = [processor.process_video(film, SLOW)]
    wait_for(processor, full[0], lambda now: now.state == "running")
    full += [processor.process_video(film, SMALL)]
    frame = processor.process_video(film, SLOW, kind="frame", moment_s=1.3)
    assert [processor.status(job.id).queue_position for job in (frame, full[1])] == [1, 2]
    ends = [end_of(processor, job) for job in (frame, *full)]
    assert [job.state for job in ends] == ["done"] * 3
    assert ends[0].started_at < ends[2].started_at
    shown, original = (cv2.imread(str(ends[0].result.with_name(f"{n}.png"))) for n in ("after", "before"))
    # 1.3 s at 25 frames a second: frame 32.
    run, fast = frames_of(ends[1].result)[30:35], shown[..., ::-1].astype(np.int16)
    far = [np.abs(fast - other).mean() for other in run]
    assert far[2] < 1.0
    assert np.abs(original[..., ::-1].astype(np.int16) - run[2]).mean() > 2 * far[2]


@pytest.mark.parametrize("kind", ["frame", "clip"])
def test_a_preview_of_hdr_looks_right_on_an_ordinary_screen(processor, tmp_path, kind):
    tags = {"color_primaries": 9, "color_trc": 16}
    hdr = {"codec": "libx265", "pixel_format": "yuv420p10le", "matrix": "bt2020nc", "full_range": False}
    film = clip(tmp_path / "hdr.mp4", (10,), tags=tags, options={"crf": "12"}, **hdr)
    assert probe(film).hdr
    job = end_of(processor, processor.process_video(film, SMALL, kind=kind, moment_s=0.2))
    assert job.state == "done"
    seen = to_screen(view.frame_at(probe(film), Fraction(1, 5)), probe(film).colour)
    for side in ("before", "after"):
        info = probe(job.result.with_stem(side))
        assert not info.hdr
        shown = view.frame_at(info, Fraction(0))
        enlarged = cv2.resize(seen, (64, 48), interpolation=cv2.INTER_CUBIC)
        assert np.abs(shown.astype(float) - enlarged).mean() < 12


def test_a_preview_of_two_seconds_plays_beside_its_original(processor, tmp_path):
    film = clip(tmp_path / "long.mp4", (40, 40))
    job = end_of(processor, processor.process_video(film, SMALL, kind="clip", moment_s=0.6))
    assert job.state == "done"
    clips = [job.result.with_name(f"{name}.mp4") for name in ("before", "after")]
    infos = [probe(path) for path in clips]
    assert {(info.codec, info.width, info.height, info.frames_estimate) for info in infos} == {
        ("h264", 64, 48, 50)
    }
    original = frames_of(film)[15]
    first = cv2.resize(original.astype(np.float32), (64, 48), interpolation=cv2.INTER_CUBIC)
    assert np.abs(frames_of(clips[0])[0] - first).mean() < 4


def test_a_picture_is_previewed_and_restored(processor, tmp_path):
    picture = tmp_path / "photo.png"
    cv2.imwrite(str(picture), np.full((24, 32, 3), (40, 90, 200), np.uint8))
    plain = replace(SMALL, container=None, codec=None)
    jobs = [processor.process_video(picture, plain, kind=kind) for kind in ("frame", "full")]
    ends = [end_of(processor, job) for job in jobs]
    assert [job.state for job in ends] == ["done", "done"]
    assert ends[1].result.suffix == ".png"
    assert cv2.imread(str(ends[0].result)).shape == cv2.imread(str(ends[1].result)).shape == (48, 64, 3)
    with pytest.raises(UsageError, match="no two seconds"):
        processor.process_video(picture, plain, kind="clip")


def test_a_failure_says_what_happened_and_what_to_do(processor, film):
    job = end_of(processor, processor.process_video(film, replace(SMALL, model="3b")))
    assert (job.state, job.error.code) == ("failed", "checkpoint")
    assert job.error.message
    assert "seedvr download 3b" in job.error.remedy
    assert "CheckpointError" in job.error.details


def test_an_input_that_was_damaged_is_called_by_its_own_name(processor, film, tmp_path):
    # The queue stands still meanwhile, behind a running job.
    ahead = processor.process_video(film, SLOW)
    film = clip(tmp_path / "short.mp4", (10,))
    job = processor.process_video(film, SMALL, name="Holidays.mp4")
    job.input.path.write_bytes(b"no clip")
    processor.cancel(ahead.id)
    failed = end_of(processor, job)
    assert (failed.state, failed.error.code) == ("failed", "input")
    assert failed.error.message.startswith("Holidays.mp4 is no video")


def test_what_cannot_be_restored_is_refused_at_once(processor, film, tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("no clip")
    with pytest.raises(InputError, match=r"My notes\.mp4 is no video"):
        processor.add_input(text, "My notes.mp4")
    with pytest.raises(UsageError):
        processor.process_video(film, replace(SMALL, container="webm"))
    with pytest.raises(UsageError, match="The moment is nan"):
        processor.process_video(film, SMALL, kind="frame", moment_s=float("nan"))
    with pytest.raises(UsageError, match="million pixels"):
        processor.process_video(film, replace(SMALL, size="16384x12288"))


def test_a_deleted_job_leaves_nothing_behind(processor, root, tmp_path):
    film = clip(tmp_path / "own.mp4", (30,))
    job = processor.process_video(film, SLOW)
    wait_for(processor, job, is_encoding)
    processor.delete(job.id)
    with pytest.raises(UnknownJobError):
        processor.status(job.id)
    left = [path for path in root.rglob("*") if job.id[:8] in path.name or path.stem == job.input.hash]
    assert left == []


def test_a_second_server_is_refused_and_told_why(processor, root):
    second = SeedVRProcessor(settings_in(root))
    with pytest.raises(DataFolderInUseError, match="Another server"):
        second.start()


def test_the_disk_that_is_full_interrupts_and_room_lets_it_continue(processor, root, tmp_path):
    film = clip(tmp_path / "film.mp4", (11,))
    worker = Outside(root).worker()
    worker.rlimit(psutil.RLIMIT_FSIZE, (8 << 20, psutil.RLIM_INFINITY))
    # A run of latents of this size takes more than 8 MiB.
    job = processor.process_video(film, replace(SMALL, size="320x240"))
    interrupted = end_of(processor, job)
    worker.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    assert (interrupted.state, interrupted.error.code) == ("interrupted", "output")
    assert interrupted.error.message.startswith("No space is left")
    processor.resume(job.id)
    assert end_of(processor, job).state == "done"


def test_a_worker_that_does_not_listen_is_gone_within_three_seconds(processor, root, film):
    """The last one here, as it costs a worker."""
    job = processor.process_video(film, SLOW)
    wait_for(processor, job, is_encoding)
    worker = Outside(root).worker()
    worker.suspend()
    began = time.monotonic()
    processor.cancel(job.id)
    assert end_of(processor, job).state == "cancelled"
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    assert time.monotonic() - began < 3
    assert processor.system().worker == "off"


def test_the_time_limit_interrupts_and_every_continue_gets_further(tmp_path):
    processor = SeedVRProcessor(settings_in(tmp_path, timeout_s=0.01))
    processor.start()
    job = processor.process_video(clip(tmp_path / "film.mp4", (20,)), SMALL)
    runs = [end_of(processor, job)]
    while runs[-1].state == "interrupted":
        assert runs[-1].error.code == "time_limit"
        processor.resume(job.id)
        runs.append(end_of(processor, job))
    processor.stop()
    assert runs[-1].state == "done"
    assert len(runs) > 1
    shares = [run.progress for run in runs]
    assert shares == sorted(set(shares))


def test_limits_of_a_server_are_kept(film, tmp_path):
    limits = {"max_queued": 2, "max_queued_per_visitor": 1, "max_duration_s": 3.0}
    processor = SeedVRProcessor(settings_in(tmp_path, **limits))
    processor.start()
    try:
        processor.process_video(film, SMALL, owner="one")
        with pytest.raises(QueueFullError, match="You have 1"):
            processor.process_video(film, SMALL, owner="one")
        with pytest.raises(InputError, match=r"long\.mp4 lasts"):
            processor.process_video(clip(tmp_path / "long.mp4", (80,)), SMALL, owner="two")
    finally:
        processor.stop()


def test_what_was_kept_long_enough_is_removed(film, tmp_path):
    processor = SeedVRProcessor(settings_in(tmp_path, keep_results_days=1e-12))
    processor.start()
    job = processor.process_video(film, SMALL)
    processor.cancel(job.id)
    processor._clean()
    processor.stop()
    assert list((tmp_path / "data" / "inputs").iterdir()) == []
