"""Finds checkpoints in a folder, at any depth, and chooses the files that one model needs."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedvr_engine.checkpoints.catalog import (
    MODELS,
    CatalogFile,
    by_hash,
    by_name,
    by_place,
    may_be_superseded,
    mending_command,
)
from seedvr_engine.checkpoints.hashes import cached_sha256, file_sha256
from seedvr_engine.checkpoints.inspect import (
    FORMATS,
    TEXT_KEYS,
    Header,
    Identity,
    identify,
    not_supported,
    precision,
    read_header,
    sharp_from_name,
    unsupported,
)
from seedvr_engine.errors import CheckpointError

SUPERSEDED = "These are the first 3B weights, which the authors replaced on 2025-06-22."
SHARP_FROM_NAME = (
    "The 7B and its sharp sister have the same shapes; which one this is, is told from its name."
)

# The more exact file first, where a model is there twice.
_PRECISIONS = ("F32", "BF16", "F16", "F8_E4M3", "F8_E5M2")


@dataclass(frozen=True)
class Found:
    """One checkpoint file on disk.

    part: "dit", "vae", "text_pos", "text_neg"; "" when it could not be told.
    model: which of MODELS a DiT is; None for everything else.
    entry: the catalog's entry, where the hash is known to be its.
    holds_text: both text embeddings lie in the file beside the DiT.
    superseded: the first 3B weights; used only when named explicitly.
    full: of the released size, not a smaller network of the same build.
    notes: what a user should know. problem: why it cannot be used; "" when it can.
    """

    path: Path
    part: str
    model: str | None
    precision: str
    size_bytes: int
    entry: CatalogFile | None = None
    holds_text: bool = False
    superseded: bool = False
    full: bool = True
    notes: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ModelFiles:
    """What one model is loaded from. The texts are the DiT's own file where that holds them."""

    dit: Found
    vae: Found
    text_pos: Path
    text_neg: Path


def find_checkpoints(root: Path, *, hash_suspects: bool = True) -> list[Found]:
    """All checkpoint files in `root`, at any depth, sorted by path.

    Broken and foreign ones are among them, with their `problem`.
    hash_suspects: hash files that may be the superseded 3B weights (once; the result is kept beside the
        file). Without, an answer comes at once and only hashes that are known already count.
    A folder that does not exist holds nothing.
    """
    return [look_at(path, hash_suspects=hash_suspects) for path in sorted(_files(root))]


def _files(root: Path) -> Iterator[Path]:
    # Links are followed, as a pod's volume is often linked in; a folder seen before is not entered again.
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        names = [] if real in seen else names
        seen.add(real)
        yield from (Path(folder, n) for n in names if Path(n).suffix in FORMATS and not n.startswith("."))


def look_at(path: Path, *, hash_suspects: bool = True) -> Found:
    """Tells what one file is. Does not raise for a broken file: its `problem` says what is wrong."""
    try:
        header = read_header(path)
        return _describe(path, header, hash_suspects)
    except CheckpointError as error:
        return Found(path, "", None, "", path.stat().st_size if path.exists() else 0, problem=str(error))


def _describe(path: Path, header: Header, hash_suspects: bool) -> Found:
    size = path.stat().st_size
    entry = by_hash(_hash_if_needed(path, size, hash_suspects) or "")
    if header.format == "gguf":
        hint = entry or by_name(path)
        part, model = ("dit", hint.model) if hint else ("", None)
        problem = not_supported(path, unsupported(header), model)
        return Found(path, part, model, "GGUF", size, entry, problem=str(problem))
    identity = identify(header.tensors)
    part = _part(path, identity)
    if identity is None or not part:
        return Found(path, "", None, precision(header.tensors), size, problem=str(_foreign(path)))
    model, notes = _model(path, identity, entry)
    what = unsupported(header)
    return Found(
        path=path,
        part=part,
        model=model,
        precision=precision(header.tensors),
        size_bytes=size,
        entry=entry,
        holds_text=part == "dit" and all(key in header.tensors for key in TEXT_KEYS.values()),
        superseded=bool(entry and entry.superseded),
        full=identity.full,
        notes=notes,
        problem=str(not_supported(path, what, model)) if what else "",
    )


def _part(path: Path, identity: Identity | None) -> str:
    if identity is None or identity.part != "text":
        return identity.part if identity else ""
    # Embeddings of another length than the released ones: only the name tells positive from negative.
    hint = by_name(path)
    return hint.kind if hint and hint.kind in TEXT_KEYS else ""


def _model(path: Path, identity: Identity, entry: CatalogFile | None) -> tuple[str | None, tuple[str, ...]]:
    """Which of MODELS a file is, and what a user should know about that."""
    if identity.part != "dit":
        return None, ()
    if entry:
        return entry.model, (SUPERSEDED,) if entry.superseded else ()
    if identity.family == "7b":
        return sharp_from_name(path), (SHARP_FROM_NAME,)
    return identity.family, ()


def _hash_if_needed(path: Path, size: int, hash_suspects: bool) -> str | None:
    """The file's hash when it is known, or when nothing else can tell that these are superseded weights."""
    known = cached_sha256(path)
    suspect = may_be_superseded(size)
    return file_sha256(path) if not known and suspect and hash_suspects else known


def _foreign(path: Path) -> CheckpointError:
    place = by_place(path)
    return CheckpointError(
        f"{path} holds none of SeedVR2's networks: the keys and shapes in it are those of something else.",
        remedy=f"Run `{mending_command(place.model if place else None)}` for the released files.",
    )


def available_models(found: Sequence[Found]) -> dict[str, Found]:
    """The models that can run: their DiT, the VAE and both text embeddings are there. Best file of each."""
    models = {}
    for model in MODELS:
        dit = _best(found, "dit", model)
        if dit and _best(found, "vae") and _texts(found, dit):
            models[model] = dit
    return models


def choose(model: str, found: Sequence[Found]) -> ModelFiles:
    """The files to load for `model`, one of MODELS or the path of a DiT file.

    found: what `find_checkpoints` returned. A path is used as it is, superseded or not.
    Raises CheckpointError that says what is missing and which command brings it.
    """
    dit = _best(found, "dit", model) if model in MODELS else _named(Path(model))
    if dit is None:
        raise _nothing_for(model, found)
    command = mending_command(dit.model)
    vae = _best(found, "vae")
    if vae is None:
        raise CheckpointError(f"The VAE that {model} needs is not there.", remedy=f"Run `{command}`.")
    texts = _texts(found, dit)
    if texts is None:
        raise CheckpointError(
            f"The text embeddings that {model} needs (pos_emb.pt and neg_emb.pt) are not there.",
            remedy=f"Run `{command}`.",
        )
    return ModelFiles(dit, vae, *texts)


def _named(path: Path) -> Found:
    found = look_at(path)
    if found.problem:
        raise CheckpointError(found.problem)
    if found.part != "dit":
        raise CheckpointError(
            f"{path} holds no SeedVR2 DiT.",
            remedy="Name the file of a DiT, or one of " + ", ".join(MODELS) + ".",
        )
    return found


def _nothing_for(model: str, found: Sequence[Found]) -> CheckpointError:
    remedy = f"Run `{mending_command(model)}`."
    ours = [item for item in found if item.part == "dit" and item.model == model]
    old = next((item for item in ours if item.superseded), None)
    if old:
        return CheckpointError(
            f"The only {model} file, {old.path}, holds the first 3B weights, which the authors replaced.",
            remedy=f"{remedy[:-1]} for the current ones, or name the file to use it all the same.",
        )
    broken = next((item for item in ours if item.problem), None)
    if broken:
        return CheckpointError(broken.problem)
    return CheckpointError(f"There is no checkpoint of SeedVR2 {model}.", remedy=remedy)


def _best(found: Sequence[Found], part: str, model: str | None = None) -> Found | None:
    usable = [f for f in found if f.part == part and f.model == model and not f.problem and not f.superseded]
    # A full network before a small one, one of known hash before a stranger.
    return min(usable, key=lambda f: (not f.full, _rank(f), f.entry is None, str(f.path)), default=None)


def _rank(found: Found) -> int:
    return _PRECISIONS.index(found.precision) if found.precision in _PRECISIONS else len(_PRECISIONS)


def _texts(found: Sequence[Found], dit: Found) -> tuple[Path, Path] | None:
    if dit.holds_text:
        return dit.path, dit.path
    positive, negative = (_best(found, part) for part in TEXT_KEYS)
    return (positive.path, negative.path) if positive and negative else None
