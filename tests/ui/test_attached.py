"""Nothing is lost: reloads, closed tabs, gaps, restarts; and nobody sees what is somebody else's."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.server.serving import free_port, start, stop
from tests.ui.conftest import NewVisitor
from tests.ui.visitor import Visitor


def test_a_reload_while_running_and_a_second_tab_are_attached_again(
    visit: NewVisitor, long_clip: Path
) -> None:
    visitor = visit()
    job = visitor.start(long_clip)
    visitor.wait_until_running()
    visitor.page.reload()
    expect(visitor.progress).to_be_visible()
    visitor.wait_until_running()
    assert visitor.job == job
    # A new tab at the plain address, as after closing the page.
    tab = visitor.context.new_page()
    tab.goto("/")
    expect(tab.get_by_role("heading", name="Restoring journey.mp4")).to_be_visible()
    assert f"job={job}" in tab.url


def test_a_reload_while_queued_keeps_the_place_in_the_queue(
    visit: NewVisitor, clip: Path, long_clip: Path
) -> None:
    visitor = visit()
    visitor.start(long_clip)
    visitor.wait_until_running()
    visitor.page.get_by_label("SeedVR2, to the start").click()
    visitor.choose(clip)
    second = visitor.restore()
    expect(visitor.page.get_by_text("Next in line").first).to_be_visible()
    visitor.page.reload()
    expect(visitor.page.get_by_role("heading", name="Waiting: garden.mp4")).to_be_visible()
    assert visitor.state(second) == "queued"
    assert visitor.page.title() == "Waiting · garden.mp4"


def test_five_seconds_offline_cost_nothing(visit: NewVisitor, long_clip: Path) -> None:
    visitor = visit()
    visitor.start(long_clip)
    visitor.wait_until_running()
    visitor.context.set_offline(True)
    expect(visitor.page.get_by_text("No connection to the server.")).to_be_visible(timeout=10_000)
    visitor.page.wait_for_timeout(5000)  # The length of the gap is what is tested.
    before = int(visitor.progress.get_attribute("aria-valuenow") or 0)
    visitor.context.set_offline(False)
    expect(visitor.page.get_by_text("No connection to the server.")).to_be_hidden(timeout=10_000)
    done = visitor.link("Download")
    further = visitor.page.wait_for_function(
        """before => Number(document.querySelector('#sv-watch [role=progressbar]').ariaValueNow) > before
            || document.documentElement.dataset.svView === 'result'""",
        arg=before,
        timeout=60_000,
    )
    assert further or done.is_visible()


def test_two_visitors_at_once_get_nothing_of_each_other_by_any_address(visit: NewVisitor, clip: Path) -> None:
    anna, ben = visit(), visit()
    job = anna.start(clip)
    own = ben.start(clip)
    anna.wait_until_done()
    ben.wait_until_done()
    jobs, batches = f"/api/jobs/{job}", "/api/batches/some"
    for path in (
        *("", "/events", "/result", "/thumbnail", "/latest/before", "/latest/after", "/view/after.mp4"),
        *("/frames/0/before", "/frames/0/after", "/view/before.mp4"),
    ):
        assert ben.context.request.get(jobs + path).status == 404, path
    for path in ("/cancel", "/continue"):
        origin = {"origin": ben.url}
        assert ben.context.request.post(jobs + path, headers=origin).status == 404, path
    assert ben.context.request.delete(jobs, headers={"origin": ben.url}).status == 404
    assert ben.context.request.get(batches).status == 404
    assert [seen["id"] for seen in ben.context.request.get("/api/jobs").json()] == [own]
    ben.page.goto(f"/?job={job}")
    expect(ben.page.get_by_role("heading", name="This clip is not here")).to_be_visible()
    assert anna.state(job) == "done"


@pytest.mark.slow
def test_a_restart_of_the_server_is_survived_by_an_open_page(
    browser: Browser, long_clip: Path, tmp_path: Path
) -> None:
    port = free_port()
    server = start(tmp_path / "server", port)
    visitor = Visitor(browser, server.url)
    try:
        visitor.start(long_clip)
        visitor.wait_until_running()
        server.kill()
        expect(visitor.page.get_by_text("No connection to the server.")).to_be_visible(timeout=20_000)
        server = start(tmp_path / "server", port)
        visitor.wait_until_done()
    finally:
        visitor.leave()
        stop(server)
