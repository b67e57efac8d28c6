"""What a benchmark's figures belong to: the processor, versions of what is installed, and how memory is counted."""

from __future__ import annotations

import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def cpu() -> str:
    """Name the processor."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory(usage: resource.struct_rusage | None = None) -> int:
    """Tell the most memory that a process, by default this one, had at once, in bytes whatever the system counts in."""
    usage = usage or resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def installed_version(distribution: str) -> str | None:
    """Tell the version of a distribution; None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
