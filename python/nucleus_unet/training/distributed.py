"""One process that trains, or several that ``torchrun`` started, each with a device and a share of every batch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require
from nucleus_unet.inference.devices import choose_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Processes:
    """What a process knows of those it trains with.

    Attributes
    ----------
    device
        Of this process.
    rank, count
        Number of this process, and how many there are. The first, 0, writes files and validates.
    fabric
        Ties several together; None where there is only one.
    """

    device: torch.device
    rank: int = 0
    count: int = 1
    fabric: Fabric | None = None

    @property
    def first(self) -> bool:
        """Whether this one writes files."""
        return self.rank == 0

    def shared(self, network: nn.Module) -> nn.Module:
        """Return a form of the network whose gradients become the mean over all processes (and so do all weights)."""
        return network if self.fabric is None else self.fabric.setup_module(network)

    def backward(self, loss: Tensor) -> None:
        """Leave the loss's gradients in the parameters."""
        if self.fabric is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self.fabric.backward(loss)

    def share(self, batch_size: int) -> slice:
        """Tell which samples of a batch are this process's."""
        if batch_size % self.count:
            raise SettingsError(f"batch_size: expected a multiple of the {self.count} processes, got {batch_size}")
        size = batch_size // self.count
        return slice(self.rank * size, (self.rank + 1) * size)


def is_first_process() -> bool:
    """Whether this process is alone, or the first of those that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"


def join_processes(device: str) -> Processes:
    """Meet the other processes, where ``torchrun`` started several.

    Parameters
    ----------
    device
        See `nucleus_unet.inference.devices.choose_device`; every process takes its own of that kind.

    Raises
    ------
    MissingExtraError
        If there are several, and Lightning Fabric is not installed.
    SettingsError
        If several cannot train on such a device.
    """
    chosen = torch.device(choose_device(device))
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes(chosen)
    if chosen.type == "mps":
        raise SettingsError("device: several processes train on 'cuda' or 'cpu', got 'mps'")
    why = "training in several processes needs Lightning Fabric"
    fabrics = require("lightning_fabric", why, extra="distributed")
    local = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    settings: dict[str, Any] = {"accelerator": chosen.type, "devices": local, "num_nodes": count // local}
    fabric = fabrics.Fabric(strategy="ddp", **settings)
    fabric.launch()
    return Processes(fabric.device, fabric.global_rank, fabric.world_size, fabric)
