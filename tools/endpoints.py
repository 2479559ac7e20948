"""docs/API.md names every endpoint that the application serves, and no other."""

import re
import tempfile
from pathlib import Path

from tools.page import Fault, Page, code_words

PAGE = Path("docs/API.md")
_ENDPOINT = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S*)")

# Answers of a protocol, not of ours: GET brings them along, browsers ask by themselves.
_SILENT = {"HEAD", "OPTIONS"}
# Says that there is nothing.
_CATCH_ALL = {"/api/{path:path}"}

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


def served_endpoints() -> set[Endpoint]:
    """What the application serves with everything switched on, read from its routes; no port is opened."""
    from fastapi.routing import iter_route_contexts

    from seedvr_engine.jobs.processor import SeedVRProcessor
    from seedvr_engine.server.app import create_app
    from seedvr_engine.settings import Settings

    with tempfile.TemporaryDirectory() as name:
        ckpts, outputs, data, inputs = (Path(name) / part for part in ("ckpts", "outputs", "data", "inputs"))
        settings = Settings(ckpts=ckpts, outputs=outputs, data=data, inputs=inputs, mcp=True)
        processor = SeedVRProcessor(settings)
        processor.start()
        try:
            contexts = list(iter_route_contexts(create_app(settings, processor).routes))
        finally:
            processor.stop()
    return {
        (method, plain(context.path))
        for context in contexts
        for method in context.methods or ()
        if context.path and method not in _SILENT and context.path not in _CATCH_ALL
    }


def plain(path: str) -> str:
    """A path whose parameters have no names: `/api/jobs/{id}` and `/api/jobs/{job_id:path}` are the same."""
    return re.sub(r"\{[^}]*\}", "{}", path)
