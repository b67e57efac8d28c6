"""Choose the device. Torch takes seconds to import, so it is imported only if the machine may have a GPU."""

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

# Files that the drivers of NVIDIA, of AMD, and of Windows (for Linux guests) create.
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def choose_device(device: str = "auto") -> str:
    """Return the name of an available device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    Parameters
    ----------
    device
        Name of the device. ``"auto"``: CUDA, else MPS, if torch is installed and finds it; else the CPU.

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
        return _find_gpu() or "cpu"
    device_type = str(device).partition(":")[0]
    if not isinstance(device, str) or device_type not in ("cuda", "mps"):
        raise SettingsError(f"device: expected 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', got {device!r}")
    torch = import_torch(f"device {device!r} needs torch")
    try:
        torch.empty(0, device=torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(f"device: this machine has no {device!r} that torch can use ({error})") from error
    return device


def import_torch(why: str) -> Any:
    """Import torch. ``why`` is the beginning of the message if it is missing.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    """
    return require("torch", why, extra="torch")


def openvino_is_installed() -> bool:
    """Whether OpenVINO is installed. It is not available on all platforms; torch replaces it there."""
    return find_spec("openvino") is not None


def processor_threads() -> int:
    """Return the number of threads for computation: ``OMP_NUM_THREADS`` if set, else the available processors."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    if setting.isdecimal() and int(setting) > 0:
        return int(setting)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return available or 1


def _find_gpu() -> str | None:
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
    """Whether the machine may have a GPU that torch can use."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return (Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "nvcuda.dll").exists()
    return any(Path(file).exists() for file in _GPU_FILES)
