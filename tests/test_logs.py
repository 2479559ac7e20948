"""The log: what stands in it, and what never does."""

import logging
from dataclasses import replace

import pytest

from seedvr_engine.logs import configure_logging, logging_job
from seedvr_engine.settings import Settings

SECRET = "hf_abcdefghij0123456789"


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The log's path and a logger that writes to it."""
    monkeypatch.setenv("HF_TOKEN", "plainlookingtoken")
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    path = configure_logging("web", replace(Settings(), data=tmp_path, auth="ann:hush hush"))
    yield path, logging.getLogger("seedvr.test")
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@pytest.mark.parametrize(
    "secret",
    [SECRET, "plainlookingtoken", "hush hush", "eyJhbGciOi.x-y_z"],
)
def test_no_token_and_no_password_reaches_the_log(log, secret):
    path, logger = log
    logger.info("Authorization: Bearer %s", secret)
    try:
        raise ValueError(f"the hub refused Authorization: Bearer {secret}")
    except ValueError:
        logger.exception("failed")
    text = path.read_text()
    assert secret not in text
    assert "the hub refused" in text


def test_a_line_names_the_job_it_is_about(log):
    path, logger = log
    with logging_job("abc123"):
        logger.info("encode took 3 s")
    logger.info("queued", extra={"job": "def456"})
    logger.info("idle")
    first, second, third = path.read_text().splitlines()
    assert "[abc123]" in first
    assert "[def456]" in second
    assert "[-]" in third


def test_set_up_twice_a_line_is_written_once(log, tmp_path):
    path, logger = log
    configure_logging("web", replace(Settings(), data=tmp_path))
    logger.info("once")
    assert path.read_text().count("once") == 1
