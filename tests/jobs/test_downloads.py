"""Models that are fetched from the page: in the background, one after another, from where they stopped."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seedvr_engine.checkpoints import download
from seedvr_engine.checkpoints.catalog import CatalogFile
from seedvr_engine.checkpoints.download import Retry
from seedvr_engine.errors import UsageError
from seedvr_engine.jobs.downloads import Download, Downloads
from tests.checkpoints.hub import Fault, Hub, serving

IMPATIENT = Retry(attempts=2, first_s=0.001, longest_s=0.002, stall_s=5)
SIZE = 3_000_000
FILES = {
    name: CatalogFile(f"someone/{name}", f"{name}.safetensors", "dit", name, "F16") for name in ("3b", "7b")
}


@pytest.fixture
def hub(monkeypatch):
    """A hub with a small file for each of two models."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(download, "files_to_download", lambda model, official=False: [FILES[model]])
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        for entry in FILES.values():
            hub.files[f"{entry.repository}/{entry.file}"] = entry.model.encode() * (SIZE // 2)
        yield hub


@pytest.fixture
def downloads(tmp_path):
    downloads = Downloads(tmp_path / "ckpts", retry=IMPATIENT)
    yield downloads
    downloads.stop()


def until(downloads: Downloads, model: str, enough: Callable[[Download], bool]) -> Download:
    deadline = time.monotonic() + 20
    while not enough(state := downloads.state(model)):
        assert time.monotonic() < deadline, state
        time.sleep(0.01)
    return state


def test_a_model_comes_while_its_progress_is_told(hub: Hub, downloads: Downloads, tmp_path: Path):
    hub.faults.append(Fault(after=1_000_000, stall=True))
    assert downloads.state("3b").state == "idle"
    downloads.start("3b")
    half = until(downloads, "3b", lambda state: state.done_bytes >= 900_000)
    assert (half.state, half.total_bytes) == ("running", SIZE)
    hub.released.set()
    assert until(downloads, "3b", lambda state: state.state != "running") == Download(
        "3b", "done", SIZE, SIZE
    )
    assert FILES["3b"].path_below(tmp_path / "ckpts").stat().st_size == SIZE


def test_one_comes_after_the_other_and_asking_twice_changes_nothing(hub: Hub, downloads: Downloads):
    hub.faults.append(Fault(after=1_000_000, stall=True))
    downloads.start("3b")
    until(downloads, "3b", lambda state: state.done_bytes > 0)
    assert downloads.start("7b").state == "waiting"
    assert downloads.start("3b").state == "running"
    hub.released.set()
    until(downloads, "7b", lambda state: state.state == "done")
    assert downloads.state("3b").state == "done"
    assert len([path for path in hub.ranges() if path == ""]) == 2


def test_a_failure_is_told_in_a_sentence_and_the_next_try_goes_on(hub: Hub, downloads: Downloads):
    hub.faults.extend([Fault(after=1_000_000), Fault(500), Fault(500)])
    downloads.start("3b")
    failed = until(downloads, "3b", lambda state: state.state == "failed")
    assert failed.problem is not None
    assert failed.problem.code == "checkpoint"
    assert failed.problem.remedy
    downloads.start("3b")
    until(downloads, "3b", lambda state: state.state == "done")
    assert hub.ranges()[-1] == "bytes=1000000-"


def test_the_end_of_the_server_ends_a_download(hub: Hub, downloads: Downloads, tmp_path: Path):
    hub.faults.append(Fault(after=1_000_000, stall=True))
    downloads.start("3b")
    until(downloads, "3b", lambda state: state.done_bytes >= 900_000)
    began = time.monotonic()
    hub.released.set()
    downloads.stop()
    assert time.monotonic() - began < 4
    assert downloads.state("3b").state in ("idle", "done")


def test_a_model_that_there_is_not_is_told(downloads: Downloads):
    for ask in (downloads.start, downloads.state):
        with pytest.raises(UsageError, match="no model"):
            ask("9b")
