"""How the timestep steers the transformer: shift and scale before a layer, a gate after it.

Source: adaptive layer norm of DiT (arXiv 2212.09748), here without the "1 +" and with a part of each block's
own.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TIMESTEP_FREQUENCIES = 128
KINDS = ("attn_shift", "attn_scale", "attn_gate", "mlp_shift", "mlp_scale", "mlp_gate")


@dataclass(frozen=True)
class Modulated:
    """Shift, scale and gate (D,) of one stream in one block, the timestep's part included."""

    attn_shift: Tensor
    attn_scale: Tensor
    attn_gate: Tensor
    mlp_shift: Tensor
    mlp_scale: Tensor
    mlp_gate: Tensor

    def before_attention(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.attn_shift, x, self.attn_scale)

    def after_attention(self, x: Tensor) -> Tensor:
        return x * self.attn_gate

    def before_mlp(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.mlp_shift, x, self.mlp_scale)

    def after_mlp(self, x: Tensor) -> Tensor:
        return x * self.mlp_gate


class Modulation(nn.Module):
    """A block's own shift, scale and gate around attention and MLP, to which the timestep's are added."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        for kind in KINDS:
            start = torch.ones(dim) if kind.endswith("scale") else torch.zeros(dim)
            self.register_parameter(kind, nn.Parameter(start))

    def forward(self, embedding: Tensor) -> Modulated:
        """embedding: (D, 2, 3), per channel: attention or MLP, then shift, scale, gate."""
        timestep = dict(zip(KINDS, embedding.flatten(1).unbind(-1), strict=True))
        return Modulated(**{kind: timestep[kind] + own for kind, own in self.named_parameters()})


class OutputModulation(nn.Module):
    """Shift and scale before the output layer: the timestep's for attention plus their own."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_shift = nn.Parameter(torch.zeros(dim))
        self.out_scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x: (tokens, D); embedding: (D, 2, 3)."""
        shift, scale, _ = embedding[:, 0].unbind(-1)
        return torch.addcmul(shift + self.out_shift, x, scale + self.out_scale)


class TimestepEmbedding(nn.Module):
    """Timestep -> shift, scale and gate for attention and MLP."""

    def __init__(self, dim: int, emb_dim: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(2 * TIMESTEP_FREQUENCIES, dim)
        self.proj_hid = nn.Linear(dim, dim)
        self.proj_out = nn.Linear(dim, emb_dim)

    def forward(self, timestep: float) -> Tensor:
        """timestep: 0 to 1000. Returns (D, 2, 3): per channel attention or MLP, then shift, scale, gate."""
        weight = self.proj_in.weight
        index = torch.arange(TIMESTEP_FREQUENCIES, dtype=torch.float32, device=weight.device)
        angles = timestep * torch.exp(index * (-math.log(10000.0) / TIMESTEP_FREQUENCIES))
        waves = torch.cat((angles.sin(), angles.cos())).to(weight.dtype)
        hidden = F.silu(self.proj_hid(F.silu(self.proj_in(waves))))
        return self.proj_out(hidden).view(-1, 2, 3)
