"""What goes wrong is said in words: what happened, what it means, what to do."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.media.clips import scene, write_clip
from tests.server.serving import Server, serving
from tests.ui.conftest import NewVisitor
from tests.ui.visitor import Visitor


def test_restore_without_a_clip_says_what_is_missing(visit: NewVisitor) -> None:
    visitor = visit()
    visitor.open()
    visitor.button("Restore").click()
    expect(visitor.alert("No clip is chosen yet.")).to_contain_text("take one of the examples")


def test_a_file_that_is_no_video_is_refused_in_words(visit: NewVisitor, tmp_path: Path) -> None:
    path = tmp_path / "letter.mp4"
    path.write_text("Dear diary, this is no video at all. " * 200)
    visitor = visit()
    visitor.open()
    visitor.page.get_by_label("Choose videos or pictures to upload").set_input_files(path)
    row = visitor.page.get_by_label("Chosen files").get_by_role("listitem").filter(has_text="letter.mp4")
    expect(row).to_have_attribute("data-state", "failed")
    expect(visitor.page.get_by_text("Traceback")).to_have_count(0)


def test_an_end_before_the_start_is_told_before_and_after_the_button(visit: NewVisitor, clip: Path) -> None:
    visitor = visit()
    visitor.open()
    visitor.choose(clip)
    visitor.open_advanced()
    visitor.page.get_by_role("textbox", name=re.compile("^Start")).press_sequentially("0:03")
    visitor.page.get_by_role("textbox", name=re.compile("^End")).press_sequentially("2")
    expect(visitor.alert("does not come after the start")).to_contain_text("Choose a later end.")
    visitor.button("Restore").click()
    expect(visitor.page.locator("#sv-start-trouble").get_by_role("alert")).to_contain_text("later end")


def test_a_job_that_is_gone_is_told_and_leads_back(visit: NewVisitor) -> None:
    visitor = visit()
    visitor.open("/?job=0123456789abcdef0123456789abcdef")
    expect(visitor.page.get_by_role("heading", name="This clip is not here")).to_be_visible()
    visitor.button("Restore another clip").click()
    expect(visitor.button("Restore")).to_be_visible()
    assert "job=" not in visitor.page.url


def test_a_failed_job_says_why_and_its_technical_part_is_folded(
    visit: NewVisitor, server: Server, long_clip: Path, tmp_path: Path
) -> None:
    lost = write_clip(tmp_path / "lost.mp4", scene(9, 5, (48, 64)))
    visitor = visit()
    before = visitor.start(long_clip)
    job = visitor.submit(lost.name, lost.read_bytes())
    visitor.lose_inputs(server.folder, job)
    visitor.context.request.post(f"/api/jobs/{before}/cancel", headers={"origin": visitor.url})
    visitor.open(f"/?job={job}")
    alert = visitor.alert("This file could not be used")
    expect(alert).to_be_visible(timeout=60_000)
    # In the words of whoever sent it, without the server's own folders.
    expect(alert.get_by_text("lost.mp4 is no longer on this machine.", exact=True)).to_be_visible()
    expect(alert.get_by_text("Upload it again.", exact=True)).to_be_visible()
    expect(visitor.page.get_by_role("heading", name="Not restored: lost.mp4")).to_be_visible()
    expect(alert.locator("pre")).to_be_hidden()
    alert.get_by_text("Technical details").click()
    expect(alert.locator("pre")).to_contain_text("code: input")
    expect(visitor.button("Try again")).to_be_visible()
    visitor.button("Change settings").click()
    expect(visitor.page.get_by_label("Chosen clips").get_by_text("lost.mp4")).to_be_visible()


@pytest.mark.slow
def test_the_time_limit_pauses_a_job_and_continue_gets_further(
    browser: Browser, long_clip: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "server", SEEDVR_TIMEOUT="3") as server:
        visitor = Visitor(browser, server.url)
        visitor.start(long_clip)
        expect(visitor.page.get_by_role("heading", name="Paused: journey.mp4")).to_be_visible(timeout=60_000)
        for _ in range(20):
            visitor.button("Continue").click()
            expect(visitor.progress.or_(visitor.link("Download"))).to_be_visible()
            ended = visitor.link("Download").or_(visitor.button("Continue"))
            expect(ended).to_be_visible(timeout=60_000)
            if visitor.link("Download").is_visible():
                break
        visitor.wait_until_done()
        visitor.leave()


@pytest.mark.slow
def test_a_full_queue_is_told(browser: Browser, long_clip: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "server", SEEDVR_MAX_QUEUED_PER_VISITOR="1") as server:
        visitor = Visitor(browser, server.url)
        visitor.start(long_clip)
        visitor.page.get_by_label("SeedVR2, to the start").click()
        visitor.choose(long_clip)
        visitor.button("Restore").click()
        expect(visitor.alert("The queue is full")).to_be_visible()
        visitor.leave()
