"""SHA-256 of large files, remembered beside them.

Hashing 16 GB takes a minute, so a result is kept in `.seedvr_hashes.json` in the file's folder and believed
as long as size and modification time are the same.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

CACHE_NAME = ".seedvr_hashes.json"
_CHUNK_BYTES = 1 << 22


def _read_cache(folder: Path) -> dict[str, Any]:
    try:
        cache = json.loads((folder / CACHE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cache if isinstance(cache, dict) else {}


def _write_cache(folder: Path, cache: dict[str, Any]) -> None:
    # A folder that cannot be written costs time at the next start, nothing else.
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(prefix=CACHE_NAME, dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(cache, file, indent=1, sort_keys=True)
            Path(name).replace(folder / CACHE_NAME)
        except OSError:
            Path(name).unlink(missing_ok=True)


def cached_sha256(path: Path) -> str | None:
    """The hash of `path` if it was computed before and the file has not changed since, else None."""
    entry = _read_cache(path.parent).get(path.name)
    if not isinstance(entry, dict):
        return None
    stat = path.stat()
    fresh = entry.get("size_bytes") == stat.st_size and entry.get("mtime_ns") == stat.st_mtime_ns
    return entry["sha256"] if fresh and isinstance(entry.get("sha256"), str) else None


def file_sha256(path: Path, *, on_progress: Callable[[int, int], None] | None = None) -> str:
    """The hash of `path`, 64 lower-case hexadecimal digits; from the cache where that is fresh.

    on_progress: called with (bytes read, bytes in all). Raises OSError when the file cannot be read.
    """
    known = cached_sha256(path)
    if known:
        return known
    before = path.stat()
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            if on_progress:
                on_progress(done, before.st_size)
    remember_sha256(path, digest.hexdigest(), size_bytes=before.st_size, mtime_ns=before.st_mtime_ns)
    return digest.hexdigest()


def remember_sha256(path: Path, sha256: str, *, size_bytes: int, mtime_ns: int) -> None:
    """Keeps a hash for the next start. Size and time are those from before hashing, so that a change
    meanwhile shows.
    """
    cache = _read_cache(path.parent)
    cache[path.name] = {"size_bytes": size_bytes, "mtime_ns": mtime_ns, "sha256": sha256}
    _write_cache(path.parent, cache)
