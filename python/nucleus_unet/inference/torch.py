"""Run the network with torch: on GPUs, and on CPUs without OpenVINO."""

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

# Bounds of the default side of a tile. Larger tiles save little computation. Smaller ones are mostly halo.
_MAX_TILE, _MIN_TILE = 2560, 640
# Default side of a tile on devices whose memory torch does not report.
_DEFAULT_TILE = 1856
# Memory that the widest features need per pixel of a tile, in float32.
_BYTES_PER_PIXEL = 600


class TorchNetwork:
    """A torch network, such as one in training; see `nucleus_unet.inference.engine.Predictor`.

    Parameters
    ----------
    network
        The network in evaluation mode, on its device.
    device, precision
        Device and precision of the computation.
    """

    def __init__(self, network: Network, device: torch.device, precision: Precision) -> None:
        self._network, self._device, self._precision = network, device, precision
        self.stride, self.receptive_radius = network.stride, network.receptive_radius
        self._streams = threading.local()

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `nucleus_unet.inference.engine.Predictor`."""
        try:
            with torch.inference_mode(), self._stream(), autocast(self._device, self._precision):
                batch = (
                    torch.from_numpy(np.require(images, requirements=("C", "W"))).to(self._device).permute(0, 3, 1, 2)
                )
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
    """A model on a torch device; see `nucleus_unet.inference.engine.Engine`.

    Parameters
    ----------
    bundle
        The model.
    device
        Name from `nucleus_unet.inference.devices.choose_device`.
    precision
        ``"bfloat16"`` or ``"float32"``. ``"auto"``: bfloat16 if the device computes in it, else float32.

    Raises
    ------
    SettingsError
        If the precision is not supported.
    """

    def __init__(self, bundle: Bundle, device: str, precision: Precision | Literal["auto"] = "auto") -> None:
        torch_device = torch.device(device)
        chosen = choose_precision(torch_device, precision)
        super().__init__(for_inference(bundle).to(torch_device), torch_device, chosen)
        self.streams = 1 if device == "cpu" else 2
        self.identity = Identity(
            engine=f"torch {torch.__version__}",
            device=device,
            precision=chosen,
            hardware=_hardware(torch_device),
            threads=torch.get_num_threads() if device == "cpu" else None,
            exact=False,
        )

    def parallel(self) -> TorchEngine:
        """Return this engine. A second simultaneous call computes while the first one copies to or from the GPU."""
        return self

    def prepare(self, size: tuple[int, int]) -> None:
        """Do nothing: torch needs no setup for an image size."""

    def release(self) -> None:
        """Do nothing: torch shares its cached memory among all its users."""

    @cached_property
    def default_tile(self) -> int:
        """Default side of a tile in pixels. Two such tiles fit into half of the GPU's memory."""
        if self._device.type != "cuda":
            return _DEFAULT_TILE
        bytes_per_tile = torch.cuda.get_device_properties(self._device).total_memory // 4
        return max(_MIN_TILE, min(_MAX_TILE, math.isqrt(bytes_per_tile // _BYTES_PER_PIXEL) // 32 * 32))


def choose_precision(device: torch.device, precision: Precision | Literal["auto"] = "auto") -> Precision:
    """Return a precision that torch supports. ``"auto"``: bfloat16 if the hardware computes in it, else float32.

    Raises
    ------
    SettingsError
        If the precision is another one. Torch does not run the network in int8.
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
    """Return a context in which torch computes convolutions in the precision."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    return f"{device.type}, {platform.machine()}"
