"""The worker's life: it ends when idle, is replaced when memory ran out, killed when silent; slow to see."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from seedvr_engine.jobs.messages import Job
from seedvr_engine.jobs.processor import SeedVRProcessor
from tests.jobs.host import SMALL, Outside, processes_of
from tests.jobs.stored import settings_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def processor(tmp_path, request) -> Iterator[SeedVRProcessor]:
    running = SeedVRProcessor(settings_in(tmp_path, **getattr(request, "param", {})))
    running.start()
    yield running
    running.stop()
    assert processes_of(tmp_path) == []


def run(processor: SeedVRProcessor, film: Path, **options) -> Job:
    """The job at its end."""
    *_, last = processor.events(processor.process_video(film, replace(SMALL, **options)).id)
    return last


@pytest.mark.parametrize("processor", [{"keep_warm_s": 1.0}], indirect=True)
def test_an_idle_worker_ends_and_the_next_job_gets_a_new_one(processor, tmp_path, film):
    outside = Outside(tmp_path)
    assert run(processor, film).state == "done"
    outside.wait(lambda: processor.system().worker == "off" and not processes_of(tmp_path))
    assert run(processor, film).state == "done"


def test_a_worker_that_ran_out_of_memory_is_replaced(processor, tmp_path, film):
    outside = Outside(tmp_path)
    assert run(processor, film).state == "done"
    first = outside.worker()
    used = first.memory_info().vms
    first.rlimit(psutil.RLIMIT_AS, (used + (64 << 20), psutil.RLIM_INFINITY))
    failed = run(processor, film, size="1600x1200")
    assert (failed.state, failed.error.code) == ("failed", "memory")
    assert failed.error.remedy
    assert run(processor, film).state == "done"
    assert outside.worker() != first


def test_a_silent_worker_is_killed_and_its_job_is_done_by_another(processor, tmp_path, film):
    job = processor.process_video(film, replace(SMALL, size="256x192"))
    outside = Outside(tmp_path)
    silent = outside.freeze(lambda: processor.status(job.id).stage == "encode")
    *_, done = processor.events(job.id)
    assert done.state == "done"
    assert not silent.is_running()


def test_a_worker_that_cannot_start_is_told(processor, film, monkeypatch):
    monkeypatch.setenv("GRADIO_PORT", "none")
    failed = run(processor, film)
    assert (failed.state, failed.error.code) == ("failed", "worker")
    assert "GRADIO_PORT" in failed.error.details


def test_the_memory_of_the_web_process_stays_flat_over_jobs(processor, film):
    used = []
    for _ in range(20):
        job = run(processor, film)
        assert job.state == "done"
        assert processor.foresee(job.input, SMALL).seconds > 0
        processor.system()
        processor.delete(job.id)
        gc.collect()
        used.append(psutil.Process().memory_info().rss)
    # What the first jobs load stays; after them nothing may add up.
    assert max(used[5:]) - min(used[5:]) < 8 << 20, used
