"""A worker of two processes, as it would be with two GPUs: they share the shots of a job."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seedvr_engine.jobs.helper import helpers_for
from seedvr_engine.jobs.messages import Job
from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.pipeline.options import Options
from tests.jobs.host import SMALL, Outside, processes_of
from tests.jobs.stored import settings_in
from tests.pipeline.runs import clip, frames_of

LENGTHS = (20, 12, 16, 9, 12, 20, 9, 12)
SLOW = replace(SMALL, size="160x120")


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    return clip(tmp_path_factory.mktemp("clips") / "shots.mp4", LENGTHS)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def processor(root) -> Iterator[SeedVRProcessor]:
    running = SeedVRProcessor(settings_in(root, gpus=2))
    running.start()
    yield running
    running.stop()
    assert processes_of(root) == []


def shots_by_helper(root: Path, job: Job) -> list[int]:
    """What the helper says that it did of a job, once it has noticed that the job is over."""
    log = (root / "data" / "logs" / "worker.log").read_text()
    return [int(count) for count in re.findall(rf"helper \[{job.id}\] (\d+) shots done", log)]


def test_two_processes_share_a_job_unless_one_is_asked_for(processor, root, shots):
    jobs = [processor.process_video(shots, replace(SLOW, gpus=gpus)) for gpus in (0, 1)]
    shared, alone = ([*processor.events(job.id)][-1] for job in jobs)
    assert (shared.state, alone.state) == ("done", "done")
    assert shared.frames_done == sum(LENGTHS)
    assert np.array_equal(frames_of(shared.result), frames_of(alone.result))
    (count,) = shots_by_helper(root, shared)
    assert 1 <= count < len(LENGTHS)
    assert shots_by_helper(root, alone) == []


def test_a_shared_job_is_cancelled_in_three_seconds_and_goes_on_later(processor, root, shots):
    job = processor.process_video(shots, SLOW)
    outside = Outside(root)
    outside.wait(lambda: list(outside.folders.outputs.glob(".*/shot-*.lock")))
    asked = time.monotonic()
    processor.cancel(job.id)
    outside.wait(lambda: processor.status(job.id).is_final)
    assert time.monotonic() - asked < 3
    assert processor.status(job.id).state == "cancelled"
    processor.resume(job.id)
    *_, done = processor.events(job.id)
    assert done.state == "done"
    assert len(frames_of(done.result)) == sum(LENGTHS)
    assert not list(outside.folders.outputs.glob(".*"))


def test_a_helper_that_is_killed_costs_a_start_of_the_worker_and_no_more(processor, root, shots):
    job = processor.process_video(shots, replace(SLOW, seed=2))
    outside = Outside(root)
    outside.wait(lambda: list(outside.folders.outputs.glob(".*/segments/?????????")))
    (helper,) = [process for process in processes_of(root) if process.environ().get("RANK") == "1"]
    helper.kill()
    *_, done = processor.events(job.id)
    assert done.state == "done"
    assert len(frames_of(done.result)) == sum(LENGTHS)
    (again,) = [process for process in processes_of(root) if process.environ().get("RANK") == "1"]
    assert again != helper


@pytest.mark.parametrize(
    ("options", "kind", "helpers"),
    [
        (Options(), "full", 3),
        (Options(gpus=1), "full", 0),
        (Options(gpus=2), "full", 1),
        (Options(gpus=9), "full", 3),
        (Options(device="cuda:1"), "full", 0),
        (Options(), "frame", 0),
    ],
)
def test_a_job_has_as_many_helpers_as_it_may(options, kind, helpers):
    assert helpers_for(options, kind, ranks=4) == helpers
