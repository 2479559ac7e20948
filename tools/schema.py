"""docs/DATA_MODEL.md names every table and column that the store's migrations make, and no other."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tools.page import Fault, Page, code_words

PAGE = Path("docs/DATA_MODEL.md")
MIGRATIONS = Path("seedvr_engine/jobs/migrations")


def check_schema(page: Page) -> list[Fault]:
    """A section `` `table` `` for each table, with a row for each column."""
    there = tables(page.root)
    documented: dict[str, dict[str, int]] = {}
    lines = {}
    for heading in page.headings():
        for name in code_words(heading.text):
            documented[name] = {}
            lines[name] = heading.line
    for row in page.rows():
        for name in code_words(row.section):
            documented[name].update((word, row.line) for word in code_words(row.cells[0]))
    faults = [page.fault(0, f"table {name} is not here") for name in sorted(there.keys() - documented.keys())]
    for name, columns in documented.items():
        if name not in there:
            faults.append(page.fault(lines[name], f"{name} is no table of the store"))
            continue
        faults += [
            page.fault(lines[name], f"column {name}.{column} is not here")
            for column in sorted(there[name] - columns.keys())
        ]
        faults += [
            page.fault(line, f"{name}.{column} is no column of the store")
            for column, line in columns.items()
            if column not in there[name]
        ]
    return faults


def tables(root: Path) -> dict[str, set[str]]:
    """Columns by table, after every migration in turn."""
    with closing(sqlite3.connect(":memory:")) as database:
        for path in sorted((root / MIGRATIONS).glob("*.sql")):
            database.executescript(path.read_text(encoding="utf-8"))
        names = database.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        return {
            name: {row[0] for row in database.execute("SELECT name FROM pragma_table_info(?)", (name,))}
            for (name,) in names.fetchall()
        }
