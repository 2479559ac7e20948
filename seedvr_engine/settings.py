"""The environment, read once, checked, typed."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from omegaconf import OmegaConf

_VARIABLES = {"ckpts": "SEEDVR_CKPTS"}


@dataclass(frozen=True)
class Settings:
    """Settings of one process.

    ckpts: folder with checkpoints, searched at any depth (SEEDVR_CKPTS).
    """

    ckpts: Path = Path("/workspace/ckpts")


def _default_ckpts() -> Path:
    """/workspace/ckpts where there is one or it can be made (a pod, a container), else ./workspace/ckpts."""
    pod = Path("/workspace")
    there = (pod / "ckpts").is_dir() or (pod.is_dir() and os.access(pod, os.W_OK))
    return pod / "ckpts" if there else Path("workspace/ckpts").absolute()


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Returns the settings of this process; the environment is read at the first call.

    `get_settings.cache_clear()` makes the next call read it anew.
    """
    given = {name: os.environ[variable] for name, variable in _VARIABLES.items() if os.environ.get(variable)}
    merged = OmegaConf.merge(OmegaConf.structured(Settings(ckpts=_default_ckpts())), given)
    settings = OmegaConf.to_object(merged)
    assert isinstance(settings, Settings)
    return settings
