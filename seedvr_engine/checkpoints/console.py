"""A download with a progress bar on stderr, for the command line and `download_models.py`."""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from seedvr_engine.checkpoints.download import download_model
from seedvr_engine.errors import SeedVRError


def download_with_bar(model: str, *, official: bool = False, root: Path | None = None) -> list[Path]:
    """`download_model` that shows bytes, speed and time left on stderr."""
    console = Console(stderr=True)
    columns = (
        TextColumn("SeedVR2 {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(model, total=None)
        return download_model(
            model,
            official=official,
            root=root,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def run(model: str, *, official: bool = False) -> int:
    """Downloads, prints each path on stdout and failures on stderr; returns the exit code."""
    try:
        paths = download_with_bar(model, official=official)
    except SeedVRError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    print(*paths, sep="\n")
    return 0
