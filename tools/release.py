"""The notes of a release: python -m tools.release v1.2.3

Prints what CHANGELOG.md says about a version. Exit code 1 where the tag is not the version of the code, or
where the changelog does not know it or has no date for it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(root: Path, tag: str) -> str:
    """The changelog's part about the version that `tag` names, without its heading.

    Raises ValueError where the tag fits neither the code nor the changelog.
    """
    version = tag.removeprefix("v")
    code = (root / "seedvr_engine" / "__init__.py").read_text(encoding="utf-8")
    if f'__version__ = "{version}"' not in code:
        raise ValueError(f"{tag} is not the version in seedvr_engine/__init__.py")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    part = re.search(
        rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n(.*?)(?=^## |\Z)", changelog, re.M | re.S
    )
    if part is None:
        raise ValueError(f"CHANGELOG.md has no `## {version} (YYYY-MM-DD)`")
    return part[1].strip() + "\n"


if __name__ == "__main__":
    try:
        print(notes(ROOT, sys.argv[1]), end="")
    except ValueError as error:
        sys.exit(str(error))
