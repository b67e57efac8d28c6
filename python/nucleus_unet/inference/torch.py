"""The network on GPUs, by torch; and on CPUs for which there is no OpenVINO."""

from __future__ import annotations

import math
import platform
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.engine import Identity
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.network import Network, for_inference
from nucleus_unet.model.precision import Precision

# Larger tiles save little of their border; smaller ones than the least are nearly all border.
_TILE, _LEAST_TILE = 2560, 640
# Of a device whose memory torch does not tell.
_MODEST_TILE = 1856
# What the widest features of a tile take, in single precision.
_BYTES_A_PIXEL = 600


class TorchNetwork:
    """A network of torch, such as one in training; see `nucleus_unet.inference.engine.Predictor`.

    Parameters
    ----------
    network
        In evaluation mode, on its device.
    device, precision
        Where and how it computes.
    """

    def __init__(self, network: Network, device: torch.device, precision: Precision) -> None:
        self._network, self._device, self._precision = network, device, precision
        self.stride, self.receptive_radius = network.stride, network.receptive_radius
        self._streams = threading.local()

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `nucleus_unet.inference.engine.Predictor`."""
        try:
            with torch.inference_mode(), self._stream(), autocast(self._device, self._precision):
                batch = torch.from_numpy(np.ascontiguousarray(images)).to(self._device).permute(0, 3, 1, 2)
                output: NDArray[np.float32] = self._network(batch).float().contiguous().cpu().numpy()
                return output
        except RuntimeError as error:
            if "allocate" not in str(error) and "out of memory" not in str(error):
                raise
            height, width = images.shape[1:3]
            raise MemoryError(f"a tile of {height} x {width} is too large: lower tile=") from error

    def _stream(self) -> AbstractContextManager[Any]:
        if self._device.type != "cuda":
            return nullcontext()
        own = getattr(self._streams, "own", None)
        if own is None:
            own = self._streams.own = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        return torch.cuda.stream(own)


class TorchEngine(TorchNetwork):
    """A model on a device of torch; see `nucleus_unet.inference.engine.Engine`.

    Parameters
    ----------
    bundle
        The model.
    device
        From `nucleus_unet.inference.devices.choose_device`.
    precision
        ``"bfloat16"`` or ``"float32"``; ``"auto"`` takes bfloat16 where the device computes in it.

    Raises
    ------
    SettingsError
        If the precision is another.
    """

    def __init__(self, bundle: Bundle, device: str, precision: Precision | Literal["auto"] = "auto") -> None:
        place = torch.device(device)
        chosen = choose_precision(place, precision)
        super().__init__(for_inference(bundle).to(place), place, chosen)
        self.streams = 1 if device == "cpu" else 2
        self.identity = Identity(
            engine=f"torch {torch.__version__}",
            device=device,
            precision=chosen,
            hardware=_hardware(place),
            threads=torch.get_num_threads() if device == "cpu" else None,
            exact=False,
        )

    def parallel(self) -> TorchEngine:
        """Return itself: a second call fills the gaps in which the first is copied to the GPU and back."""
        return self

    def prepare(self, size: tuple[int, int]) -> None:
        """Do nothing: torch takes images of any size as they come."""

    def release(self) -> None:
        """Do nothing: torch keeps memory for all its users."""

    @cached_property
    def default_tile(self) -> int:
        """Side of a tile of which two, at once, fit into half of the memory, and whose border is a fifth of it."""
        if self._device.type != "cuda":
            return _MODEST_TILE
        for_one = torch.cuda.get_device_properties(self._device).total_memory // 4
        return max(_LEAST_TILE, min(_TILE, math.isqrt(for_one // _BYTES_A_PIXEL) // 32 * 32))


def choose_precision(device: torch.device, precision: Precision | Literal["auto"] = "auto") -> Precision:
    """Return the precision of that name; ``"auto"`` takes bfloat16 where the hardware computes in it, else float32.

    Raises
    ------
    SettingsError
        If it is another: torch runs no network in int8.
    """
    if precision == "bfloat16" or precision == "float32":
        return precision
    if precision != "auto":
        raise SettingsError(f"precision: on {device} expected 'auto', 'bfloat16' or 'float32', got {precision!r}")
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return "bfloat16"
    return "float32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Compute convolutions in that precision."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    return f"{device.type}, {platform.machine()}"
