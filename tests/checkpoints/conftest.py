"""Small checkpoints, a stand-in hub, and a folder to keep them in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seedvr_engine.settings import get_settings
from tests.checkpoints.hub import Hub, serving


@pytest.fixture
def ckpts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty checkpoint folder, which the settings name."""
    folder = tmp_path / "ckpts"
    folder.mkdir()
    monkeypatch.setenv("SEEDVR_CKPTS", str(folder))
    get_settings.cache_clear()
    yield folder
    get_settings.cache_clear()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running hub without files, named by HF_ENDPOINT; no token."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub
