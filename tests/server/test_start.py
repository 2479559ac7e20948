"""Starting the server: what it says, what it refuses, and how it is reached from outside."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from gradio_client import Client

from tests.server.serving import ROOT, Server, free_port, serving, small_clip, start, stop, submit, wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with users, under a path of a proxy, that asks for a share link where there is no network."""
    folder = tmp_path_factory.mktemp("start")
    variables = {
        "GRADIO_AUTH": "ann:one,bob:two",
        "GRADIO_ROOT_PATH": "/restore",
        "GRADIO_SHARE": "true",
        # Whatever the network of the machine: nothing listens there.
        "HTTPS_PROXY": f"http://127.0.0.1:{free_port()}",
        "HF_TOKEN": "hf_secretsecretsecret",
    }
    with serving(folder, **variables) as server:
        yield server


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def ran(folder: Path, **variables: str) -> tuple[int, str]:
    """`python app.py` that is expected to end by itself: exit code and stderr."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        env={**os.environ, "SEEDVR_DATA": str(folder / "data"), "SEEDVR_OUTPUTS": str(folder), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_the_first_lines_say_where_everything_is(server):
    said = server.log()
    assert f"Page:     {server.url}/restore" in said
    assert str(server.folder / "outputs") in said
    assert "Models:   preview" in said
    assert "no /workspace that can be written" in said or "Files:    /workspace\n" in said
    assert "Sign-in:  needed" in said


def test_without_a_tunnel_the_page_starts_and_says_so(server):
    assert "There is no share link" in server.log()
    assert "The page works without it" in server.log()


def test_no_secret_is_printed_or_logged(server):
    logs = "".join(path.read_text() for path in (server.folder / "data" / "logs").iterdir())
    for secret in ("hf_secretsecretsecret", "ann:one"):
        assert secret not in server.log() + logs


def test_users_see_their_own_jobs_by_every_way_in(server, tmp_path):
    clip = small_clip(tmp_path / "reel.mp4")
    headers = {"Authorization": basic("ann", "one")}
    with server.client(headers=headers) as ann:
        sent = submit(ann, clip)
        job = wait_for(ann, sent["id"], "done", "failed")
        assert job["state"] == "done", job["error"]
        client = Client(server.url, headers=headers, verbose=False)
        assert client.predict(job["id"], "", api_name="/status")["state"] == "done"
    with server.client(headers={"Authorization": f"Bearer {sent['token']}"}) as program:
        assert program.get(f"/api/jobs/{job['id']}").status_code == 200
    with server.client(headers={"Authorization": basic("bob", "two")}) as bob:
        assert bob.get(f"/api/jobs/{job['id']}").status_code == 404
    with server.client() as nobody:
        for path in ("/", "/api/jobs", "/config", "/metrics", f"/api/jobs/{job['id']}"):
            assert nobody.get(path).status_code == 401
        assert nobody.get("/healthz").status_code == 200


def test_the_page_works_under_the_path_of_a_proxy(server):
    """Whether the proxy cuts its path off or passes it on."""
    with server.client(headers={"Authorization": basic("ann", "one")}) as browser:
        for path in ("/", "/restore/", "/api/models", "/restore/api/models", "/restore/parts/site.js"):
            assert browser.get(path).status_code == 200, path
        assert '"/restore"' in browser.get("/").text or "/restore" in browser.get("/config").json()["root"]
        for path in ("/restore/gradio_api/file=/etc/passwd", "/gradio_api/file=/etc/passwd"):
            assert browser.get(path).status_code == 404
        answer = browser.post("/restore/api/uploads", headers={"Upload-Length": "5"})
        assert answer.headers["location"].startswith("/restore/api/uploads/")


def test_two_servers_do_not_share_a_data_folder(server, tmp_path):
    variables = {"SEEDVR_DATA": str(server.folder / "data"), "GRADIO_PORT": str(free_port())}
    code, said = ran(tmp_path, **variables)
    assert code != 0
    assert "Another server" in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_told(server, tmp_path):
    code, said = ran(tmp_path, GRADIO_HOST="127.0.0.1", GRADIO_PORT=server.url.rpartition(":")[2])
    assert code == 2
    assert "GRADIO_PORT" in said
    assert "Traceback" not in said


def test_a_variable_that_makes_no_sense_is_named(tmp_path):
    code, said = ran(tmp_path, SEEDVR_TIMEOUT="soon")
    assert code == 2
    assert said.startswith("SEEDVR_TIMEOUT")
    assert "Traceback" not in said


def test_the_server_ends_at_once_though_somebody_listens_and_a_job_runs(tmp_path):
    server = start(tmp_path / "ending")
    try:
        with server.client() as client:
            job = submit(client, small_clip(tmp_path / "long.mp4", frames=60), size="4x")["id"]
            wait_for(client, job, "running", "done")
            with client.stream("GET", f"/api/jobs/{job}/events") as stream:
                next(stream.iter_lines())
                began = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                server.process.wait(15)
        assert time.monotonic() - began < 12
        assert server.process.returncode == 0
        assert "Traceback" not in server.log()
        _no_process_left(server)
    finally:
        stop(server)


def _no_process_left(server: Server) -> None:
    data = str(server.folder / "data")
    left = []
    for process in psutil.process_iter(["environ", "cmdline"]):
        if (process.info["environ"] or {}).get("SEEDVR_DATA") == data:
            left.append(process.info["cmdline"])
    assert not left, json.dumps(left)
