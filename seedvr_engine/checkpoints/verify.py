"""Checks checkpoint files: by hash where one is known, else by size, keys, shapes and dtypes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seedvr_engine.checkpoints.catalog import CatalogFile, by_hash, by_place, mending_command
from seedvr_engine.checkpoints.find import Found, find_checkpoints, look_at
from seedvr_engine.checkpoints.hashes import file_sha256
from seedvr_engine.errors import CheckpointError

NAMES = {
    "dit": "DiT",
    "vae": "VAE",
    "text_pos": "positive text embedding",
    "text_neg": "negative text embedding",
}


@dataclass(frozen=True)
class Verification:
    """The result for one file.

    ok: it can be used. checked: "hash" when it is a known file to the bit, "contents" when only size, keys,
    shapes and dtypes were compared, "" when it failed before. message: one sentence. remedy: what to do; ""
    when all is well.
    """

    path: Path
    ok: bool
    checked: str
    message: str
    remedy: str = ""
    found: Found | None = None


def verify(path: Path, *, on_progress: Callable[[int, int], None] | None = None) -> Verification:
    """Checks one file.

    on_progress: (bytes hashed, bytes in all); a hash that is known since an earlier time costs nothing.
    """
    found = look_at(path, hash_suspects=False)
    if found.problem:
        return _bad(path, found, found.problem, found.model)
    place = by_place(path)
    if place and place.size_bytes and place.size_bytes != found.size_bytes:
        size = f"{found.size_bytes:,} bytes instead of {place.size_bytes:,}"
        return _bad(path, found, f"{path} is not the released file: {size}.", place.model)
    sha256 = file_sha256(path, on_progress=on_progress)
    entry = by_hash(sha256)
    if entry:
        return _known(path, look_at(path), entry)
    if place and place.sha256:
        expected = f"its SHA-256 is {sha256[:12]}…, expected {place.sha256[:12]}…"
        return _bad(path, found, f"{path} is not the released file: {expected}", place.model)
    try:
        what = check_contents(found)
    except CheckpointError as error:
        return Verification(path, False, "", error.message, error.remedy, found)
    notes = "".join(f" {note}" for note in found.notes)
    return Verification(
        path, True, "contents", f"{path} is {what}; its hash is not listed.{notes}", found=found
    )


def verify_all(root: Path, *, on_progress: Callable[[int, int], None] | None = None) -> list[Verification]:
    """Checks every checkpoint in `root`, at any depth; on_progress as in `verify`, file by file."""
    return [
        verify(found.path, on_progress=on_progress) for found in find_checkpoints(root, hash_suspects=False)
    ]


def check_contents(found: Found) -> str:
    """Compares keys, shapes and dtypes with those of our own networks (imports torch).

    Returns what the file is, in words. Raises CheckpointError naming what differs.
    """
    if found.part in ("dit", "vae"):
        from seedvr_engine.checkpoints.load import plan_loading

        plan_loading(found.path)
    name = f"DiT of SeedVR2 {found.model}" if found.model else NAMES[found.part]
    return f"{'the' if found.full else 'an unreleased size of the'} {name} ({found.precision})"


def _known(path: Path, found: Found, entry: CatalogFile) -> Verification:
    message = f"{path} is {entry.repository}/{Path(entry.file).name}, to the bit."
    if not entry.superseded:
        return Verification(path, True, "hash", message, found=found)
    return Verification(
        path,
        True,
        "hash",
        f"{message} {' '.join(found.notes)}",
        f"Run `{mending_command(entry.model)}` for the current ones.",
        found,
    )


def _bad(path: Path, found: Found, problem: str, model: str | None) -> Verification:
    command = f"Run `{mending_command(model)}`."
    return Verification(path, False, "", problem, "" if "seedvr download" in problem else command, found)
