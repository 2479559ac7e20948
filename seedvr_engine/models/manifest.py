"""Prints the parameters of a network, one `key<TAB>shape` a line.

python -m seedvr_engine.models.manifest 3b|7b|vae
"""

import sys
from collections.abc import Callable

import torch
from torch import nn

from seedvr_engine.models.config import DiTConfig
from seedvr_engine.models.dit import DiT
from seedvr_engine.models.vae import VideoVAE

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "3b": lambda: DiT(DiTConfig.seedvr2_3b()),
    "7b": lambda: DiT(DiTConfig.seedvr2_7b()),
    "vae": VideoVAE,
}


def manifest(network: str) -> dict[str, tuple[int, ...]]:
    """Key -> shape of every parameter of "3b", "7b" or "vae"; no memory is spent on them."""
    with torch.device("meta"):
        model = NETWORKS[network]()
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in NETWORKS:
        print(f"usage: python -m seedvr_engine.models.manifest {'|'.join(NETWORKS)}", file=sys.stderr)
        return 2
    for key, shape in manifest(arguments[0]).items():
        print(key, ",".join(map(str, shape)), sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
