"""docs/ARCHITECTURE.md names every folder and every top module."""

import re
from collections.abc import Iterator
from pathlib import Path

from tools.page import Fault, Page

PAGE = Path("docs/ARCHITECTURE.md")
_MADE = {"__pycache__", "workspace", "build", "dist"}


def check_tree(page: Page) -> list[Fault]:
    """A folder is named as `name/`, a module as `name.py`, both alone: in a path they do not count."""
    return [
        page.fault(0, f"{path} is not here")
        for path in _parts(page.root)
        if not re.search(rf"(?<![\w/-]){re.escape(_written(page.root, path))}(?!\w)", page.text)
    ]


def _written(root: Path, path: Path) -> str:
    return f"{path.name}/" if (root / path).is_dir() else path.name


def _parts(root: Path) -> Iterator[Path]:
    """Top folders, the package's folders at any depth, and modules at the top of both."""
    for folder in (root, root / "seedvr_engine"):
        yield from (path.relative_to(root) for path in sorted(folder.glob("*.py")) if path.name[0] != "_")
    tops = (path for path in root.iterdir() if path.is_dir())
    inner = (path for path in (root / "seedvr_engine").rglob("*") if path.is_dir())
    for path in sorted({*tops, *inner}):
        relative = path.relative_to(root)
        if not any(part[0] == "." or part in _MADE or part.endswith(".egg-info") for part in relative.parts):
            yield relative
