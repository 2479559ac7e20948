"""Uploads in pieces: whole after every kind of break, nobody else's, within the limits."""

import base64
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.server.uploads import Uploads
from seedvr_engine.settings import Settings
from tests.jobs.stored import settings_in
from tests.server.serving import Server, free_port, serving, small_clip, start, stop, wait_for

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}
MAX_BYTES = 2_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("uploads"), SEEDVR_MAX_UPLOAD=str(MAX_BYTES)) as server:
        yield server


@pytest.fixture
def visitor(server: Server):
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return small_clip(tmp_path_factory.mktemp("clips") / "reel.mp4")


def begin(client: httpx.Client, size: int, name: str = "reel.mp4") -> str:
    """An upload's address."""
    metadata = f"filename {base64.b64encode(name.encode()).decode()},filetype dmlkZW8vbXA0"
    headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    answer = client.post("/api/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def send(client: httpx.Client, place: str, offset: int, piece: bytes) -> httpx.Response:
    return client.patch(place, content=piece, headers={**PIECE, "Upload-Offset": str(offset)})


def offset_of(client: httpx.Client, place: str) -> int:
    answer = client.head(place, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


def taken_in(client: httpx.Client, place: str) -> dict:
    """The upload's state once it was looked at."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        state = client.get(place).json()
        if state["input"] or state["error"]:
            return state
        time.sleep(0.05)
    raise AssertionError(state)


def test_pieces_become_a_file_that_can_be_restored(visitor, clip):
    content = clip.read_bytes()
    place = begin(visitor, len(content), "../..\\Großes Kino.mp4")
    assert place.startswith("/api/uploads/")
    for at in range(0, len(content), 1000):
        answer = send(visitor, place, at, content[at : at + 1000])
        assert answer.status_code == 204
        assert int(answer.headers["upload-offset"]) == min(at + 1000, len(content))
    state = taken_in(visitor, place)
    assert state["name"] == "Großes Kino.mp4"
    assert state["complete"]
    assert state["input"]["bytes"] == len(content)
    asked = {"upload": place.rpartition("/")[2], "options": {"model": "preview"}}
    job = visitor.post("/api/jobs", json=asked).json()["id"]
    assert wait_for(visitor, job, "done", "failed")["state"] == "done"


def test_the_first_piece_can_come_with_the_beginning(visitor, clip):
    content = clip.read_bytes()
    headers = {**PIECE, "Upload-Length": str(len(content))}
    answer = visitor.post("/api/uploads", headers=headers, content=content[:500])
    place = answer.headers["location"]
    assert answer.headers["upload-offset"] == "500"
    assert send(visitor, place, 500, content[500:]).status_code == 204
    assert taken_in(visitor, place)["input"]


def test_a_piece_in_the_wrong_place_changes_nothing(visitor):
    place = begin(visitor, 1000)
    send(visitor, place, 0, b"x" * 100)
    assert send(visitor, place, 0, b"y" * 100).status_code == 409
    assert send(visitor, place, 200, b"y" * 100).status_code == 409
    assert offset_of(visitor, place) == 100


def test_more_than_was_said_is_refused(visitor):
    place = begin(visitor, 100)
    assert send(visitor, place, 0, b"x" * 101).status_code == 413


def test_a_file_beyond_the_limit_is_refused_before_it_travels(visitor, clip):
    answer = visitor.post("/api/uploads", headers={**TUS, "Upload-Length": str(MAX_BYTES + 1)})
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert "SEEDVR_MAX_UPLOAD" in answer.json()["remedy"]
    answer = visitor.post("/api/jobs", files={"file": ("a.mp4", b"x" * (MAX_BYTES + 1))})
    assert answer.status_code == 413


def test_what_is_no_video_is_told_when_it_is_whole(server, visitor):
    place = begin(visitor, 7, "letter.mp4")
    assert send(visitor, place, 0, b"my dear").status_code == 204
    state = taken_in(visitor, place)
    assert state["error"]["code"] == "input"
    assert "letter.mp4" in state["error"]["message"]
    answer = visitor.post("/api/jobs", json={"upload": place.rpartition("/")[2]})
    assert answer.status_code == 422
    assert answer.json()["message"] == state["error"]["message"]
    assert not list((server.folder / "data" / "uploads").glob(f"{state['id']}.part"))


def test_an_upload_that_is_not_complete_is_no_input(visitor):
    place = begin(visitor, 100)
    answer = visitor.post("/api/jobs", json={"upload": place.rpartition("/")[2]})
    assert answer.status_code == 409
    assert "0 of 100 bytes" in answer.json()["message"]


def test_a_cancelled_upload_leaves_nothing(server, visitor, clip):
    content = clip.read_bytes()
    half, whole = begin(visitor, len(content)), begin(visitor, len(content))
    send(visitor, half, 0, content[:100])
    send(visitor, whole, 0, content)
    taken_in(visitor, whole)
    for place in (half, whole):
        assert visitor.delete(place, headers=TUS).status_code == 204
        assert visitor.get(place).status_code == 404
        assert not list((server.folder / "data" / "uploads").glob(f"{place.rpartition('/')[2]}*"))


@pytest.mark.parametrize("method", ["HEAD", "GET", "PATCH", "DELETE", "FRAME"])
def test_another_visitors_upload_is_answered_like_one_that_does_not_exist(server, visitor, clip, method):
    content = clip.read_bytes()
    place = begin(visitor, len(content))
    send(visitor, place, 0, content[: len(content) if method == "FRAME" else 100])
    headers = {**PIECE, "Upload-Offset": "100"}
    with server.client() as stranger:
        if method == "FRAME":
            theirs, nobodys = (stranger.get(f"{at}/frame") for at in (place, f"/api/uploads/{'0' * 32}"))
        else:
            body = b"evil" if method == "PATCH" else None
            theirs, nobodys = (
                stranger.request(method, at, headers=headers, content=body)
                for at in (place, f"/api/uploads/{'0' * 32}")
            )
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.content == nobodys.content
        assert stranger.post("/api/jobs", json={"upload": place.rpartition("/")[2]}).status_code == 404
    assert visitor.get(place).status_code == 200


@pytest.mark.parametrize("id", ["..%2Fsecret", "secret", ".", "%00", "A" * 32])
def test_an_id_leads_nowhere_else(visitor, id):
    assert visitor.get(f"/api/uploads/{id}").status_code in (404, 405)


def raw_piece(server: Server, cookies: httpx.Cookies, place: str, size: int, body: bytes) -> socket.socket:
    """A request for `size` bytes that has sent only `body`; the line is left open."""
    line = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    head = (
        f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nTus-Resumable: 1.0.0\r\n"
        f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: {size}\r\n\r\n"
    )
    line.sendall(head.encode() + body)
    return line


def wait_until_arrived(server: Server, place: str, count: int) -> None:
    """Waits until so many bytes are on the disk."""
    part = server.folder / "data" / "uploads" / f"{place.rpartition('/')[2]}.part"
    deadline = time.monotonic() + 20
    while part.stat().st_size < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_after_a_dropped_line_everything_that_came_is_kept(server, visitor, clip):
    content = clip.read_bytes()
    place = begin(visitor, len(content))
    line = raw_piece(server, visitor.cookies, place, len(content), content[:1500])
    line.close()
    wait_until_arrived(server, place, 1500)
    assert offset_of(visitor, place) == 1500
    assert send(visitor, place, 1500, content[1500:]).status_code == 204
    assert taken_in(visitor, place)["input"]["bytes"] == len(content)


def test_a_line_that_hangs_does_not_keep_its_successor_out(server, visitor, clip):
    content = clip.read_bytes()
    place = begin(visitor, len(content))
    line = raw_piece(server, visitor.cookies, place, len(content), content[:1500])
    started = time.monotonic()
    while (offset := offset_of(visitor, place)) < 1500:
        # The bytes may still be between the sockets; whoever asks ends the request that waits for more.
        assert offset == 0
        line.close()
        line = raw_piece(server, visitor.cookies, place, len(content), content[:1500])
    assert send(visitor, place, 1500, content[1500:]).status_code == 204
    assert time.monotonic() - started < 10
    assert taken_in(visitor, place)["input"]["bytes"] == len(content)
    line.close()


def test_two_writers_at_once_mix_nothing(server, visitor, clip):
    content = clip.read_bytes()
    place = begin(visitor, len(content))
    threads = [
        threading.Thread(target=send, args=(visitor, place, 0, content[: 2000 + number]))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    offset = offset_of(visitor, place)
    send(visitor, place, offset, content[offset:])
    assert taken_in(visitor, place)["input"]["bytes"] == len(content)


def test_whoever_asks_while_a_file_is_taken_in_learns_that_it_is_whole(tmp_path, clip):
    processor = SeedVRProcessor(settings_in(tmp_path))
    processor.start()
    uploads = Uploads(processor.settings, processor)
    content = clip.read_bytes()
    try:
        for _ in range(100):
            upload = uploads.create("somebody", "reel.mp4", len(content))
            uploads.append(upload.id, content)
            uploads.take_in(uploads.get("somebody", upload.id))
            while not (now := uploads.get("somebody", upload.id)).input:
                assert (now.complete, now.problem) == (True, None)
    finally:
        uploads.close()
        processor.stop()


def test_what_nobody_continues_for_a_day_is_removed(tmp_path):
    settings = replace(Settings(), data=tmp_path / "data", outputs=tmp_path / "outputs")
    uploads = Uploads(settings, SeedVRProcessor(settings))
    old, young, quiet = (uploads.create("visitor:x", "a.mp4", 100) for _ in range(3))
    uploads.append(quiet.id, b"some")
    for upload in (old, quiet):
        os.utime(settings.data / "uploads" / f"{upload.id}.json", (time.time() - 90_000,) * 2)
    os.utime(settings.data / "uploads" / f"{old.id}.part", (time.time() - 90_000,) * 2)
    uploads.sweep()
    left = {path.name for path in (settings.data / "uploads").iterdir()}
    assert left == {f"{upload.id}.{ending}" for upload in (young, quiet) for ending in ("json", "part")}


def test_an_upload_goes_on_after_the_server_was_killed_in_a_piece_and_after_the_last_one(tmp_path):
    clip = small_clip(tmp_path / "long.mp4", frames=40)
    content = clip.read_bytes() + os.urandom(3_000_000)  # What follows an MP4's boxes is ignored.
    folder, port = tmp_path / "killed", free_port()
    server = start(folder, port=port)
    try:
        with server.client() as client:
            place = begin(client, len(content))
            assert send(client, place, 0, content[:1000]).status_code == 204
            length = str(len(content) - 1000)
            rest = {**PIECE, "Upload-Offset": "1000", "Content-Length": length}

            def trickle():
                yield content[1000:2_500_000]
                wait_until_arrived(server, place, 1_500_000)
                server.kill()
                yield content[2_500_000:]

            with pytest.raises(httpx.HTTPError):
                client.patch(place, content=trickle(), headers=rest)
            server = start(folder, port=port)
            offset = offset_of(client, place)
            assert 1_500_000 <= offset <= 2_500_000
            assert send(client, place, offset, content[offset:]).status_code == 204
            # Whole, and while it is taken in.
            server.kill()
            server = start(folder, port=port)
            offset = offset_of(client, place)
            if offset < len(content):
                assert send(client, place, offset, content[offset:]).status_code == 204
            state = taken_in(client, place)
            assert state["input"]["bytes"] == len(content)
            stored = next((folder / "data" / "inputs").glob(f"{state['input']['hash']}*"))
            assert stored.read_bytes() == content
    finally:
        stop(server)
