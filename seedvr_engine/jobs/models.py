"""Which models there are, and what each of them needs."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seedvr_engine.checkpoints.catalog import MODELS, files_to_download
from seedvr_engine.checkpoints.find import available_models, find_checkpoints
from seedvr_engine.models.config import DiTConfig, VAEConfig
from seedvr_engine.pipeline.choice import PREVIEW, PREVIEW_LABEL, preview_choice
from seedvr_engine.pipeline.cost import dit_weights
from seedvr_engine.pipeline.plan import Machine, make_plan

# A usual shot: 4 s of 24 frames at 720p.
_HEIGHT, _WIDTH, _FRAMES = 720, 1280, 97
_ENDLESS = Machine("cuda", 1 << 50, 1 << 50)


@dataclass(frozen=True)
class ModelStatus:
    """A model that can be chosen.

    name: "preview", "3b", ... label: for people. path: of its weights, None for those built in or not there.
    download_bytes: what is left to download, 0 when present. memory_bytes: what a GPU needs to restore a
        usual shot (4 s at 720p) in one go; with less it runs too, in smaller steps.
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
    statuses = [ModelStatus(PREVIEW, PREVIEW_LABEL, True, None, 0, _memory_bytes(PREVIEW))]
    for name in MODELS:
        found = present.get(name)
        path, left = (found.path, 0) if found else (None, _bytes_left(name, ckpts))
        label = f"SeedVR2 {name.upper().replace('-SHARP', ' sharp')}"
        statuses.append(ModelStatus(name, label, found is not None, path, left, _memory_bytes(name)))
    return statuses


def _bytes_left(name: str, ckpts: Path) -> int:
    """Bytes of the files that are not there yet; where the catalog knows none, two for each weight."""
    files = [file for file in files_to_download(name) if not file.path_below(ckpts).exists()]
    unknown = {"dit": dit_weights(_dit(name)) * 2}
    return sum(file.size_bytes or unknown.get(file.kind, 0) for file in files)


def _dit(name: str) -> DiTConfig:
    return DiTConfig.seedvr2_3b() if name == "3b" else DiTConfig.seedvr2_7b()


@cache
def _memory_bytes(name: str) -> int:
    if name == PREVIEW:
        choice = preview_choice()
        dit, vae, frames, bytes_each = choice.dit, choice.vae, choice.pass_latents, 4
    else:
        dit, vae, frames, bytes_each = _dit(name), VAEConfig(), _FRAMES, 2
    plan = make_plan(
        dit,
        vae,
        height=_HEIGHT,
        width=_WIDTH,
        shot_frames=frames,
        element_bytes=bytes_each,
        machine=_ENDLESS,
    )
    return plan.device_bytes
