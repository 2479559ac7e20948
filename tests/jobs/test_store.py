"""The store: every job is claimed once, an old worker's words count for nothing, files follow their jobs."""

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from seedvr_engine.jobs import database
from seedvr_engine.jobs.claims import LostJob
from seedvr_engine.jobs.errors import NewerDataError, NotReadyError, QueueFullError, UnknownJobError
from seedvr_engine.jobs.messages import JobError
from seedvr_engine.pipeline.messages import Progress
from tests.jobs.stored import Stored

PROGRESS = Progress("decode", 1, 0.5, 10, 20, 4.0, 2.5, 4.0, 100, 200, ("a note",), 3)


@pytest.fixture
def stored(tmp_path) -> Stored:
    return Stored(tmp_path)


def claim_all(root: Path, begin, found) -> None:
    """Claims until nothing is left, in a process of its own."""
    claims = Stored(root).claims(multiprocessing.current_process().name)
    begin.wait()
    while (claim := claims.claim()) is not None:
        found.put(claim.job.id)
    found.put(None)


def test_eight_processes_claim_every_job_once(stored):
    wanted = [stored.add().id for _ in range(40)]
    # Forked, for importing everything eight times takes long; they open the database for themselves.
    processes = multiprocessing.get_context("fork")
    begin, found = processes.Barrier(8), processes.Queue()
    workers = [processes.Process(target=claim_all, args=(stored.root, begin, found)) for _ in range(8)]
    for worker in workers:
        worker.start()
    claimed, ended = [], 0
    while ended < len(workers):
        job_id = found.get(timeout=60)
        ended += job_id is None
        claimed += [job_id] if job_id is not None else []
    for worker in workers:
        worker.join()
    assert sorted(claimed) == sorted(wanted)
    assert {job.state for job in stored.jobs.jobs_of("local")} == {"running"}


def test_previews_come_before_full_jobs_and_both_in_order(stored):
    jobs = [stored.add("full"), stored.add("full"), stored.add("frame"), stored.add("frame")]
    places = [stored.jobs.job(job.id).queue_position for job in jobs]
    claimed = [stored.claims().claim().job.id for _ in jobs]
    assert places == [3, 4, 1, 2]
    assert claimed == [jobs[index].id for index in (2, 3, 0, 1)]


def test_a_job_is_told_as_it_was_given(stored):
    job = stored.add(owner="visitor:1")
    assert (job.state, job.owner, job.options.seed, job.queue_position) == ("queued", "visitor:1", 7, 1)
    assert job.input.path.read_bytes() == b"a clip"
    assert stored.jobs.jobs_of("visitor:2") == []


def test_progress_and_result_are_told(stored):
    stored.add()
    claims = stored.claims()
    claim = claims.claim(timeout_s=60)
    assert claims.beat(claim, 4.0, PROGRESS) is None
    running = stored.jobs.job(claim.job.id)
    assert (running.stage, running.shot, running.progress, running.frames_done) == ("decode", 1, 0.5, 10)
    assert (running.left_s, running.notes, running.ran_s, running.limit_s) == (4.0, ("a note",), 4.0, 60)
    claims.finish(claim, "done", ran_s=5.0, facts={"width": 64}, progress=replace(PROGRESS, done=0.98))
    done = stored.jobs.job(claim.job.id)
    assert (done.state, done.progress, done.facts, done.left_s) == ("done", 1.0, {"width": 64}, None)
    assert done.result == claim.output
    assert done.revision > running.revision


def test_a_beat_without_news_is_no_change(stored):
    stored.add()
    claims = stored.claims()
    claim = claims.claim()
    claims.beat(claim, 1.0)
    assert stored.jobs.job(claim.job.id).revision == claim.job.revision


def test_what_a_worker_writes_after_it_lost_its_job_is_refused(stored):
    job = stored.add()
    old_worker, new_worker = stored.claims("old"), stored.claims("new")
    old = old_worker.claim()
    stored.jobs.requeue(stored.jobs.running()[0], died=True)
    with pytest.raises(LostJob):
        old_worker.beat(old, 1.0, PROGRESS)
    new = new_worker.claim()
    assert new.fence > old.fence
    for write in (
        lambda: old_worker.beat(old, 1.0, PROGRESS),
        lambda: old_worker.tell(old, model="old"),
        lambda: old_worker.finish(old, "failed", ran_s=1.0, error=JobError("internal", "old")),
    ):
        with pytest.raises(LostJob):
            write()
    new_worker.finish(new, "done", ran_s=1.0)
    with pytest.raises(LostJob):
        new_worker.finish(new, "failed", ran_s=1.0)
    assert (stored.jobs.job(job.id).state, stored.jobs.job(job.id).model) == ("done", "")


def test_the_worker_of_an_earlier_server_gets_no_job(stored):
    stored.add()
    stored.jobs.enter_server("the next one")
    assert stored.claims().claim() is None
    assert stored.claims(server="the next one").claim() is not None


def test_a_job_whose_worker_died_comes_before_later_ones(stored):
    first, _ = stored.add(), stored.add()
    stored.claims().claim()
    stored.jobs.requeue(stored.jobs.running()[0], died=True)
    assert stored.claims().claim().job.id == first.id


def test_the_third_worker_that_dies_over_a_job_is_the_last(stored):
    job = stored.add()
    for _ in range(3):
        assert stored.claims().claim().job.id == job.id
        stored.jobs.requeue(stored.jobs.running()[0], died=True)
    failed = stored.jobs.job(job.id)
    assert failed.state == "failed"
    assert failed.error.message.startswith("The worker died 3 times over this job")
    assert stored.claims().claim() is None


def test_deaths_do_not_add_up_while_work_is_kept_nor_when_the_server_died(stored):
    stored.add()
    for died, kept in ((True, 0), (True, 1), (True, 0), (False, 0), (False, 0), (True, 2), (True, 0)):
        claims = stored.claims()
        claim = claims.claim()
        claims.beat(claim, 1.0, replace(PROGRESS, kept=kept))
        stored.jobs.requeue(stored.jobs.running()[0], died=died)
    assert stored.jobs.job(claim.job.id).state == "queued"


def test_cancelling_ends_a_queued_job_and_asks_a_running_one(stored):
    stored.add()
    waiting = stored.add()
    claims = stored.claims()
    claim = claims.claim()
    stored.jobs.cancel(waiting.id)
    stored.jobs.cancel(claim.job.id)
    assert stored.jobs.job(waiting.id).state == "cancelled"
    assert stored.jobs.job(claim.job.id).state == "running"
    assert claims.beat(claim, 1.0) == "cancel"


def test_a_job_that_was_to_be_cancelled_is_not_run_again(stored):
    job = stored.add()
    stored.claims().claim()
    stored.jobs.cancel(job.id)
    stored.jobs.requeue(stored.jobs.running()[0], died=True)
    assert stored.jobs.job(job.id).state == "cancelled"


def test_continuing_grants_the_limit_anew_and_counts_all_seconds(stored):
    stored.add()
    claims = stored.claims()
    claim = claims.claim(timeout_s=10)
    claims.ask_to_stop(claim, "time_limit")
    assert claims.beat(claim, 12.0) == "time_limit"
    claims.finish(claim, "interrupted", ran_s=12.0, error=JobError("time_limit", "over"))
    assert stored.jobs.job(claim.job.id).error.code == "time_limit"
    resumed = stored.jobs.resume(claim.job.id)
    assert (resumed.state, resumed.error) == ("queued", None)
    again = claims.claim(timeout_s=10)
    assert (again.job.limit_s, again.job.ran_s) == (10, 12.0)


def test_a_second_run_after_a_crash_has_what_the_first_one_left_of_the_limit(stored):
    stored.add()
    claims = stored.claims()
    claims.beat(claims.claim(timeout_s=10), 4.0)
    stored.jobs.requeue(stored.jobs.running()[0], died=False)
    assert claims.claim(timeout_s=10).job.limit_s == pytest.approx(6)


def test_a_done_job_is_not_continued_and_a_queued_one_stays(stored):
    job = stored.add()
    assert stored.jobs.resume(job.id).state == "queued"
    claims = stored.claims()
    claims.finish(claims.claim(), "done", ran_s=1.0)
    with pytest.raises(NotReadyError):
        stored.jobs.resume(job.id)


def test_too_many_jobs_are_refused_in_all_and_of_one_owner(stored):
    stored.add(owner="one", most=2, most_of_owner=1)
    with pytest.raises(QueueFullError, match="You have 1 unfinished"):
        stored.add(owner="one", most=2, most_of_owner=1)
    stored.add(owner="two", most=2, most_of_owner=1)
    with pytest.raises(QueueFullError, match="2 jobs are waiting"):
        stored.add(owner="three", most=2, most_of_owner=1)


def test_an_unknown_job_is_told(stored):
    for call in (stored.jobs.job, stored.jobs.cancel, stored.jobs.resume, stored.jobs.remove):
        with pytest.raises(UnknownJobError):
            call("none")


def test_an_input_is_kept_once_and_goes_with_its_last_job(stored):
    first, second = stored.add(), stored.add()
    assert first.input.path == second.input.path
    assert len(list(stored.folders.inputs.iterdir())) == 1
    stored.jobs.remove(first.id)
    stored.inputs.remove_unused()
    assert second.input.path.exists()
    stored.jobs.remove(second.id)
    stored.inputs.remove_unused()
    assert list(stored.folders.inputs.iterdir()) == []


def test_an_input_that_is_held_stays_until_it_is_released(stored):
    kept = stored.input(holder="upload:1")
    job = stored.add()
    stored.jobs.remove(job.id)
    stored.inputs.remove_unused()
    assert kept.path.exists()
    stored.inputs.release(kept.hash, "upload:1")
    assert not kept.path.exists()


def test_an_input_that_has_just_come_is_given_time(stored):
    fresh = stored.input()
    stored.inputs.remove_unused()
    assert stored.inputs.is_there(fresh)


def test_what_a_crash_left_among_the_inputs_is_swept(stored):
    kept = stored.input()
    for name in (".0123.part", "0" * 64 + ".mp4"):
        (stored.folders.inputs / name).write_bytes(b"half")
    stored.inputs.sweep()
    assert list(stored.folders.inputs.iterdir()) == [kept.path]


def test_migrations_run_once_and_in_order(tmp_path, monkeypatch):
    first = database._migrations()
    monkeypatch.setattr(database, "_migrations", lambda: [*first, "CREATE TABLE more (a TEXT);\n"])
    old = Stored(tmp_path)
    old.add()
    with old.database.transaction() as connection:
        connection.execute("INSERT INTO more VALUES ('kept')")
    again = Stored(tmp_path)
    connection = again.database.connection()
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(first) + 1
    assert connection.execute("SELECT a FROM more").fetchone()[0] == "kept"


def test_a_migration_happens_whole_or_not_at_all(tmp_path, monkeypatch):
    first = database._migrations()
    Stored(tmp_path)
    broken = "CREATE TABLE more (a TEXT);\nINSERT INTO nowhere VALUES (1);\n"
    with monkeypatch.context() as patched:
        patched.setattr(database, "_migrations", lambda: [*first, broken])
        with pytest.raises(sqlite3.OperationalError):
            Stored(tmp_path)
    tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'more'"
    connection = Stored(tmp_path).database.connection()
    assert connection.execute(tables).fetchone()[0] == 0
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(first)


def test_a_folder_of_a_later_version_is_refused(stored):
    stored.database.connection().execute("PRAGMA user_version = 999")
    with pytest.raises(NewerDataError, match="later version"):
        Stored(stored.root)


def test_a_busy_database_is_waited_for(stored):
    other = sqlite3.connect(stored.folders.database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    stored.add()
    assert time.monotonic() - began >= 0.25
    other.close()


def test_the_web_process_needs_no_torch():
    modules = "processor, store, supervisor, messages, system, downloads, claims, beat"
    program = f"from seedvr_engine.jobs import {modules}; import sys; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
