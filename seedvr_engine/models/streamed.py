"""Blocks whose weights live in host memory and visit the device one at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def streamed(blocks: nn.ModuleList, device: torch.device) -> Iterator[nn.Module]:
    """Yields the blocks in order, each with its weights on `device` while the caller uses it.

    The next block's weights travel while the caller computes, so two blocks' weights are on the device at
    most. Host weights in pinned memory travel without holding up the host.
    """
    copies = torch.cuda.Stream(device) if device.type == "cuda" else None
    upcoming = _fetch(blocks[0], device, copies)
    for index, block in enumerate(blocks):
        if copies is not None:
            torch.cuda.current_stream(device).wait_stream(copies)
        here = upcoming
        upcoming = _fetch(blocks[index + 1], device, copies) if index + 1 < len(blocks) else {}
        host = {parameter: parameter.data for parameter in here}
        try:
            for parameter, data in here.items():
                parameter.data = data
            yield block
        finally:
            for parameter, data in host.items():
                parameter.data = data


def _fetch(
    block: nn.Module, device: torch.device, copies: "torch.cuda.Stream | None"
) -> dict[nn.Parameter, Tensor]:
    if copies is None:
        return {parameter: parameter.data.to(device) for parameter in block.parameters()}
    current = torch.cuda.current_stream(device)
    with torch.cuda.stream(copies):
        fetched = {p: p.data.to(device, non_blocking=True) for p in block.parameters()}
    for data in fetched.values():
        # The allocator must not hand this memory out again before the computing stream is through with it.
        data.record_stream(current)
    return fetched
