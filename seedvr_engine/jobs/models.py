"""Which models there are, and what each of them needs."""

from dataclasses import dataclass
from pathlib import Path

from seedvr_engine.checkpoints.catalog import MODELS
from seedvr_engine.checkpoints.find import available_models, find_checkpoints
from seedvr_engine.pipeline.choice import PREVIEW, PREVIEW_LABEL


@dataclass(frozen=True)
class ModelStatus:
    """A model that can be chosen.

    name: "preview", "3b", ... label: for people. path: of its weights, None where they are not there.
    download_bytes: what is left to download, 0 when present. memory_bytes: what it needs of a GPU for a 720p
        clip.
    """

    name: str
    label: str
    present: bool
    path: Path | None
    download_bytes: int
    memory_bytes: int


def model_statuses(ckpts: Path) -> list[ModelStatus]:
    """The preview, then the released models."""
    present = available_models(find_checkpoints(ckpts, hash_suspects=False))
    statuses = [ModelStatus(PREVIEW, PREVIEW_LABEL, True, None, 0, 0)]
    for name in MODELS:
        found = present.get(name)
        statuses.append(
            ModelStatus(name, f"SeedVR2 {name}", found is not None, found.path if found else None, 0, 0)
        )
    return statuses
