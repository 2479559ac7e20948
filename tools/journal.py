"""docs/JOURNAL.md stays short; what is older moves to docs/JOURNAL_ARCHIVE/."""

from pathlib import Path

from tools.page import Fault, Page

PAGE = Path("docs/JOURNAL.md")
LIMIT = 500


def check_journal(page: Page) -> list[Fault]:
    """Tells a journal past its limit."""
    lines = page.text.count("\n")
    if lines <= LIMIT:
        return []
    return [page.fault(lines, f"{lines} lines; move the oldest half to docs/JOURNAL_ARCHIVE/YYYY-MM.md")]
