"""Files get their name when they are whole."""

import os
from pathlib import Path


def give_name(part: Path, path: Path) -> None:
    """Renames a finished file or folder; a file's content is on the disk before its name is.

    Without that a power cut can leave the name with nothing behind it, which would count as finished work.
    """
    if part.is_file():
        with part.open("rb") as file:
            os.fsync(file.fileno())
    part.replace(path)
