"""Gives freed memory back to the system, of the host and of GPUs. Knows no torch.

The C library keeps what was freed for the next request. Tensors, frames and codecs' buffers come and go in
all sizes from several threads, so that what is kept is never quite what is wanted next, and a process grows
by a tenth over a long clip although it holds no more. Returning it now and then takes about a millisecond
each time; keeping every large block out of the heap instead (M_MMAP_THRESHOLD) costs two fifths of the
computing time of small clips in page faults, and fewer arenas (M_ARENA_MAX) change little.
"""

import ctypes
import gc
import sys
import time

_INTERVAL_S = 1.0


def give_back() -> None:
    """Returns what is free to the system; does nothing where the C library is not glibc."""
    trim = getattr(_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(0)


class Trimmer:
    """Gives back once a second at most, for what was returned costs page faults when it is wanted again."""

    def __init__(self) -> None:
        self._next = 0.0

    def step(self) -> None:
        """To be called between steps of work."""
        if time.monotonic() >= self._next:
            give_back()
            self._next = time.monotonic() + _INTERVAL_S


def give_back_gpu() -> None:
    """Returns what lies idle in PyTorch's cache of GPU memory; does nothing where it uses no GPU here."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows.
        return None


_LIBRARY = _library()
