"""Line references in the pages, made from the names of what they point to.

A page says `` `seedvr_engine/errors.py:12-30`<!-- ref: SeedVRError --> ``: the comment is written by hand,
the numbers are not. A name may be a class, a function, a method (`Class.method`), or a variable of either.
"""

import ast
import re
from functools import cache
from pathlib import Path

from tools.page import Fault, Page

_REFERENCE = re.compile(
    r"`(?P<file>[\w./-]+\.\w+)(?P<lines>:\d+(?:-\d+)?)?`(?P<mark>\s*<!--\s*ref:\s*(?P<name>[\w.]+)\s*-->)?"
)
_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*\s*$", re.MULTILINE | re.DOTALL)


def check_references(page: Page) -> list[Fault]:
    """Tells references whose numbers are old, whose name is gone, or which no name keeps true."""
    faults = []
    for match in _REFERENCE.finditer(_without_fences(page.text)):
        line = page.text.count("\n", 0, match.start()) + 1
        written = match["file"] + (match["lines"] or "")
        if match["mark"]:
            true = _true_reference(page.root, match)
            if true is None:
                faults.append(page.fault(line, f"{match['file']} has no {match['name']}"))
            elif true != written:
                faults.append(page.fault(line, f"{written} is {true} now; `python -m tools.docs` mends it"))
        elif match["lines"]:
            faults.append(page.fault(line, f"{written} lacks its <!-- ref: NAME -->, which keeps it true"))
    return faults


def mend_references(page: Page) -> bool:
    """Rewrites the line numbers of a page's references; returns whether anything changed."""

    def mended(match: re.Match[str]) -> str:
        true = _true_reference(page.root, match) if match["mark"] else None
        return match[0] if true is None else f"`{true}`{match['mark']}"

    pieces: list[str] = []
    end = 0
    for fence in _FENCE.finditer(page.text):
        pieces += [_REFERENCE.sub(mended, page.text[end : fence.start()]), fence[0]]
        end = fence.end()
    text = "".join([*pieces, _REFERENCE.sub(mended, page.text[end:])])
    if text == page.text:
        return False
    (page.root / page.path).write_text(text, encoding="utf-8")
    return True


def _without_fences(text: str) -> str:
    """The same text, lines kept, with code blocks blanked."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _true_reference(root: Path, match: re.Match[str]) -> str | None:
    path = root / match["file"]
    if not path.is_file():
        return None
    lines = find_lines(path.read_text(encoding="utf-8"), match["name"])
    if lines is None:
        return None
    first, last = lines
    return f"{match['file']}:{first}" + (f"-{last}" if last > first else "")


def find_lines(source: str, name: str) -> tuple[int, int] | None:
    """First and last line (from 1) of what a module calls `name`, or None.

    source: Python. name: `Class`, `function`, `Class.method` or `VARIABLE`.
    """
    node: ast.AST = _parse(source)
    for part in name.split("."):
        inner = next((child for child in getattr(node, "body", []) if part in _names(child)), None)
        if inner is None:
            return None
        node = inner
    return node.lineno, node.end_lineno or node.lineno  # type: ignore[attr-defined]


@cache
def _parse(source: str) -> ast.Module:
    return ast.parse(source)


def _names(node: ast.AST) -> set[str]:
    """What a statement defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}
