"""Killed at any moment, worker or server or both: every job ends done, once, and nothing is left over."""

import json
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.jobs.conftest import LENGTHS
from tests.jobs.host import Host, Outside, processes_of
from tests.pipeline.runs import frames_of


def kept(outside: Outside, job_id: str, kind: str, shot: int = 0) -> int:
    """Finished runs of latents of a shot ("condition", "restored")."""
    work = outside.work(job_id)
    return len(list(work.glob(f"shot-{shot:06d}/{kind}/*.safetensors"))) if work else 0


def is_encoded(outside: Outside, job_id: str) -> bool:
    """Whether the end of the first shot has been seen."""
    work = outside.work(job_id)
    try:
        state = json.loads((work / "state.json").read_text()) if work else {"shots": []}
    except FileNotFoundError:
        return False
    return bool(state["shots"]) and state["shots"][0]["frames"] is not None


def claimed(outside: Outside, job_id: str) -> bool:
    job = outside.job(job_id)
    return job.state == "running" and job.stage == "" and outside.work(job_id) is None


def encoding(outside: Outside, job_id: str) -> bool:
    return kept(outside, job_id, "condition") > 0 and not is_encoded(outside, job_id)


def restoring(outside: Outside, job_id: str) -> bool:
    return is_encoded(outside, job_id) and kept(outside, job_id, "restored") == 1


def decoding(outside: Outside, job_id: str) -> bool:
    """Whether a segment is being written, by this run: a killed one leaves such files too."""
    work, job = outside.work(job_id), outside.job(job_id)
    if work is None or job.state != "running" or job.started_at is None:
        return False
    with suppress(FileNotFoundError):
        return any(part.stat().st_mtime >= job.started_at for part in work.glob("segments/*.part"))
    return False


def writing(outside: Outside, job_id: str) -> bool:
    output = outside.output(job_id)
    return output.with_name(output.name + ".part").exists()


def renamed(outside: Outside, job_id: str) -> bool:
    return outside.output(job_id).exists() and outside.job(job_id).state == "running"


def kill(outside: Outside, host: Host, worker: psutil.Process, victims: str) -> Host:
    """Kills, starts a new server where the old one was among the victims; returns the server."""
    if victims != "server":
        worker.send_signal(signal.SIGKILL)
    if victims == "worker":
        return host
    host.kill()
    if victims == "server":
        worker.resume()
        outside.wait(lambda: not processes_of(outside.root), "the end of a worker without a server")
    return Host(outside.root)


def kill_at(
    moment: Callable[[Outside, str], bool], outside: Outside, host: Host, job_id: str, victims: str
) -> Host:
    if moment is not renamed:
        return kill(outside, host, outside.freeze(lambda: moment(outside, job_id), moment.__name__), victims)
    outside.wait(lambda: decoding(outside, job_id), pause_s=0.002)
    # The last word on the job has to wait, so that the result is there and nobody knows of it.
    with outside.writing_blocked():
        worker = outside.freeze(lambda: moment(outside, job_id), moment.__name__)
        if victims != "server":
            worker.send_signal(signal.SIGKILL)
    return kill(outside, host, worker, victims)


def assert_done_once(outside: Outside, job_ids: list[str]) -> None:
    for job_id in job_ids:
        outside.wait(lambda: outside.job(job_id).is_final, "the end of the job")  # noqa: B023
        job = outside.job(job_id)
        assert (job.state, job.error) == ("done", None)
        assert len(frames_of(job.result)) == sum(LENGTHS)
    names = {path.name for path in outside.folders.outputs.iterdir()}
    assert names == {outside.output(job_id).name for job_id in job_ids}
    log = (outside.folders.logs / "worker.log").read_text()
    assert log.count("done after") == len(job_ids)
    assert outside.integrity() == "ok"


def run(
    root: Path, film: Path, kills: list[tuple[Callable[[Outside, str], bool], str, int]], jobs: int
) -> None:
    """Queues jobs and kills while they run: at a moment, somebody, of one of the jobs."""
    host, outside = Host(root), Outside(root)
    try:
        job_ids = [host.submit(film) for _ in range(jobs)]
        for moment, victims, index in kills:
            host = kill_at(moment, outside, host, job_ids[index], victims)
        assert_done_once(outside, job_ids)
    finally:
        host.close()
    assert processes_of(root) == []


def test_killed_three_times_every_job_is_done_once(film, tmp_path):
    run(tmp_path, film, [(encoding, "worker", 0), (decoding, "server", 0), (renamed, "both", 1)], jobs=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", [claimed, encoding, restoring, decoding, writing, renamed])
def test_killed_at_any_moment_every_job_is_done_once(moment, film, tmp_path):
    run(
        tmp_path,
        film,
        [(moment, victims, index) for index, victims in enumerate(("worker", "server", "both"))],
        3,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["frame", "clip"])
def test_a_killed_preview_is_made_all_the_same(kind, film, tmp_path):
    host, outside = Host(tmp_path), Outside(tmp_path)
    job_id = host.submit(film, kind)
    folder = outside.folders.job(job_id)
    suffix = "png" if kind == "frame" else "mp4"
    host = kill(outside, host, outside.freeze(lambda: (folder / "restored.mkv").exists()), "both")
    outside.wait(lambda: outside.job(job_id).is_final)
    host.close()
    assert outside.job(job_id).state == "done"
    made = {f"{name}.{suffix}" for name in ("before", "after")}
    assert {path.name for path in folder.iterdir() if not path.name.endswith(".jpg")} == made
