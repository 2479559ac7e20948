"""docs/API.md names every endpoint that the application serves, and no other."""

import re
from pathlib import Path

from tools.page import Fault, Page, code_words

PAGE = Path("docs/API.md")
_ENDPOINT = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD) (/\S*)")

Endpoint = tuple[str, str]


def check_endpoints(page: Page, served: set[Endpoint]) -> list[Fault]:
    """A heading or a table's first column with `` `METHOD /path` `` for each endpoint.

    served: method and path, as `served_endpoints` gives them.
    """
    texts = [(heading.line, heading.text) for heading in page.headings()]
    texts += [(row.line, row.cells[0]) for row in page.rows()]
    documented = {
        (match[1], plain(match[2])): line
        for line, text in texts
        for word in code_words(text)
        if (match := _ENDPOINT.fullmatch(word))
    }
    missing = [page.fault(0, f"{' '.join(one)} is not here") for one in sorted(served - documented.keys())]
    unknown = [(line, one) for one, line in documented.items() if one not in served]
    return missing + [page.fault(line, f"{' '.join(one)} is not served") for line, one in unknown]


def plain(path: str) -> str:
    """A path whose parameters have no names: `/api/jobs/{id}` and `/api/jobs/{job_id:path}` are the same."""
    return re.sub(r"\{[^}]*\}", "{}", path)
