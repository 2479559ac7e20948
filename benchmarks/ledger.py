"""Follows tensors from birth to death while code runs on shapes alone, and counts its arithmetic.

No tensor holds data here, so that a pass of a large model over a long clip takes seconds, needs no hardware,
and gives the same numbers every time. The `meta` device stands for the accelerator. Host memory is the `cpu`
device of PyTorch's fake tensors, which are metadata too.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

DEVICE = torch.device("meta")
HOST = torch.device("cpu")
FUSED_HEAD_DIM = 256  # the widest head that fused attention kernels take


class Ledger(TorchDispatchMode):
    """Counts FLOPs and live bytes, by place, of everything that runs inside.

    A storage counts once, however many tensors look at it, from the operation that makes it until nothing
    refers to it any more. Matrix products, convolutions and attention count as FLOPs, a multiplication with
    its addition as two.

    weights: tensors that exist before; they and their views are no activations.
    """

    def __init__(self, weights: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.flops = 0
        self.live: Counter[torch.device] = Counter()
        self.peak: Counter[torch.device] = Counter()
        self._weights = [tensor.untyped_storage() for tensor in weights]
        self._followed: dict[int, Any] = {id(storage): storage for storage in self._weights}
        self._attention = FusedAttention(self)

    def __enter__(self) -> "Ledger":
        self._attention.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._attention.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._follow(tensor)
        return out

    def _follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._followed:
            return
        place, size = tensor.device, storage.nbytes()
        self._followed[key] = weakref.ref(storage, lambda _: self._died(key, place, size))
        self.live[place] += size
        self.peak[place] = max(self.peak[place], self.live[place])

    def _died(self, key: int, place: torch.device, size: int) -> None:
        del self._followed[key]
        self.live[place] -= size


class FusedAttention(TorchFunctionMode):
    """Attention as a fused kernel does it: output and log-sum-exp, no matrix of scores.

    On `meta` PyTorch takes attention apart into matrix products, which no accelerator does for heads that a
    fused kernel takes.
    """

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is not F.scaled_dot_product_attention or args[0].shape[-1] > FUSED_HEAD_DIM:
            return func(*args, **(kwargs or {}))
        query, key, value = args[:3]
        self._ledger.flops += 2 * query[..., 0].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])
        log_sum = query.new_empty(query.shape[:-1], dtype=torch.float32)
        mixed = torch.empty_like(query)
        del log_sum
        return mixed
