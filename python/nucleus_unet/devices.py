"""Where the network runs, and in which precision."""

from __future__ import annotations

import math
import platform
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from nucleus_unet.errors import SettingsError

Precision = Literal["bfloat16", "float32"]

# Larger tiles save little halo; smaller ones than the least are nearly all halo.
_TILE, _LEAST_TILE = 2560, 640
# Of a device whose memory torch does not tell.
_MODEST_TILE = 1856
# What a network that sees a tile whole takes of memory at its widest, in single precision.
_BYTES_A_PIXEL = 600


def choose_device(device: str = "auto") -> torch.device:
    """Return the device of that name; ``"auto"`` takes CUDA, else MPS, else the CPU.

    Raises
    ------
    SettingsError
        If torch does not know the name, or the machine lacks the device.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        if chosen.type not in ("cpu", "cuda", "mps"):
            raise NotImplementedError("no other kind is supported")
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        if str(device).split(":")[0] in ("cuda", "mps"):
            raise SettingsError(f"device: this machine has no {device!r} that torch can use ({error})") from error
        raise SettingsError(f"device: expected 'auto', 'cpu', 'cuda' or 'mps', got {device!r} ({error})") from error
    return chosen


def choose_precision(device: torch.device, precision: Precision | Literal["auto"] = "auto") -> Precision:
    """Return the precision of that name; ``"auto"`` takes bfloat16 where the hardware computes in it, else float32.

    Raises
    ------
    SettingsError
        If it is none of the three.
    """
    if precision not in ("auto", "bfloat16", "float32"):
        raise SettingsError(f"precision: expected 'auto', 'bfloat16' or 'float32', got {precision!r}")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return "bfloat16"
    return "float32"


def describe_hardware(device: torch.device) -> str:
    """Say what, beside the version of torch, decides on the last bits of a convolution."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        units = {"bfloat16": torch.cpu._is_avx512_bf16_supported(), "matrix tiles": torch.cpu._is_amx_tile_supported()}
        return ", ".join([torch.backends.cpu.get_cpu_capability(), *(name for name, there in units.items() if there)])
    return f"{device.type}, {platform.machine()}"


def default_tile(device: torch.device) -> int:
    """Return the side of a tile that keeps the price of its halo, (tile / core)^2, below 1.25 where memory allows it.

    CPUs go through any tile in strips. On a GPU, two tiles at once are to fit into half of its memory.
    """
    if device.type == "cpu":
        return _TILE
    if device.type != "cuda":
        return _MODEST_TILE
    for_one = torch.cuda.get_device_properties(device).total_memory // 4
    return max(_LEAST_TILE, min(_TILE, math.isqrt(for_one // _BYTES_A_PIXEL) // 32 * 32))


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Compute convolutions in that precision."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
