"""How a restoration uses the memory there is. Nobody has to choose: the least that costs time is tried first.

Knows no torch; the bytes come from `pipeline.cost`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from seedvr_engine.errors import MemoryBudgetError
from seedvr_engine.models.config import DiTConfig, VAEConfig
from seedvr_engine.pipeline.cost import (
    Cost,
    Place,
    block_weights,
    decode_cost,
    dit_cost,
    dit_weights,
    encode_cost,
    end_weights,
    vae_weights,
)

GIB = 2**30
OVERLAP_LATENTS = 2
# Group and piece, from fast to small. A group holds one window at least, whatever is asked for.
SIZES = ((12288, 2), (6144, 2), (4096, 1), (2048, 1))
# Few cores are as fast with small groups, whose workspace is a third smaller.
CPU_SIZES = ((2048, 2), (2048, 1))
# Caches, weights, tokens move to host memory in this order, for each costs more time than the last.
PLACES: tuple[tuple[Place, Place, Place], ...] = (
    ("device", "device", "device"),
    ("host", "device", "device"),
    ("host", "host", "device"),
    ("host", "host", "host"),
)
SHORTEST_STRETCH = OVERLAP_LATENTS + 2
# A shot of unknown length is given room for so many latents before time is spent on saving memory.
COMMON_LATENTS = 129
LONGEST_LATENTS = 2**15
# The interpreter, torch, codecs; and frames that wait between reading, computing and writing.
HOST_BYTES, WAITING_FRAMES = GIB // 2, 24
BYTES_PER_PIXEL = 3 * 2


@dataclass(frozen=True)
class Plan:
    """How much goes through at once, and where things wait.

    group_tokens: video tokens that go through a transformer block together.
    piece_frames: frames through a layer of the autoencoder at once.
    stretch_latents: a longer shot is cut into stretches of at most so many latents, neighbours sharing
        `overlap_latents`; None: whole shots, however long. `make_plan` always sets it to what fits.
    cache_place, token_place, weight_place: the autoencoder's temporal caches, the token array and the
        transformer's blocks lie on the device or in host memory.
    device_bytes, host_bytes: predicted peaks, weights included; 0 where nothing was predicted.
    """

    group_tokens: int
    piece_frames: int
    stretch_latents: int | None
    cache_place: Place = "device"
    token_place: Place = "device"
    weight_place: Place = "device"
    overlap_latents: int = OVERLAP_LATENTS
    device_bytes: int = 0
    host_bytes: int = 0

    def describe(self, latents: int | None = None) -> str:
        """One line for people. latents: of the longest shot that can come; None where nobody knows."""
        most = [f"at most {self.device_bytes / GIB:.1f} GiB"] if self.device_bytes else []
        return ", ".join([self.way(latents), *most])

    def way(self, latents: int | None = None) -> str:
        """`describe` without the bytes."""
        length = "whole shots"
        if self.stretch_latents is not None and (latents is None or latents > self.stretch_latents):
            length = f"whole shots, or stretches of {self.stretch_latents} latents of longer ones"
        places = {"caches": self.cache_place, "weights": self.weight_place, "tokens": self.token_place}
        return ", ".join([length, *(f"{name} in host memory" for name, at in places.items() if at == "host")])


@dataclass(frozen=True)
class Machine:
    """The memory a restoration may use.

    device: "cuda", "cpu", "mps", ... device_bytes, host_bytes: budgets; where the device computes in host
        memory, both stand for the same bytes.
    """

    device: str
    device_bytes: int
    host_bytes: int

    @property
    def has_one_memory(self) -> bool:
        """Whether device and host share their memory, so that moving things saves nothing."""
        return self.device in ("cpu", "mps")


@dataclass(frozen=True)
class _Need:
    """What is restored, with which models; predicts bytes."""

    dit: DiTConfig
    vae: VAEConfig
    height: int
    width: int
    element_bytes: int
    text_tokens: int
    machine: Machine
    residual: bool

    def filled(self, plan: Plan, latents: int) -> Plan:
        """The plan with its predicted peaks for passes of so many latents."""
        factor = self.vae.space_factor
        stages = (
            self._stream(encode_cost, plan, batch=1),
            # The residual way to the output decodes two latents side by side.
            self._stream(decode_cost, plan, batch=2 if self.residual else 1),
            dit_cost(
                self.dit,
                (latents, self.height // factor, self.width // factor),
                text_tokens=self.text_tokens,
                element_bytes=self.element_bytes,
                group_tokens=plan.group_tokens,
                token_place=plan.token_place,
            ),
        )
        on_device, on_host = self._weights(plan)
        device = on_device + max(stage.device_bytes for stage in stages)
        waiting = HOST_BYTES + WAITING_FRAMES * self.height * self.width * BYTES_PER_PIXEL
        host = on_host + max(stage.host_bytes for stage in stages) + waiting
        if self.machine.has_one_memory:
            device = host = device + host
        return replace(plan, device_bytes=device, host_bytes=host)

    def _stream(self, cost: Callable[..., Cost], plan: Plan, batch: int) -> Cost:
        # Memory does not depend on the clip's length, so the shortest one that is no picture does.
        return cost(
            self.vae,
            self.height,
            self.width,
            1 + self.vae.time_factor,
            element_bytes=self.element_bytes,
            piece_frames=plan.piece_frames,
            cache_place=plan.cache_place,
            batch=batch,
        )

    def _weights(self, plan: Plan) -> tuple[int, int]:
        """Bytes of weights on the device and on the host."""
        autoencoder = vae_weights(self.vae)
        if plan.weight_place == "device":
            return (autoencoder + dit_weights(self.dit)) * self.element_bytes, 0
        # One block computes while the next one's weights arrive.
        visiting = 2 * max(block_weights(self.dit, index) for index in range(self.dit.num_layers))
        on_device = autoencoder + end_weights(self.dit) + visiting
        return on_device * self.element_bytes, dit_weights(self.dit) * self.element_bytes

    def fits(self, plan: Plan, latents: int) -> bool:
        filled = self.filled(plan, latents)
        budget = self.machine
        return filled.device_bytes <= budget.device_bytes and filled.host_bytes <= budget.host_bytes

    def longest(self, plan: Plan) -> int:
        """The most latents that fit into one pass; 0 when not even the shortest stretch does."""
        if not self.fits(plan, SHORTEST_STRETCH):
            return 0
        low, high = SHORTEST_STRETCH, LONGEST_LATENTS
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.fits(plan, middle) else (low, middle - 1)
        return low


def make_plan(
    dit: DiTConfig,
    vae: VAEConfig,
    *,
    height: int,
    width: int,
    shot_frames: int | None,
    element_bytes: int,
    machine: Machine,
    text_tokens: int = 58,
    residual: bool = False,
) -> Plan:
    """The fastest way that fits.

    height, width: of the padded output. shot_frames: the longest shot to expect, None when unknown: a guess,
    which decides what is given up for length; the plan says how long a shot may be before it is cut, so that
    a longer one than expected fits too. element_bytes: of weights and activations. residual: the output is
    the input and a difference of two decoded latents.

    Whole shots with everything on the device come first; then smaller groups and pieces, caches, weights and
    tokens in host memory, and last stretches. Raises MemoryBudgetError when nothing fits.
    """
    need = _Need(dit, vae, height, width, element_bytes, text_tokens, machine, residual)
    ways = list(_ways(machine))
    latents = None if shot_frames is None else 1 + -(-max(shot_frames - 1, 0) // vae.time_factor)
    if latents is not None:
        for way in ways:
            if need.fits(way, latents):
                longest = max(need.longest(way), latents, SHORTEST_STRETCH)
                return replace(need.filled(way, latents), stretch_latents=longest)
    wanted = COMMON_LATENTS if latents is None else min(latents, COMMON_LATENTS)
    for way in ways:
        if need.fits(way, wanted):
            return _capped(need, way)
    best = max(ways, key=need.longest)
    if need.longest(best):
        return _capped(need, best)
    raise _too_little(need, ways[-1])


def _ways(machine: Machine) -> Iterator[Plan]:
    sizes = CPU_SIZES if machine.device == "cpu" else SIZES
    places = PLACES[:1] if machine.has_one_memory else PLACES
    for (caches, weights, tokens), (group, piece) in product(places, sizes):
        yield Plan(group, piece, None, cache_place=caches, token_place=tokens, weight_place=weights)


def _capped(need: _Need, plan: Plan) -> Plan:
    longest = need.longest(plan)
    return replace(need.filled(plan, longest), stretch_latents=longest)


def _too_little(need: _Need, smallest: Plan) -> MemoryBudgetError:
    filled = need.filled(smallest, SHORTEST_STRETCH)
    budget = need.machine
    size = f"{need.width}x{need.height}"
    if budget.has_one_memory or filled.device_bytes <= budget.device_bytes:
        wanted, there, where = filled.host_bytes, budget.host_bytes, "host memory"
    else:
        wanted, there, where = filled.device_bytes, budget.device_bytes, "device memory"
    return MemoryBudgetError(
        f"{size} needs at least {wanted / GIB:.1f} GiB of {where}, and {there / GIB:.1f} GiB are free.",
        remedy="Choose a smaller size or a smaller model, or close other programs.",
    )


def smaller(plan: Plan) -> Plan | None:
    """The next plan after memory ran out all the same; None when nothing is left to save.

    Every step needs less than the one before: sizes, caches, weights, tokens, stretches. What it needs is not
    predicted.
    """
    plan = replace(plan, device_bytes=0, host_bytes=0)
    smallest_group, smallest_piece = SIZES[-1]
    if plan.group_tokens > smallest_group or plan.piece_frames > smallest_piece:
        return replace(
            plan,
            group_tokens=max(smallest_group, plan.group_tokens // 2),
            piece_frames=max(smallest_piece, plan.piece_frames // 2),
        )
    if plan.cache_place == "device":
        return replace(plan, cache_place="host")
    if plan.weight_place == "device":
        return replace(plan, weight_place="host")
    if plan.token_place == "device":
        return replace(plan, token_place="host")
    longest = 2 * COMMON_LATENTS
    length = min(longest, longest if plan.stretch_latents is None else plan.stretch_latents) // 2
    return replace(plan, stretch_latents=length) if length >= SHORTEST_STRETCH else None
