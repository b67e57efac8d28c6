"""Choose and open the engine for a model, a device and a precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nucleus_unet.inference.engine import Engine
from nucleus_unet.model.precision import Precision

if TYPE_CHECKING:
    from nucleus_unet.model.bundle import Bundle


def open_engine(bundle: Bundle, *, device: str = "auto", precision: Precision | Literal["auto"] = "auto") -> Engine:
    """Make a model ready to run.

    Parameters
    ----------
    bundle
        The model.
    device
        ``"auto"`` (CUDA, else MPS, where torch is installed and sees one; else the CPU), ``"cpu"``, ``"cuda"``,
        ``"cuda:1"``, ``"mps"``.
    precision
        ``"int8"``, ``"bfloat16"``, ``"float32"``; ``"auto"`` takes int8 on x86-64 processors if the bundle
        says so, else bfloat16 where the hardware computes in it, else float32.

    Raises
    ------
    SettingsError
        If the machine has no such device, or it does not compute in that precision.
    MissingExtraError
        If what the device needs is not installed.
    """
    from nucleus_unet.inference.devices import choose_device, import_torch, openvino_is_installed

    chosen = choose_device(device)
    if chosen == "cpu" and openvino_is_installed():
        from nucleus_unet.inference.openvino import OpenVinoEngine

        return OpenVinoEngine(bundle, precision)
    import_torch("the network needs torch where there is no OpenVINO")
    from nucleus_unet.inference.torch import TorchEngine

    return TorchEngine(bundle, chosen, precision)
