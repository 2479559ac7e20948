"""Who is let in, as whom, from where, and how often."""

import base64
import stat
from dataclasses import replace

import pytest
from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from seedvr_engine.server.guard import Guard
from seedvr_engine.server.hosts import Hosts
from seedvr_engine.server.rates import RateLimit
from seedvr_engine.server.visitors import Visitors, owner_of, read_or_make_key
from seedvr_engine.settings import Settings


def guarded(tmp_path, **changes) -> TestClient:
    """An application that tells who asks, behind the guard."""
    settings = replace(Settings(), data=tmp_path, **changes)
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST", "DELETE"])
    def who(request: Request, path: str) -> str:
        return owner_of(request)

    visitors = Visitors(settings)
    app.state.visitors = visitors
    app.add_middleware(
        Guard, hosts=Hosts(settings), visitors=visitors, per_minute=settings.requests_per_minute
    )
    return TestClient(app, base_url="http://localhost:7860")


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# --- hosts and origins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:7860", 200),
        ("127.0.0.1:7860", 200),
        ("192.168.0.7:7860", 200),
        ("[::1]:7860", 200),
        ("my.example", 200),
        ("a.wild.example", 200),
        ("pod7-7860.proxy.runpod.net", 200),
        ("evil.example", 421),
        ("pod7-22.proxy.runpod.net", 421),
        ("wild.example.evil.example", 421),
        ("my.example@evil.example", 421),
        ("", 421),
    ],
)
def test_only_names_of_this_machine_are_answered(tmp_path, monkeypatch, host, status):
    monkeypatch.setenv("RUNPOD_POD_ID", "pod7")
    client = guarded(tmp_path, allowed_hosts=["my.example", "*.wild.example"])
    assert client.get("/", headers={"Host": host}).status_code == status


def test_a_share_link_is_answered_once_there_is_one():
    hosts, headers = Hosts(Settings()), Headers({"host": "abc.gradio.live"})
    assert not hosts.allows_host(headers)
    hosts.add("abc.gradio.live")
    assert hosts.allows_host(headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:7860"}, 200),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://my.example"}, 200),
        ({"Origin": "https://my.example.evil.example"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_another_sites_page_changes_nothing_here(tmp_path, method, headers, status):
    client = guarded(tmp_path, allowed_hosts=["my.example"])
    assert client.request(method, "/api/jobs", headers=headers).status_code == status
    assert client.get("/api/jobs", headers=headers).status_code == 200


# --- visitors -----------------------------------------------------------------------------------------------


def test_a_visitor_stays_the_same_and_another_is_another(tmp_path):
    client = guarded(tmp_path)
    first = client.get("/")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    again = client.get("/")
    assert again.json() == first.json()
    assert "set-cookie" not in again.headers
    client.cookies.clear()
    assert client.get("/").json() != first.json()


def test_a_cookie_that_came_through_https_stays_there(tmp_path):
    answer = guarded(tmp_path).get("/", headers={"X-Forwarded-Proto": "https"})
    assert "; Secure" in answer.headers["set-cookie"]


def test_a_changed_cookie_is_a_stranger(tmp_path):
    client = guarded(tmp_path)
    first = client.get("/").json()
    (name, value) = next(iter(client.cookies.items()))
    client.cookies.clear()
    client.cookies.set(name, ("A" if value[0] != "A" else "B") + value[1:])
    assert client.get("/").json() != first


def test_visitors_are_known_after_a_restart_and_unknown_elsewhere(tmp_path):
    first = guarded(tmp_path / "here")
    owner = first.get("/").json()
    again, elsewhere = guarded(tmp_path / "here"), guarded(tmp_path / "there")
    for name, value in first.cookies.items():
        again.cookies.set(name, value)
        elsewhere.cookies.set(name, value)
    assert again.get("/").json() == owner
    assert elsewhere.get("/").json() != owner


def test_the_key_can_be_read_by_its_owner_alone(tmp_path):
    key = read_or_make_key(tmp_path / "data" / "secret")
    assert stat.S_IMODE((tmp_path / "data" / "secret").stat().st_mode) == 0o600
    assert len(key) == 32
    assert read_or_make_key(tmp_path / "data" / "secret") == key
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]


def test_a_token_is_its_owner(tmp_path):
    client = guarded(tmp_path)
    owner = client.get("/").json()
    token = client.app.state.visitors.token(owner)
    client.cookies.clear()
    answer = client.post("/", headers={"Authorization": f"Bearer {token}", "Origin": "https://evil.example"})
    assert answer.json() == owner
    assert client.get("/", headers={"Authorization": f"Bearer {token[:-2]}xx"}).status_code == 401


# --- signing in ---------------------------------------------------------------------------------------------

USERS = "ann:one:1,bob:two"


def test_with_users_nothing_but_health_is_open(tmp_path):
    client = guarded(tmp_path, auth=USERS)
    answer = client.get("/")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert client.get("/metrics").status_code == 401
    assert client.get("/gradio_api/info").status_code == 401
    # Nobody is recognised there, so the application itself cannot tell who asks; it is reached all the same.
    with pytest.raises(KeyError):
        client.get("/healthz")


def test_a_user_signs_in_with_their_password_alone(tmp_path):
    client = guarded(tmp_path, auth=USERS)
    assert client.get("/", headers=basic("ann", "one:1")).json() == "user:ann"
    for user, password in (("ann", "two"), ("bob", ""), ("eve", "one:1"), ("", "")):
        assert client.get("/", headers=basic(user, password)).status_code == 401
    assert client.get("/", headers={"Authorization": "Basic ???"}).status_code == 401


def test_a_users_token_ends_with_their_password(tmp_path):
    token = Visitors(replace(Settings(), data=tmp_path, auth=USERS)).token("user:ann")
    headers = {"Authorization": f"Bearer {token}"}
    assert guarded(tmp_path, auth=USERS).get("/", headers=headers).json() == "user:ann"
    assert guarded(tmp_path, auth="ann:new").get("/", headers=headers).status_code == 401
    assert guarded(tmp_path, auth="bob:two").get("/", headers=headers).status_code == 401
    assert guarded(tmp_path).get("/", headers=headers).status_code == 401


def test_a_visitors_token_is_worth_nothing_where_one_has_to_sign_in(tmp_path):
    token = Visitors(replace(Settings(), data=tmp_path)).token("visitor:x")
    client = guarded(tmp_path, auth=USERS)
    assert client.get("/", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_guessing_passwords_is_slowed_down(tmp_path):
    client = guarded(tmp_path, auth=USERS)
    statuses = [client.get("/", headers=basic("ann", str(number))).status_code for number in range(30)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert client.get("/", headers=basic("ann", "one:1")).status_code == 429


# --- how often, and where not -------------------------------------------------------------------------------


def test_who_asks_too_often_is_told_when_to_come_back(tmp_path):
    client = guarded(tmp_path, requests_per_minute=5)
    client.get("/")
    statuses = [client.get("/api/jobs").status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    answer = client.get("/api/jobs")
    assert 1 <= int(answer.headers["retry-after"]) <= 13
    assert answer.json()["code"] == "rate"
    assert client.get("/").status_code == 200


def test_a_new_cookie_for_each_request_is_no_way_around(tmp_path):
    client = guarded(tmp_path, requests_per_minute=5)
    statuses = []
    for _ in range(6):
        client.cookies.clear()
        statuses.append(client.get("/api/jobs").status_code)
    assert statuses[-1] == 429
    client.cookies.set("other", "x")
    assert client.get("/api/jobs").status_code == 429


def test_a_bucket_fills_evenly():
    now = [0.0]
    limit = RateLimit(60, clock=lambda: now[0])
    assert [limit.wait_s("a") for _ in range(60)] == [0.0] * 60
    assert limit.wait_s("a") == pytest.approx(1.0)
    assert limit.wait_s("b") == 0
    now[0] = 2.0
    assert [limit.wait_s("a") for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0)]
    assert RateLimit(0).wait_s("a") == 0


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/file%3D/etc/passwd",
        "/gradio_api/proxy=http://evil.example",
        "/gradio_api/stream/a/b/c/playlist.m3u8",
        "/gradio_api/vibe-code",
        "/gradio_api/dev/reload",
        "/gradio_api/deep_link",
        "/gradio_api/upload_progress",
        "/gradio_api/../gradio_api/file=/etc/passwd",
        "/monitoring",
        "/monitoring/summary",
    ],
)
def test_gradios_doors_to_files_and_other_hosts_are_shut(tmp_path, path):
    assert guarded(tmp_path).get(path).status_code == 404


def test_the_doors_that_the_page_needs_are_open(tmp_path):
    client = guarded(tmp_path)
    for path in ("/gradio_api/queue/join", "/gradio_api/call/restore", "/gradio_api/info", "/config"):
        assert client.get(path).status_code == 200
