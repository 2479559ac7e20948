"""Small checkpoints of the real architecture, and clips to restore with them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seedvr_engine.settings import get_settings
from tests.checkpoints.small import save_model


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> Path:
    """A folder with a small 3B, its VAE and texts."""
    root = tmp_path_factory.mktemp("ckpts")
    save_model(root, "3b")
    return root


@pytest.fixture(autouse=True)
def _small_checkpoints(checkpoints, monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("SEEDVR_CKPTS", str(checkpoints))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
