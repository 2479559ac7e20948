"""The page in a real browser, against the real server and worker, each in processes of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.media.clips import scene, write_clip
from tests.server.serving import Server, serving
from tests.ui.browser import chromium
from tests.ui.visitor import Visitor

NewVisitor = Callable[..., Visitor]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests: a second one in the same process is more than Playwright's plain way allows."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests; visitors keep them apart. The browser first: it may be what is missing."""
    with serving(tmp_path_factory.mktemp("page")) as server:
        yield server


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[NewVisitor]:
    """Makes visitors, each with a browser profile of their own.

    Afterwards: none of them has sent a request to another host, and no script has failed.
    """
    visitors: list[Visitor] = []

    def new(**options: object) -> Visitor:
        visitors.append(Visitor(browser, server.url, **options))
        return visitors[-1]

    yield new
    for visitor in visitors:
        visitor.leave()
    for visitor in visitors:
        assert visitor.foreign_requests == []
        assert visitor.script_errors == []


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Restored within a second or two."""
    return write_clip(tmp_path_factory.mktemp("clips") / "garden.mp4", scene(1, 5, (48, 64), speed=0.5))


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes long enough to do something meanwhile."""
    return write_clip(tmp_path_factory.mktemp("clips") / "journey.mp4", scene(2, 150, (96, 128), speed=0.3))
