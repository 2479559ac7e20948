"""From a clip to its result, and what a visitor may do on the way."""

import io
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from seedvr_engine.media.probe import probe
from tests.server.serving import Server
from tests.ui.conftest import NewVisitor


def test_a_first_visitor_has_the_result_after_three_clicks(
    visit: NewVisitor, clip: Path, tmp_path: Path
) -> None:
    visitor = visit(accept_downloads=True)
    visitor.open()
    visitor.choose(clip)  # The first click opens the file dialog.
    expect(visitor.forecast).to_contain_text("64×48")
    expect(visitor.forecast).to_contain_text("128×96")
    visitor.restore()
    visitor.wait_until_done()
    assert visitor.page.title() == "Done · garden.mp4"
    with visitor.page.expect_download() as download:
        visitor.link("Download").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert "garden_restored" in path.name
    assert (probe(path).width, probe(path).height) == (128, 96)
    # The comparison shows the first frame, original and restored.
    expect(visitor.page.locator("#sv-result .compare")).to_be_visible()


def test_one_frame_is_previewed_before_anything_else_is_done(visit: NewVisitor, clip: Path) -> None:
    visitor = visit()
    visitor.open()
    visitor.choose(clip)
    visitor.button("Preview one frame").click()
    expect(visitor.page.locator("#sv-preview-result .compare")).to_be_visible(timeout=60_000)
    assert "job=" not in visitor.page.url
    kinds = [job["kind"] for job in visitor.context.request.get("/api/jobs").json()]
    assert kinds == ["frame"]
    # Previews are no clips of the history.
    expect(visitor.page.get_by_text("Nothing here yet.")).to_be_visible()


def test_stopping_a_job_keeps_its_work_and_continue_goes_on(visit: NewVisitor, long_clip: Path) -> None:
    visitor = visit()
    job = visitor.start(long_clip)
    visitor.wait_until_running()
    visitor.button("Stop").click()
    expect(visitor.page.get_by_role("heading", name="Stopped: journey.mp4")).to_be_visible(timeout=10_000)
    assert visitor.state(job) == "cancelled"
    visitor.button("Continue").click()
    expect(visitor.progress).to_be_visible(timeout=10_000)
    assert visitor.state(job) in ("queued", "running")


@pytest.mark.slow
def test_the_same_settings_are_taken_again_from_a_result(visit: NewVisitor, clip: Path) -> None:
    visitor = visit()
    visitor.open()
    visitor.choose(clip)
    visitor.page.get_by_text("AI-generated video", exact=True).click()
    expect(visitor.page.get_by_text("adds detail to what is there")).to_be_visible()
    first = visitor.restore()
    visitor.wait_until_done()
    visitor.button("Run again with these settings").click()
    expect(visitor.page.get_by_label("Chosen clips").get_by_text("garden.mp4")).to_be_visible()
    expect(visitor.forecast).to_be_visible()
    second = visitor.restore()
    options = [visitor.context.request.get(f"/api/jobs/{job}").json()["options"] for job in (first, second)]
    assert options[0] == options[1]
    assert options[0]["detail"] == "residual"


def test_a_file_of_the_inbox_is_restored_without_an_upload(
    visit: NewVisitor, server: Server, clip: Path
) -> None:
    kept = server.folder / "inputs" / "attic" / "reel 7.mp4"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(clip.read_bytes())
    visitor = visit()
    visitor.open()
    visitor.page.get_by_text("Files already on this machine").click()
    visitor.page.get_by_role("button", name="attic/reel 7.mp4").click()
    expect(visitor.forecast).to_be_visible()
    chosen = visitor.page.get_by_alt_text("The chosen moment")
    expect(chosen).to_be_visible()
    assert chosen.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    visitor.restore()
    visitor.wait_until_done()
    expect(visitor.page.get_by_role("heading", name="attic/reel 7.mp4 is restored")).to_be_visible()


def test_several_files_become_one_batch_and_one_zip(visit: NewVisitor, clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "house.mp4"
    other.write_bytes(clip.read_bytes())
    visitor = visit()
    visitor.open()
    visitor.choose(clip, other)
    expect(visitor.forecast).to_contain_text("2 clips are chosen")
    visitor.button("Restore").click()
    visitor.page.wait_for_url("**?batch=*")
    expect(visitor.page.get_by_text("All of them are done.")).to_be_visible(timeout=90_000)
    link = visitor.link("Download all (ZIP)").get_attribute("href")
    packed = zipfile.ZipFile(io.BytesIO(visitor.context.request.get(str(link)).body()))
    assert len(packed.namelist()) == 2
    assert packed.testzip() is None


@pytest.mark.slow
def test_deleting_a_clip_takes_two_presses_and_removes_its_files(visit: NewVisitor, clip: Path) -> None:
    visitor = visit()
    job = visitor.start(clip)
    visitor.wait_until_done()
    visitor.button("Delete garden.mp4").click()
    assert visitor.state(job) == "done"
    visitor.button("Delete garden.mp4").click()
    expect(visitor.page.get_by_text("Nothing here yet.")).to_be_visible()
    assert visitor.context.request.get(f"/api/jobs/{job}/result").status == 404
    expect(visitor.button("Restore")).to_be_visible()


def test_width_and_height_keep_the_ratio(visit: NewVisitor, clip: Path) -> None:
    visitor = visit()
    visitor.open()
    visitor.choose(clip)
    visitor.open_advanced()
    visitor.page.get_by_label("Width in pixels").press_sequentially("512")
    expect(visitor.page.get_by_label("Height in pixels")).to_have_value("384")
    expect(visitor.forecast).to_contain_text("512×384")


def test_only_the_preview_is_here_and_the_page_says_so(visit: NewVisitor) -> None:
    visitor = visit()
    visitor.open()
    notice = visitor.page.get_by_label("About the model")
    expect(notice).to_contain_text("It is not SeedVR2")
    expect(notice.get_by_role("button", name="Download SeedVR2 3B")).to_be_visible()


@pytest.mark.slow
def test_two_seconds_are_previewed(visit: NewVisitor, long_clip: Path) -> None:
    visitor = visit()
    visitor.open()
    visitor.choose(long_clip)
    visitor.button("Preview 2 seconds").click()
    expect(visitor.page.locator("#sv-preview-result .compare")).to_be_visible(timeout=120_000)
