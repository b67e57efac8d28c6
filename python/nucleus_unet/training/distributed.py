"""Training in one process, or in several processes started by ``torchrun``: each has its own device and batch slice."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require
from nucleus_unet.inference.devices import choose_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class ProcessGroup:
    """The group of training processes, from the view of one of them.

    Attributes
    ----------
    device
        Device of this process.
    rank, world_size
        Rank of this process, and number of processes. The main process, of rank 0, writes files and validates.
    fabric
        Lightning Fabric, which connects several processes. None for a single process.
    """

    device: torch.device
    rank: int = 0
    world_size: int = 1
    fabric: Fabric | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the main process, which writes files and validates."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Wrap the network so that its gradients are averaged over all processes, which keeps the weights equal."""
        return network if self.fabric is None else self.fabric.setup_module(network)

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the loss."""
        if self.fabric is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self.fabric.backward(loss)

    def batch_slice(self, batch_size: int) -> slice:
        """Return the slice of a batch that this process computes.

        Raises
        ------
        SettingsError
            The batch size is not a multiple of the number of processes.
        """
        if batch_size % self.world_size:
            raise SettingsError(f"batch_size: expected a multiple of the {self.world_size} processes, got {batch_size}")
        size = batch_size // self.world_size
        return slice(self.rank * size, (self.rank + 1) * size)


def is_main_process() -> bool:
    """Return whether this is the only process, or the one of rank 0 of those that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"


def join_process_group(device: str) -> ProcessGroup:
    """Connect to the other processes if ``torchrun`` started several.

    Parameters
    ----------
    device
        Device of the network. See `nucleus_unet.inference.devices.choose_device`. Each process uses its own device of
        this type.

    Raises
    ------
    MissingExtraError
        There are several processes, and Lightning Fabric is not installed.
    SettingsError
        Devices of this type do not support several processes.
    """
    chosen = torch.device(choose_device(device))
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ProcessGroup(chosen)
    if chosen.type == "mps":
        raise SettingsError("device: expected 'cuda' or 'cpu' for training in several processes, got 'mps'")
    fabrics = require("lightning_fabric", "training in several processes needs Lightning Fabric", extra="distributed")
    local = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    fabric = fabrics.Fabric(strategy="ddp", accelerator=chosen.type, devices=local, num_nodes=count // local)
    fabric.launch()
    return ProcessGroup(fabric.device, fabric.global_rank, fabric.world_size, fabric)
