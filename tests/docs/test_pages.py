"""The project's own pages: true, complete, and in their form."""

import re
from pathlib import Path

import pytest

from tools.docs import ROOT, check
from tools.page import Page

# Pages that somebody looks things up in.
MAJOR = ["CONDUCTOR.md"] + [
    f"docs/{name}.md"
    for name in (
        *("API", "ARCHITECTURE", "BUILD", "CONFIG", "CONTRIBUTING", "DATA_MODEL", "DESIGN", "ERRORS"),
        *("JOURNAL", "PLAYBOOKS/DEPLOY", "QUALITY", "SECURITY", "TASKS", "TEST", "UIUX"),
    )
]


def test_what_the_pages_say_is_so() -> None:
    """All but the endpoints: the command in CONTRIBUTING, which test_commands.py runs, reads those too."""
    assert [str(fault) for fault in check(ROOT)] == []


@pytest.mark.parametrize("name", MAJOR)
def test_a_major_page_has_keywords_and_the_way_back(name: str) -> None:
    page = Page(ROOT, Path(name))
    assert re.search(r"^\*\*Keywords:\*\* \S", page.text, re.MULTILINE)
    if name != "CONDUCTOR.md":
        assert any("CONDUCTOR.md" in link.text for link in page.links())


def test_the_quick_reference_leads_to_ten_to_fifteen_places() -> None:
    rows = [row for row in Page(ROOT, Path("CONDUCTOR.md")).rows() if row.section == "Quick reference"]
    assert 10 <= len(rows) <= 15
    assert all(re.search(r"\.py:\d+-\d+`<!-- ref: ", row.cells[1]) for row in rows)


def test_faults_have_numbers_that_are_used_once() -> None:
    rows = Page(ROOT, Path("docs/ERRORS.md")).rows()
    numbers = [row.cells[0] for row in rows if row.section in ("Active", "Resolved")]
    assert all(re.fullmatch(r"ERR-\d{4}-\d\d-\d\d-\d{3}", number) for number in numbers)
    assert len(set(numbers)) == len(numbers)
    assert {row.cells[1] for row in rows if row.section in ("Active", "Resolved")} <= {"P0", "P1"}


def test_every_entry_of_the_journal_has_its_parts() -> None:
    entries = Page(ROOT, Path("docs/JOURNAL.md")).text.split("\n## ")[1:]
    for entry in entries:
        assert re.match(r"\d{4}-\d\d-\d\d: \S", entry)
        assert "**What.**" in entry
        assert "**Result.**" in entry
