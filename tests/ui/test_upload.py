"""The upload area in a real browser, before the real server."""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.media.clips import scene, write_clip
from tests.ui.proxy import Proxy, running

PROXY_LIMIT = 100_000_000
PATIENCE_MS = 90_000


@pytest.fixture
def page(browser: Browser, server):
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    yield page
    context.close()


def clip_of(path: Path, size: int, seed: int) -> Path:
    """A clip of exactly so many bytes: behind its few frames an MP4 box that players skip."""
    write_clip(path, scene(seed, 5, (24, 32)))
    padding = size - path.stat().st_size
    with path.open("ab") as file:
        file.write(struct.pack(">I4sQ", 1, b"free", padding))
        file.write(np.random.default_rng(seed).bytes(padding - 16))
    return path


def row(page: Page, name: str):
    return page.locator(".upload-file", has_text=name)


def choose(page: Page, *paths: Path) -> None:
    page.locator(".upload-input").first.set_input_files(list(map(str, paths)))


def wait_until_done(page: Page, name: str) -> None:
    expect(page.locator('.upload-file[data-state="done"]', has_text=name)).to_be_visible(timeout=PATIENCE_MS)


def taken_in(page: Page) -> list[dict]:
    """What the server says of the uploads that the page has finished."""
    kept = json.loads(page.evaluate("sessionStorage.getItem('seedvr-uploads')"))
    return [page.request.get(f"{page.url.split('?')[0]}api/uploads/{one['id']}").json() for one in kept]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_300_megabytes_pass_a_proxy_that_cuts_requests_and_drops_the_line_twice(browser, server, tmp_path):
    film = clip_of(tmp_path / "film.mp4", 300_000_000, seed=1)
    proxy = Proxy(server.url, limit=PROXY_LIMIT, drop_at=(70_000_000, 190_000_000))
    with running(proxy), browser.new_context() as context:
        page = context.new_page()
        page.goto(proxy.url)
        choose(page, film)
        wait_until_done(page, "film.mp4")
        [upload] = taken_in(page)
    assert upload["input"]["hash"] == sha256(film)
    assert proxy.dropped == 2
    assert proxy.refused == 0
    assert proxy.longest <= PROXY_LIMIT
    assert 300_000_000 <= proxy.passed <= 1.1 * 300_000_000


def test_after_a_reload_an_upload_goes_on_where_it_stopped(browser, server, tmp_path):
    film = clip_of(tmp_path / "long.mp4", 60_000_000, seed=2)
    proxy = Proxy(server.url, limit=PROXY_LIMIT)
    with running(proxy), browser.new_context() as context:
        page = context.new_page()
        page.goto(proxy.url)
        proxy.stall_at(45_000_000)
        choose(page, film)
        expect(row(page, "long.mp4")).to_contain_text("of 60.0 MB", timeout=PATIENCE_MS)
        page.wait_for_function("() => document.querySelector('.upload-file progress').value > 50")
        while not proxy.is_stalled:
            page.wait_for_timeout(50)
        page.evaluate("setTimeout(() => location.reload(), 0)")
        proxy.flow()
        unfinished = page.locator('.upload-file[data-state="unfinished"]')
        expect(unfinished).to_contain_text("choose the file again to go on", timeout=PATIENCE_MS)
        choose(page, film)
        wait_until_done(page, "long.mp4")
        [upload] = taken_in(page)
    assert upload["input"]["hash"] == sha256(film)
    assert proxy.passed <= 1.1 * 60_000_000


def test_a_finished_upload_survives_a_reload(page, tmp_path):
    choose(page, clip_of(tmp_path / "small.mp4", 200_000, seed=3))
    wait_until_done(page, "small.mp4")
    page.reload()
    wait_until_done(page, "small.mp4")


def test_a_reload_while_the_server_still_reads_a_file_loses_nothing(page, tmp_path):
    reading = {"complete": True, "input": None, "error": None}

    def still_reading(route):
        if route.request.method == "GET":
            route.fulfill(json=reading)
        else:
            route.continue_()

    page.route("**/api/uploads/*", still_reading)
    choose(page, clip_of(tmp_path / "read.mp4", 200_000, seed=8))
    expect(page.locator('.upload-file[data-state="checking"]')).to_be_visible(timeout=PATIENCE_MS)
    page.reload()
    expect(page.locator('.upload-file[data-state="checking"]')).to_be_visible(timeout=PATIENCE_MS)
    page.unroute("**/api/uploads/*")
    wait_until_done(page, "read.mp4")


def test_several_files_go_up_and_one_can_be_taken_away(page, tmp_path):
    choose(page, *(clip_of(tmp_path / f"part{n}.mp4", 100_000 + n, seed=n) for n in range(4)))
    for number in range(4):
        wait_until_done(page, f"part{number}.mp4")
    gone = taken_in(page)[1]["id"]
    page.get_by_label("Remove part1.mp4").click()
    expect(page.locator(".upload-file")).to_have_count(3)
    assert [upload["name"] for upload in taken_in(page)] == ["part0.mp4", "part2.mp4", "part3.mp4"]
    assert page.request.get(f"{page.url}api/uploads/{gone}").status == 404


def test_a_cancelled_upload_leaves_nothing_on_the_server(browser, server, tmp_path):
    folder = server.folder / "data" / "uploads"
    before = set(folder.iterdir())
    proxy = Proxy(server.url, limit=PROXY_LIMIT)
    with running(proxy), browser.new_context() as context:
        page = context.new_page()
        page.goto(proxy.url)
        proxy.stall_at(20_000_000)
        choose(page, clip_of(tmp_path / "wrong.mp4", 50_000_000, seed=4))
        while not proxy.is_stalled:
            page.wait_for_timeout(50)
        assert len(list(folder.glob("*.part"))) == 1
        page.get_by_label("Cancel wrong.mp4").click()
        proxy.flow()
        expect(page.locator(".upload-file")).to_have_count(0)
        while set(folder.iterdir()) - before:
            page.wait_for_timeout(50)


def test_what_is_no_video_is_said_beside_the_file(page, tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("Milk, bread, butter.")
    choose(page, text)
    failed = page.locator('.upload-file[data-state="failed"]')
    expect(failed).to_contain_text("notes.mp4 is no video or picture", timeout=PATIENCE_MS)
    assert json.loads(page.evaluate("sessionStorage.getItem('seedvr-uploads')")) == []


def test_a_file_that_is_empty_or_too_large_is_told_before_it_travels(page, tmp_path):
    (tmp_path / "empty.mp4").touch()
    with (tmp_path / "huge.mp4").open("wb") as file:
        file.truncate(50_000_000_001)
    sent = []
    page.on("request", lambda request: sent.append(request.url) if "api/uploads" in request.url else None)
    choose(page, tmp_path / "empty.mp4", tmp_path / "huge.mp4")
    expect(row(page, "empty.mp4")).to_contain_text("The file is empty")
    expect(row(page, "huge.mp4")).to_contain_text("Larger than the limit of 50.0 GB")
    assert sent == []


def test_five_seconds_without_a_network_cost_nothing(browser, server, tmp_path):
    film = clip_of(tmp_path / "train.mp4", 40_000_000, seed=5)
    proxy = Proxy(server.url, limit=PROXY_LIMIT)
    with running(proxy), browser.new_context() as context:
        page = context.new_page()
        page.goto(proxy.url)
        proxy.stall_at(10_000_000)
        choose(page, film)
        while not proxy.is_stalled:
            page.wait_for_timeout(50)
        # Gradio, its own line lost, reloads the page once this is answered.
        asked = "fetch('gradio_api/app_id').then(() => 'answered', () => 'held')"
        assert page.evaluate(asked) == "held"
        context.set_offline(True)
        proxy.flow()
        expect(row(page, "train.mp4")).to_contain_text("connection lost, trying again", timeout=PATIENCE_MS)
        page.wait_for_timeout(5000)
        context.set_offline(False)
        wait_until_done(page, "train.mp4")
        [upload] = taken_in(page)
        assert page.evaluate(asked) == "answered"
    assert upload["input"]["hash"] == sha256(film)


def test_the_keyboard_opens_the_file_dialog_and_a_screen_reader_hears_the_progress(page, tmp_path):
    page.wait_for_selector(".upload-zone[data-ready]")
    box = page.locator(".upload-input").first
    assert "Choose videos or pictures" in box.get_attribute("aria-label")
    with page.expect_file_chooser() as chooser:
        box.press("Enter")
    chooser.value.set_files(str(clip_of(tmp_path / "heard.mp4", 100_000, seed=6)))
    expect(page.locator(".upload-voice").first).to_have_text("heard.mp4 is uploaded.", timeout=PATIENCE_MS)


def test_a_file_dropped_beside_the_area_does_not_replace_the_page(page):
    page.wait_for_selector(".upload-zone[data-ready]")
    prevented = page.evaluate(
        "() => { const event = new DragEvent('drop', {cancelable: true, bubbles: true,"
        " dataTransfer: new DataTransfer()}); document.body.dispatchEvent(event);"
        " return event.defaultPrevented; }"
    )
    assert prevented
