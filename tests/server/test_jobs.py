"""Jobs over HTTP: what programs can do, and what nobody can do with what is not theirs."""

import io
import json
import zipfile
from pathlib import Path

import httpx
import psutil
import pytest

from tests.server.serving import Server, serving, small_clip, submit, wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("jobs")) as server:
        yield server


@pytest.fixture(scope="module")
def visitor(server: Server):
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return small_clip(tmp_path_factory.mktemp("clips") / "Großes Kino.mp4")


@pytest.fixture(scope="module")
def done(visitor: httpx.Client, clip: Path) -> dict:
    """A finished job of the visitor, and its token."""
    sent = submit(visitor, clip, seed=3)
    return wait_for(visitor, sent["id"], "done", "failed") | {"token": sent["token"]}


def test_a_file_goes_in_and_a_restored_one_comes_out(visitor, done):
    assert done["state"] == "done", done["error"]
    assert done["progress"] == 1
    assert done["frames_done"] == done["frames_total"] == 3
    assert done["options"]["seed"] == 3
    assert done["error"] is None
    answer = visitor.get(f"/api/jobs/{done['id']}/result")
    assert answer.status_code == 200
    assert answer.content[4:8] == b"ftyp"


def test_a_download_has_its_name_and_answers_ranges(visitor, done):
    whole = visitor.get(f"/api/jobs/{done['id']}/result")
    disposition = whole.headers["content-disposition"]
    assert disposition.startswith("attachment; filename*=utf-8''Gro%C3%9Fes%20Kino_restored_")
    part = visitor.get(f"/api/jobs/{done['id']}/result", headers={"Range": "bytes=4-7"})
    assert part.status_code == 206
    assert part.content == b"ftyp"
    assert part.headers["content-range"] == f"bytes 4-7/{len(whole.content)}"
    shown = visitor.get(f"/api/jobs/{done['id']}/result?inline=true")
    assert shown.headers["content-disposition"].startswith("inline")


def test_events_tell_every_change_until_the_end(visitor, clip):
    job = submit(visitor, clip, seed=4)["id"]
    with visitor.stream("GET", f"/api/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert told[-1]["state"] == "done"
    assert [job["revision"] for job in told] == sorted(job["revision"] for job in told)
    assert told[0]["state"] in ("queued", "running")


def test_a_token_is_as_good_as_the_cookie(server, done):
    with server.client(headers={"Authorization": f"Bearer {done['token']}"}) as program:
        assert program.get(f"/api/jobs/{done['id']}").json()["state"] == "done"
        assert program.get(f"/api/jobs/{done['id']}/result").status_code == 200
        assert "set-cookie" not in program.get("/api/jobs").headers


@pytest.mark.parametrize("token", ["nonsense", "InZpc2l0b3I6eCI.aaaa.bbbb"])
def test_a_wrong_token_is_nobody(server, done, token):
    with server.client(headers={"Authorization": f"Bearer {token}"}) as program:
        assert program.get(f"/api/jobs/{done['id']}").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/result"),
        ("GET", "/thumbnail"),
        ("GET", "/latest/before"),
        ("GET", "/latest/after"),
        ("GET", "/frames/0/before"),
        ("GET", "/frames/0/after"),
        ("GET", "/view"),
        ("GET", "/view/before.mp4"),
        ("POST", "/cancel"),
        ("POST", "/continue"),
        ("DELETE", ""),
    ],
)
def test_another_visitors_job_is_answered_like_one_that_does_not_exist(server, done, method, path):
    with server.client() as stranger:
        theirs = stranger.request(method, f"/api/jobs/{done['id']}{path}")
        nobodys = stranger.request(method, f"/api/jobs/{'0' * 32}{path}")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json() == nobodys.json()
    assert set(theirs.json()) == {"code", "message", "remedy"}


def test_a_stranger_sees_no_jobs_in_the_list(server, done):
    with server.client() as stranger:
        assert stranger.get("/api/jobs").json() == []


def test_a_result_is_not_there_before_it_is(visitor, clip):
    job = submit(visitor, clip, seed=5)["id"]
    visitor.post(f"/api/jobs/{job}/cancel")
    now = wait_for(visitor, job, "cancelled", "done")
    if now["state"] == "cancelled":
        answer = visitor.get(f"/api/jobs/{job}/result")
        assert answer.status_code == 409
        assert answer.json()["code"] == "state"


def test_a_cancelled_job_continues(visitor, tmp_path):
    job = submit(visitor, small_clip(tmp_path / "long.mp4", frames=60), size="4x")["id"]
    assert visitor.post(f"/api/jobs/{job}/cancel").status_code == 200
    assert wait_for(visitor, job, "cancelled")["state"] == "cancelled"
    assert visitor.post(f"/api/jobs/{job}/continue").json()["state"] in ("queued", "running")
    visitor.delete(f"/api/jobs/{job}")


def test_deleting_removes_the_files(server, visitor, clip):
    job = submit(visitor, clip, seed=6)["id"]
    result = server.folder / "outputs" / wait_for(visitor, job, "done")["result"]
    assert result.exists()
    assert visitor.delete(f"/api/jobs/{job}").status_code == 204
    assert not result.exists()
    assert visitor.get(f"/api/jobs/{job}").status_code == 404


def test_a_batch_comes_back_as_one_zip(server, visitor, tmp_path):
    for number in (1, 2):
        clip = small_clip(server.folder / "inputs" / f"reel {number}.mp4", seed=number)
        asked = {"input": clip.name, "options": {"model": "preview"}, "batch": "evening"}
        job = visitor.post("/api/jobs", json=asked).json()["id"]
        wait_for(visitor, job, "done")
    answer = visitor.get("/api/batches/evening/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert [name.partition("_restored")[0] for name in archive.namelist()] == ["reel 1", "reel 2"]
    with server.client() as stranger:
        assert stranger.get("/api/batches/evening/zip").status_code == 404
        assert stranger.post("/api/jobs", json=asked).json()["code"] == "usage"


def test_a_folder_of_pictures_comes_back_as_a_zip(visitor, tmp_path):
    job = submit(visitor, small_clip(tmp_path / "sällan.mp4", frames=3), container="png")["id"]
    wait_for(visitor, job, "done")
    answer = visitor.get(f"/api/jobs/{job}/result")
    assert answer.headers["content-disposition"].endswith(".zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
        assert len(pictures) == 3
        assert archive.read(pictures[0]).startswith(b"\x89PNG")
    view = visitor.get(f"/api/jobs/{job}/view")
    assert (view.status_code, view.json()["remedy"]) == (404, "Download it.")


@pytest.mark.parametrize(
    ("asked", "status", "code", "word"),
    [
        ({}, 422, "usage", "what is to be restored"),
        ({"input": "a.mp4", "upload": "b"}, 422, "usage", "once"),
        ({"input": "../data/secret"}, 404, "not_found", "inbox"),
        ({"input": "/etc/passwd"}, 404, "not_found", "inbox"),
        ({"input": "link.mp4"}, 404, "not_found", "inbox"),
        ({"input": ".hidden.mp4"}, 404, "not_found", "inbox"),
        ({"input": "notes.mp4"}, 422, "input", "notes.mp4"),
        ({"input": "reel.mp4", "options": {"sise": "2x"}}, 422, "usage", "sise"),
        ({"input": "reel.mp4", "options": {"seed": "many"}}, 422, "usage", "seed"),
        ({"input": "reel.mp4", "options": {"steps": 99}}, 422, "usage", "steps"),
        ({"input": "reel.mp4", "options": {"model": "/etc/passwd"}}, 422, "usage", "no model"),
        ({"input": "reel.mp4", "options": {"model": "3b"}}, 409, "checkpoint", "3b"),
        ({"input": "reel.mp4", "kind": "film"}, 422, "usage", "kind"),
        ({"upload": "../../etc/passwd"}, 404, "not_found", "upload"),
        ({"upload": "0" * 32}, 404, "not_found", "upload"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_sentence(server, visitor, asked, status, code, word):
    inbox = server.folder / "inputs"
    small_clip(inbox / "reel.mp4")
    small_clip(inbox / ".hidden.mp4")
    (inbox / "notes.mp4").write_text("no film")
    if not (inbox / "link.mp4").is_symlink():
        (inbox / "link.mp4").symlink_to(server.folder / "data" / "jobs.sqlite3")
    answer = visitor.post("/api/jobs", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert word in answer.json()["message"]
    assert str(server.folder) not in answer.text


def test_the_inbox_lists_what_can_be_picked_and_nothing_else(server, visitor):
    small_clip(server.folder / "inputs" / "1962" / "reel.mp4")
    names = {file["name"] for file in visitor.get("/api/inbox").json()}
    assert "1962/reel.mp4" in names
    assert not names & {"link.mp4", ".hidden.mp4"}


def test_the_documents_of_the_interface_need_no_other_host(visitor):
    page = visitor.get("/api/docs").text
    assert "/api/jobs/{id}/events" in page
    assert "src=" not in page
    assert "https://" not in page
    paths = visitor.get("/api/openapi.json").json()["paths"]
    assert {"/api/jobs", "/api/jobs/{id}/result", "/api/models"} <= set(paths)


def test_an_operator_sees_health_and_numbers(visitor, done):
    assert visitor.get("/healthz").json() == {"status": "ok"}
    numbers = visitor.get("/metrics").text
    assert 'seedvr_jobs{state="done"}' in numbers
    assert "seedvr_disk_free_bytes" in numbers
    assert "seedvr_worker_up" in numbers


@pytest.mark.slow
def test_the_servers_memory_stays_flat_over_many_jobs(server, visitor, clip):
    process = psutil.Process(server.process.pid)
    weights = []
    for number in range(25):
        job = submit(visitor, clip, seed=1000 + number)["id"]
        with visitor.stream("GET", f"/api/jobs/{job}/events") as events:
            assert any('"state":"done"' in line for line in events.iter_lines())
        visitor.get("/")
        weights.append(process.memory_info().rss)
    # The first five fill caches.
    assert weights[-1] - weights[4] < 5_000_000
