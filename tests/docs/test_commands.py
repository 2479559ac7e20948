"""Every command in the README, the documents and the guide is run as written, or says why not.

The blocks of a page are run one after another in a folder that holds what a clone holds. Two things differ
from a reader's machine: the example clips are cut to a few small frames, so that all of it takes a minute
(a slow test takes them whole), and ./setup_environment.sh finds the environment of the tests ready.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from tests.server.serving import serving
from tools.page import Block, Page, read_pages

ROOT = Path(__file__).resolve().parents[2]
RUN = ("bash", "python")
# Why a block may go without: what it needs cannot be had everywhere, or would not end.
REASONS = re.compile(
    r"not run: .*(GPU|network|it is the test command itself|server that does not end|container engine"
    r"|running server|builds the wheel)"
)
PAGES = [page for page in read_pages(ROOT) if any(block.language in RUN for block in page.blocks())]
WITH_A_SERVER = Path("docs/guide/from-another-program.md")

# The environment is there: it is the one that runs the tests. What makes it is tested in test_setup.py.
IS_READY = '[[ ${1:-} == -* ]] || exec "$@"'


def blocks_to_run(page: Page) -> list[Block]:
    return [block for block in page.blocks() if block.language in RUN and not block.comment]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path))
def test_a_block_that_is_not_run_says_why(page: Page) -> None:
    for block in page.blocks():
        if block.language in RUN and block.comment:
            assert REASONS.match(block.comment), f"{page.path}:{block.line}: {block.comment}"


def test_every_block_of_commands_has_a_language() -> None:
    bare = [
        f"{page.path}:{block.line}"
        for page in read_pages(ROOT)
        for block in page.blocks()
        if block.language not in RUN and re.search(r"^(\./|\$ |seedvr |python |docker )", block.code, re.M)
    ]
    assert bare == []


def cut(source: Path, target: Path) -> None:
    """The first frames of a clip, small."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        rate = old.streams.video[0].average_rate
        stream = new.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number, frame in enumerate(old.decode(video=0)):
            # Half a second; a page restores from second 1 on as well.
            if number >= 0.5 * rate and not rate <= number < 1.3 * rate:
                continue
            small = frame.reformat(96, 64, "yuv420p")
            small.pts, small.time_base = number, 1 / rate
            new.mux(stream.encode(small))
        new.mux(stream.encode(None))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a reader has after `git clone`, with short examples."""
    root = tmp_path / "clone"
    shutil.copytree(ROOT / "examples", root / "examples", ignore=shutil.ignore_patterns("*.mp4", ".*", "__*"))
    for clip in sorted((ROOT / "examples").glob("*.mp4")):
        if not clip.stem.endswith("_restored"):
            cut(clip, root / "examples" / clip.name)
    return dress(root)


def dress(root: Path) -> Path:
    for folder in ("docs", "tools"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in ("*.md", "*.py", "*.toml", "*.yaml", "*.json", "NOTICE", "LICENSE", "Dockerfile"):
        for file in ROOT.glob(pattern):
            shutil.copy2(file, root)
    for folder in ("seedvr_engine", "tests", "benchmarks", ".github"):
        (root / folder).symlink_to(ROOT / folder)
    first, _, rest = (ROOT / "setup_environment.sh").read_text().partition("\n")
    (root / "setup_environment.sh").write_text(f"{first}\n{IS_READY}\n{rest}")
    (root / "setup_environment.sh").chmod(0o755)
    return root


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of an activated environment, with folders of its own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "seedvr").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seedvr_engine.cli "$@"\n')
    (programs / "seedvr").chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("SEEDVR_", "GRADIO_"))}
    folders = {
        f"SEEDVR_{name}": str(tmp_path / name.lower()) for name in ("CKPTS", "DATA", "INPUTS", "OUTPUTS")
    }
    return clean | folders | {"PATH": path}


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A running server, for the page that needs one."""
    if request.getfixturevalue("page").path != WITH_A_SERVER:
        yield {}
        return
    with serving(tmp_path / "server") as running:
        yield {"SERVER": running.url}


def run(page: Page, clone: Path, environment: dict[str, str], seconds: float) -> None:
    """Runs a page's blocks in order."""
    for block in blocks_to_run(page):
        command = ["bash", "-euo", "pipefail", "-c", block.code]
        if block.language == "python":
            command = ["python", "-c", block.code]
        result = subprocess.run(
            command, cwd=clone, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        said = f"{page.path}:{block.line}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
        assert result.returncode == 0, said


RUNNABLE = [pytest.param(page, id=str(page.path)) for page in PAGES if blocks_to_run(page)]


# Minutes only where something else has the machine: alone, a page takes seconds.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", RUNNABLE)
def test_the_commands_of_a_page_do_what_they_say(
    page: Page, clone: Path, environment: dict[str, str], server: dict[str, str]
) -> None:
    run(page, clone, environment | server, 400)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in RUNNABLE if "guide" in str(page.id)])
def test_the_commands_of_the_guide_work_on_whole_clips(
    page: Page, tmp_path: Path, environment: dict[str, str], server: dict[str, str]
) -> None:
    root = tmp_path / "clone"
    shutil.copytree(ROOT / "examples", root / "examples", ignore=shutil.ignore_patterns("*_restored*", ".*"))
    run(page, dress(root), environment | server, 800)
