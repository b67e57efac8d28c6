"""Choose and open the engine for a model, a device and a precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nucleus_unet.inference.engine import Engine
from nucleus_unet.model.precision import Precision

if TYPE_CHECKING:
    from nucleus_unet.model.bundle import Bundle


def open_engine(bundle: Bundle, *, device: str = "auto", precision: Precision | Literal["auto"] = "auto") -> Engine:
    """Open the engine for a model.

    Parameters
    ----------
    bundle
        The model.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``. ``"auto"``: CUDA, else MPS, if torch is installed and finds
        it; else the CPU.
    precision
        ``"int8"``, ``"bfloat16"`` or ``"float32"``. ``"auto"``: int8 on x86-64 processors with AVX2 if it is the
        bundle's default, else bfloat16 if the hardware computes in it, else float32.

    Raises
    ------
    SettingsError
        If the machine does not have the device, or if the device does not compute in the precision.
    MissingExtraError
        If a package that the device needs is not installed.
    """
    from nucleus_unet.inference.devices import choose_device, import_torch, openvino_is_installed

    chosen = choose_device(device)
    if chosen == "cpu" and openvino_is_installed():
        from nucleus_unet.inference.openvino import OpenVinoEngine

        return OpenVinoEngine(bundle, precision)
    import_torch("the network needs torch where there is no OpenVINO")
    from nucleus_unet.inference.torch import TorchEngine

    return TorchEngine(bundle, chosen, precision)
