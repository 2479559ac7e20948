"""Clips that jobs are made of."""

from pathlib import Path

import pytest

from tests.pipeline.runs import clip

LENGTHS = (40, 20)


@pytest.fixture(scope="session")
def film(tmp_path_factory) -> Path:
    """Two shots, 60 frames of 32x24."""
    return clip(tmp_path_factory.mktemp("clips") / "film.mp4", LENGTHS)
