"""Links between the pages: every target is there, and no page stands alone."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.page import Fault, Page

ENTRANCE = Path("CONDUCTOR.md")


def check_links(pages: list[Page]) -> list[Fault]:
    """Tells dead links and dead anchors. Addresses of other hosts are not asked."""
    anchors = {page.path: page.anchors() for page in pages}
    faults = []
    for page in pages:
        for link in page.links():
            target = urlsplit(link.text)
            if target.scheme or target.netloc:
                continue
            path = _resolve(page, unquote(target.path))
            if not (page.root / path).exists():
                faults.append(page.fault(link.line, f"dead link: {link.text}"))
            elif target.fragment and target.fragment not in anchors.get(path, set()):
                faults.append(page.fault(link.line, f"dead anchor: {link.text}"))
    return faults


def check_reach(pages: list[Page]) -> list[Fault]:
    """Tells pages of docs/ that CONDUCTOR does not lead to, or that do not lead back to it."""
    leads = {
        page.path: {_resolve(page, unquote(urlsplit(link.text).path)) for link in page.links()}
        for page in pages
    }
    reached: set[Path] = set()
    waiting = [ENTRANCE]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += leads.get(path, set())
    faults = []
    for page in pages:
        if page.path.parts[0] != "docs":
            continue
        if page.path not in reached:
            faults.append(page.fault(0, f"no page leads here from {ENTRANCE}"))
        if not any(target == ENTRANCE or target.suffix == ".md" for target in leads[page.path]):
            faults.append(page.fault(0, "this page leads to no other"))
    return faults


def _resolve(page: Page, target: str) -> Path:
    """A link's target, relative to the project's folder; the page itself where only an anchor was given."""
    if not target:
        return page.path
    parts: list[str] = []
    for part in (page.path.parent / target).parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return Path(*parts)
