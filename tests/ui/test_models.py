"""A model that is missing is fetched from the page, with progress, and a failure is told in words."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from seedvr_engine.checkpoints.catalog import files_to_download
from tests.checkpoints import hub as hubs
from tests.server.serving import serving
from tests.ui.visitor import Visitor


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_download_shows_its_progress_and_why_it_failed(browser: Browser, tmp_path: Path) -> None:
    """The stand-in of the hub states the right hashes, and has other content."""
    known = {f"{entry.repository}/{entry.file}": entry.sha256 for entry in files_to_download("3b")}
    with hubs.serving() as hub:
        hub.files = {name: bytes(3_000_000) for name in known}
        hub.etag = known.__getitem__
        hub.faults.append(hubs.Fault(after=1_000_000, stall=True))
        with serving(tmp_path / "server", HF_ENDPOINT=hub.address) as server:
            visitor = Visitor(browser, server.url)
            visitor.open()
            notice = visitor.page.get_by_role("complementary", name="About the model")
            notice.get_by_role("button", name=re.compile("^Download SeedVR2 3B")).click()
            bar = notice.get_by_role("progressbar", name="Download of 3b")
            expect(bar).to_be_visible()
            expect(notice.get_by_text(re.compile(r"MB of 12\.0 MB"))).to_be_visible(timeout=30_000)
            hub.released.set()
            told = notice.get_by_role("alert")
            expect(told).to_contain_text("what came is not the file", timeout=120_000)
            expect(told).to_contain_text("Check HF_ENDPOINT and proxies.")
            expect(notice.get_by_role("button", name=re.compile("^Download SeedVR2 3B"))).to_be_enabled()
            assert not list((server.folder / "ckpts").rglob("*.safetensors"))
            visitor.leave()
