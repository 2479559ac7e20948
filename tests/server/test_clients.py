"""Programs of every kind do the whole round: gradio_client, and an assistant over MCP."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.server.serving import Server, serving, small_clip, wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("clients"), SEEDVR_MCP="true") as server:
        yield server


@pytest.fixture(scope="module")
def gradio(server: Server, tmp_path_factory) -> Client:
    return Client(server.url, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_gradio_client_does_the_whole_round(server, gradio, tmp_path):
    clip = small_clip(tmp_path / "Ein Film.mp4")
    names = {model["name"]: model["present"] for model in gradio.predict(api_name="/models")}
    assert names["preview"]
    sent = gradio.predict(
        video=handle_file(str(clip)), model="preview", size="2x", settings={"seed": 7}, api_name="/restore"
    )
    with server.client(headers=bearer(sent["token"])) as program:
        wait_for(program, sent["id"], "done", "failed")
        job = gradio.predict(job=sent["id"], token=sent["token"], api_name="/status")
        assert job["state"] == "done", job["error"]
        assert (job["name"], job["options"]["seed"]) == ("Ein Film.mp4", 7)
        assert program.get(f"/api/jobs/{sent['id']}/result").content[4:8] == b"ftyp"
    # What was sent is an input now; nothing is left where it came in.
    assert list((server.folder / "data" / "sent").rglob("*.mp4")) == []


def test_gradio_client_cancels(gradio, tmp_path):
    clip = small_clip(tmp_path / "long.mp4", frames=60)
    sent = gradio.predict(handle_file(str(clip)), "preview", "4x", None, api_name="/restore")
    gradio.predict(sent["id"], sent["token"], api_name="/cancel")
    job = gradio.predict(sent["id"], sent["token"], api_name="/status")
    assert job["state"] in ("cancelled", "running")


def test_gradio_client_is_told_what_went_wrong(gradio, tmp_path):
    clip = small_clip(tmp_path / "reel.mp4")
    with pytest.raises(AppError, match="is not a size"):
        gradio.predict(handle_file(str(clip)), "preview", "huge", None, api_name="/restore")
    with pytest.raises(AppError, match="no such job"):
        gradio.predict("0" * 32, "", api_name="/status")
    with pytest.raises(AppError, match="token"):
        gradio.predict("0" * 32, "wrong", api_name="/status")


@pytest.mark.parametrize(
    "path", ["{data}/secret", "/etc/passwd", "{data}/sent/../secret", "{data}/sent/x/y.mp4"]
)
def test_no_path_of_the_machine_can_be_restored(server, path):
    place = path.format(data=server.folder / "data")
    video = {"path": place, "meta": {"_type": "gradio.FileData"}}
    with server.client() as program:
        answer = program.post("/gradio_api/call/restore", json={"data": [video, "preview", "2x", None]})
        event = answer.json()["event_id"]
        told = program.get(f"/gradio_api/call/restore/{event}").text
    assert "event: error" in told
    assert Path(place).exists() == (path != "{data}/sent/x/y.mp4")


def test_what_was_sent_for_a_call_can_be_fetched_by_nobody(server, tmp_path):
    clip = small_clip(tmp_path / "private.mp4")
    with server.client() as program, clip.open("rb") as file:
        (path,) = program.post("/gradio_api/upload", files={"files": (clip.name, file)}).json()
        assert Path(path).read_bytes() == clip.read_bytes()
        for door in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "//gradio_api/file="):
            assert program.get(f"{server.url}{door}{path}").status_code == 404
    with server.client(headers={"Sec-Fetch-Site": "same-origin"}) as browser, clip.open("rb") as file:
        assert browser.post("/gradio_api/upload", files={"files": (clip.name, file)}).status_code == 404


def test_an_assistant_does_the_whole_round(server):
    small_clip(server.folder / "inputs" / "reel.mp4")

    async def round_trip() -> dict[str, Any]:
        async with (
            streamable_http_client(f"{server.url}/mcp") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            tools = {tool.name for tool in (await session.list_tools()).tools}
            assert tools == {"restore", "status", "cancel", "models", "inbox"}
            files = await _call(session, "inbox")
            assert [file["name"] for file in files] == ["reel.mp4"]
            sent = await _call(session, "restore", video="reel.mp4", model="preview", settings={"seed": 9})
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                job = await _call(session, "status", job=sent["id"], token=sent["token"])
                if job["state"] in ("done", "failed"):
                    return job | sent
                await asyncio.sleep(0.2)
            raise AssertionError(job)

    job = asyncio.run(round_trip())
    assert job["state"] == "done", job["error"]
    with server.client(headers=bearer(job["token"])) as program:
        assert program.get(f"/api/jobs/{job['id']}/result").status_code == 200


def test_another_assistant_without_the_token_sees_no_job(server):
    small_clip(server.folder / "inputs" / "reel.mp4")

    async def in_session(act: Callable[[ClientSession], Awaitable[Any]]) -> Any:
        async with (
            streamable_http_client(f"{server.url}/mcp") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return await act(session)

    async def both() -> Any:
        sent = await in_session(lambda session: _call(session, "restore", video="reel.mp4", model="preview"))
        return await in_session(lambda session: session.call_tool("status", {"job": sent["id"]}))

    answer = asyncio.run(both())
    assert answer.isError
    assert "no such job" in answer.content[0].text


async def _call(session: ClientSession, tool: str, **arguments: Any) -> Any:
    answer = await session.call_tool(tool, arguments)
    assert not answer.isError, answer.content
    structured = answer.structuredContent
    if structured is None:
        return json.loads(answer.content[0].text)
    # What is no object is wrapped in one.
    return structured["result"] if set(structured) == {"result"} else structured


def test_an_assistant_from_another_sites_page_is_refused(server):
    with server.client(headers={"Origin": "https://evil.example"}) as page:
        assert page.post("/mcp", json={}).status_code == 403
    with server.client(headers={"Host": "evil.example"}) as page:
        assert page.post("/mcp", json={}).status_code == 421


def test_the_page_itself_is_there_and_loads_nothing_from_elsewhere(server):
    with server.client() as browser:
        page = browser.get("/")
        assert page.status_code == 200
        assert browser.get("/config").status_code == 200
        assert browser.get("/gradio_api/startup-events").status_code == 200
        script = browser.get("/parts/upload.js")
        assert script.headers["cache-control"] == "no-cache"


def test_a_browser_gets_the_cookie_with_the_page(server):
    answer = httpx.get(server.url)
    assert "HttpOnly" in answer.headers["set-cookie"]


def test_a_page_that_is_kept_is_right_for_everyone_who_asks(server):
    first, second = httpx.get(server.url), httpx.get(f"{server.url}/?job=abc&deep_link=x")
    assert first.headers["set-cookie"] != second.headers["set-cookie"]
    assert first.text == second.text
    assert first.headers["content-encoding"] == "gzip"
    assert httpx.get(server.url, headers={"Accept-Encoding": "identity"}).text == first.text
    port = server.url.rpartition(":")[2]
    other = httpx.get(server.url, headers={"Host": f"localhost:{port}"}).text
    assert f"http://localhost:{port}" in other
    assert f"http://127.0.0.1:{port}" in first.text
    assert f"http://127.0.0.1:{port}" not in other
