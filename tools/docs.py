"""Keeps the documents true.

python -m tools.docs            rewrites line references, then checks everything
python -m tools.docs --check    changes nothing; exit code 1 and one line a fault where a page is wrong
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tools import configuration, endpoints, journal, schema, tree
from tools.links import check_links, check_reach
from tools.page import Fault, Page, read_pages
from tools.references import check_references, mend_references

ROOT = Path(__file__).parents[1]

# What one page alone is held against.
CHECKS: tuple[tuple[Path, Callable[[Page], list[Fault]]], ...] = (
    (configuration.PAGE, configuration.check_options),
    (configuration.PAGE, configuration.check_variables),
    (schema.PAGE, schema.check_schema),
    (tree.PAGE, tree.check_tree),
    (journal.PAGE, journal.check_journal),
)


def check(root: Path) -> list[Fault]:
    """Everything that the pages under `root` say and that is not so; endpoints are another matter."""
    pages = read_pages(root)
    faults = [fault for page in pages for fault in check_references(page)]
    faults += check_links(pages) + check_reach(pages)
    by_path = {page.path: page for page in pages}
    for path, check_page in CHECKS:
        faults += check_page(by_path[path]) if path in by_path else [Fault(path, 0, "this page is missing")]
    return faults


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments = parser.parse_args()
    if not arguments.check:
        for page in read_pages(ROOT):
            if mend_references(page):
                print(f"{page.path}: line references brought up to date")
    faults = check(ROOT)
    faults += endpoints.check_endpoints(Page(ROOT, endpoints.PAGE), endpoints.served_endpoints())
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
