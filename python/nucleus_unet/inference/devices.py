"""Which devices a machine has. Torch, which takes seconds to import, is asked only where there may be a GPU."""

from __future__ import annotations

import logging
import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require

logger = logging.getLogger(__name__)

# Devices that drivers of NVIDIA, of AMD, and of Windows for Linux guests make.
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def choose_device(device: str = "auto") -> str:
    """Return the name of a device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    Parameters
    ----------
    device
        ``"auto"`` takes CUDA, else MPS, if torch is installed and sees one; else the CPU.

    Raises
    ------
    SettingsError
        If the name is unknown, or the machine lacks the device.
    MissingExtraError
        If the device needs torch, which is not installed.
    """
    if device == "cpu":
        return "cpu"
    if device == "auto":
        return _found_gpu() or "cpu"
    kind = str(device).partition(":")[0]
    if not isinstance(device, str) or kind not in ("cuda", "mps"):
        raise SettingsError(f"device: expected 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', got {device!r}")
    torch = import_torch(f"device {device!r} needs torch")
    try:
        torch.empty(0, device=torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(f"device: this machine has no {device!r} that torch can use ({error})") from error
    return device


def import_torch(why: str) -> Any:
    """Import torch.

    Raises
    ------
    MissingExtraError
        If it is not installed; ``why`` says what needs it.
    """
    return require("torch", why, extra="torch")


def openvino_is_installed() -> bool:
    """Whether CPUs run the network by OpenVINO; there is none for some platforms, which use torch."""
    return find_spec("openvino") is not None


def processor_threads() -> int:
    """Return how many threads may compute: ``OMP_NUM_THREADS`` if it says so, else one a processor."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return available or 1


def _found_gpu() -> str | None:
    if not _may_have_gpu():
        return None
    if find_spec("torch") is None:
        logger.warning("a GPU is not used, as torch is not installed: pip install 'nucleus-unet[torch]'")
        return None
    torch = import_torch("GPUs need torch")
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def _may_have_gpu() -> bool:
    """Whether there are signs of a GPU that torch might use."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return (Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "nvcuda.dll").exists()
    return any(Path(file).exists() for file in _GPU_FILES)
