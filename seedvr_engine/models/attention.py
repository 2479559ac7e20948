"""Softmax attention behind one function, whichever kernel computes it."""

from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AttentionName = Literal["sdpa", "flash_attn", "auto"]
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def attention(query: Tensor, key: Tensor, value: Tensor, kernel: AttentionName = "sdpa") -> Tensor:
    """softmax(query key^T / sqrt(head_dim)) value.

    query: (batch, tokens, heads, head_dim); key, value: the same with their own number of tokens.
    kernel: "sdpa" (PyTorch's own, anywhere), "flash_attn" (when installed), "auto" (flash_attn where it can
        run).
    Returns (batch, tokens, heads, head_dim).
    Raises ImportError when "flash_attn" is asked for by name and is not installed.
    """
    if kernel == "flash_attn" or (kernel == "auto" and _flash_attn_serves(query)):
        return _flash_attn()(query, key, value)
    return F.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    ).transpose(1, 2)


def _flash_attn_serves(query: Tensor) -> bool:
    serves = query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and query.shape[-1] <= 256
    return serves and torch.cuda.get_device_capability(query.device) >= (8, 0) and _has_flash_attn()


@cache
def _has_flash_attn() -> bool:
    try:
        _flash_attn()
    except (ImportError, OSError):  # Not there, or built for another PyTorch.
        return False
    return True


@cache
def _flash_attn() -> Attention:
    from flash_attn import flash_attn_func

    return flash_attn_func
