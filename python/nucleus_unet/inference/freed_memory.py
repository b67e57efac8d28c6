"""Return freed memory to the operating system."""

from __future__ import annotations

import ctypes
import sys


def return_freed_memory() -> None:
    """Return freed memory to the operating system. On Linux, glibc keeps it otherwise, and the next work adds to it."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries of Linux do not have it
        if trim is not None:
            trim(0)
