"""The checks of the documents: each fault, planted in a small project, is told."""

from pathlib import Path

import pytest

from tools.docs import check
from tools.endpoints import check_endpoints
from tools.journal import LIMIT
from tools.page import Fault, Page, slug
from tools.references import check_references, find_lines, mend_references

CONDUCTOR = """# Conductor

`seedvr_engine/errors.py:4-5`<!-- ref: Trouble.say -->, `seedvr_engine/errors.py:1`<!-- ref: LIMIT -->.
[Settings](docs/CONFIG.md#options), [journal](docs/JOURNAL.md), [data](docs/DATA_MODEL.md#jobs),
[tree](docs/ARCHITECTURE.md#the-tree) and [a mark](docs/ARCHITECTURE.md#mark).
"""

CONFIG = """# Settings

[Back](../CONDUCTOR.md)

## Options

| option | meaning |
| --- | --- |
| `size`, `fit` | how large |

## Variables

| variable | meaning |
| --- | --- |
| `SEEDVR_DATA` | where |
| `SEEDVR_PYTHON` | which |
"""

DATA_MODEL = """# Data

[Back](../CONDUCTOR.md)

## `jobs`

| column | meaning |
| --- | --- |
| `id`, `owner` | who |
| `state` | how |
"""

ARCHITECTURE = """# Architecture

[Back](../CONDUCTOR.md) <a id="mark"></a>

## The tree

`app.py`, `docs/`, `seedvr_engine/` with `errors.py`, `pipeline/` and `jobs/`, in it `migrations/`
"""

ERRORS = """LIMIT = 3

class Trouble(Exception):
    def say(self):
        return "SEEDVR_DATA"
"""

FILES = {
    "CONDUCTOR.md": CONDUCTOR,
    "docs/CONFIG.md": CONFIG,
    "docs/DATA_MODEL.md": DATA_MODEL,
    "docs/ARCHITECTURE.md": ARCHITECTURE,
    "docs/JOURNAL.md": "# Journal\n\n[Back](../CONDUCTOR.md)\n",
    "app.py": "",
    "setup_environment.sh": "python=${SEEDVR_PYTHON:-python3}\nroot=$PWD\n",
    "seedvr_engine/errors.py": ERRORS,
    "seedvr_engine/pipeline/options.py": "class Options:\n    size: str\n    fit: str = 'inside'\n",
    "seedvr_engine/jobs/migrations/001.sql": "CREATE TABLE jobs (id TEXT, owner TEXT);",
    "seedvr_engine/jobs/migrations/002.sql": "ALTER TABLE jobs ADD COLUMN state TEXT;",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project whose pages are true."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def faults_of(root: Path) -> list[str]:
    return [str(fault) for fault in check(root)]


def test_pages_that_are_true_have_no_fault(project: Path) -> None:
    assert faults_of(project) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("CONDUCTOR.md", "errors.py:4-5", "errors.py:3-4", "CONDUCTOR.md:3: seedvr_engine/errors.py:3-4 is"),
        (
            "seedvr_engine/errors.py",
            "LIMIT = 3",
            "# new\nLIMIT = 3",
            "seedvr_engine/errors.py:2 now",
        ),
        ("seedvr_engine/errors.py", "def say", "def tell", "errors.py has no Trouble.say"),
        ("CONDUCTOR.md", "<!-- ref: LIMIT -->", "", "errors.py:1 lacks its <!-- ref: NAME -->"),
        ("CONDUCTOR.md", "docs/JOURNAL.md", "docs/DIARY.md", "CONDUCTOR.md:4: dead link: docs/DIARY.md"),
        ("CONDUCTOR.md", "#jobs", "#work", "CONDUCTOR.md:4: dead anchor: docs/DATA_MODEL.md#work"),
        ("docs/ARCHITECTURE.md", "## The tree", "## A tree", "dead anchor: docs/ARCHITECTURE.md#the-tree"),
        ("docs/ARCHITECTURE.md", 'id="mark"', 'id="sign"', "dead anchor: docs/ARCHITECTURE.md#mark"),
        ("docs/JOURNAL.md", "[Back](../CONDUCTOR.md)", "", "docs/JOURNAL.md:0: this page leads to no other"),
        ("CONDUCTOR.md", "[journal](docs/JOURNAL.md)", "", "no page leads here"),
        ("docs/CONFIG.md", ", `fit`", "", "fit, option of options.py, is not here"),
        ("docs/CONFIG.md", "`fit`", "`fit`, `shape`", "docs/CONFIG.md:9: shape is no option"),
        (
            "docs/CONFIG.md",
            "| `SEEDVR_DATA` | where |\n",
            "",
            "SEEDVR_DATA, variable of the code",
        ),
        ("docs/CONFIG.md", "| `SEEDVR_PYTHON` | which |\n", "", "SEEDVR_PYTHON, variable of the code"),
        ("docs/CONFIG.md", "`SEEDVR_DATA`", "`SEEDVR_DATA`, `SEEDVR_OLD`", "SEEDVR_OLD is no variable"),
        ("docs/DATA_MODEL.md", "| `state` | how |\n", "", "DATA_MODEL.md:5: column jobs.state is not here"),
        ("docs/DATA_MODEL.md", "`owner`", "`owner`, `age`", "jobs.age is no column of the store"),
        ("docs/DATA_MODEL.md", "## `jobs`", "## `work`", "table jobs is not here"),
        ("docs/ARCHITECTURE.md", "`pipeline/` and ", "", "seedvr_engine/pipeline is not here"),
        ("docs/ARCHITECTURE.md", "`app.py`, ", "", "ARCHITECTURE.md:0: app.py is not here"),
        ("docs/ARCHITECTURE.md", "in it `migrations/`", "", "seedvr_engine/jobs/migrations is not here"),
    ],
)
def test_a_planted_fault_is_told_with_page_and_line(
    project: Path, file: str, old: str, new: str, told: str
) -> None:
    path = project / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    found = faults_of(project)
    assert any(told in fault for fault in found), found


def test_a_journal_past_its_limit_is_told(project: Path) -> None:
    path = project / "docs/JOURNAL.md"
    path.write_text(path.read_text() + "\n" * (LIMIT - 3))
    assert faults_of(project) == []
    path.write_text(path.read_text() + "\n")
    assert any("move the oldest half" in fault for fault in faults_of(project))


def test_a_page_that_must_be_there_is_missed(project: Path) -> None:
    (project / "docs/DATA_MODEL.md").unlink()
    assert any("docs/DATA_MODEL.md:0: this page is missing" in fault for fault in faults_of(project))
    assert any("dead link: docs/DATA_MODEL.md#jobs" in fault for fault in faults_of(project))


def test_endpoints_are_compared_whatever_their_parameters_are_called(tmp_path: Path) -> None:
    (tmp_path / "API.md").write_text(
        "# API\n\n## `GET /api/jobs/{id}`\n\n| endpoint | |\n| --- | --- |\n| `POST /api/jobs` | 201 |\n"
    )
    page = Page(tmp_path, Path("API.md"))
    served = {("GET", "/api/jobs/{}"), ("POST", "/api/jobs")}
    assert check_endpoints(page, served) == []
    assert check_endpoints(page, served | {("GET", "/healthz")}) == [
        Fault(Path("API.md"), 0, "GET /healthz is not here")
    ]
    assert check_endpoints(page, served - {("POST", "/api/jobs")}) == [
        Fault(Path("API.md"), 7, "POST /api/jobs is not served")
    ]


def test_line_references_are_rewritten_from_their_names(project: Path) -> None:
    code = project / "seedvr_engine/errors.py"
    code.write_text("# one\n# two\n" + code.read_text())
    page = Page(project, Path("CONDUCTOR.md"))
    assert mend_references(page)
    mended = Page(project, Path("CONDUCTOR.md"))
    assert "`seedvr_engine/errors.py:6-7`<!-- ref: Trouble.say -->" in mended.text
    assert "`seedvr_engine/errors.py:3`<!-- ref: LIMIT -->" in mended.text
    assert check_references(mended) == []
    assert not mend_references(mended)


def test_code_blocks_are_left_alone(project: Path) -> None:
    path = project / "docs/JOURNAL.md"
    path.write_text(path.read_text() + "\n```\n`seedvr_engine/errors.py:99`<!-- ref: LIMIT -->\n```\n")
    page = Page(project, Path("docs/JOURNAL.md"))
    assert check_references(page) == []
    assert not mend_references(page)


@pytest.mark.parametrize(
    ("name", "lines"),
    [("A", (3, 6)), ("A.size", (4, 4)), ("A.run", (5, 6)), ("LIMIT", (1, 1)), ("B", None), ("A.LIMIT", None)],
)
def test_names_are_found_at_their_lines(name: str, lines: tuple[int, int] | None) -> None:
    source = "LIMIT: int = 1\n\nclass A:\n    size: int\n    def run(self) -> None:\n        pass\n"
    assert find_lines(source, name) == lines


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("What it is", "what-it-is"),
        ("`GET /api/jobs`", "get-apijobs"),
        ("Set-up, again!", "set-up-again"),
        ("[Link](to.md) here", "link-here"),
    ],
)
def test_headings_get_the_names_that_github_gives_them(heading: str, name: str) -> None:
    assert slug(heading) == name
