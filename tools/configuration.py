"""docs/CONFIG.md names every option and every environment variable, and no other."""

import ast
import re
from pathlib import Path

from tools.page import Fault, Page, code_words

PAGE = Path("docs/CONFIG.md")
OPTIONS = Path("seedvr_engine/pipeline/options.py")
_VARIABLE = re.compile(r"(?:SEEDVR|GRADIO|HF|CUDA|RUNPOD)_[A-Z0-9_]*[A-Z0-9]")


def check_options(page: Page) -> list[Fault]:
    """The tables of the section "Options" against the fields of `Options`."""
    documented = {
        word: row.line for row in page.rows() if row.section == "Options" for word in code_words(row.cells[0])
    }
    return _compare(page, documented, options(page.root), f"option of {OPTIONS.name}")


def check_variables(page: Page) -> list[Fault]:
    """The names in the first columns of all tables against the variables in the code."""
    documented = {
        word: row.line
        for row in page.rows()
        for word in code_words(row.cells[0])
        if _VARIABLE.fullmatch(word)
    }
    return _compare(page, documented, variables(page.root), "variable of the code")


def _compare(page: Page, documented: dict[str, int], there: set[str], what: str) -> list[Fault]:
    missing = [page.fault(0, f"{name}, {what}, is not here") for name in sorted(there - documented.keys())]
    return missing + [
        page.fault(line, f"{name} is no {what}") for name, line in documented.items() if name not in there
    ]


def options(root: Path) -> set[str]:
    """The fields of the dataclass `Options`."""
    module = ast.parse((root / OPTIONS).read_text(encoding="utf-8"))
    classes = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Options")
    return {
        node.target.id
        for node in next(classes).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def variables(root: Path) -> set[str]:
    """Environment variables that stand in the code as whole strings, or in the set-up script."""
    names = set(re.findall(r"\$\{(SEEDVR_\w+)", (root / "setup_environment.sh").read_text(encoding="utf-8")))
    for path in (root / "seedvr_engine").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and _VARIABLE.fullmatch(node.value)
            ):
                names.add(node.value)
    return names
