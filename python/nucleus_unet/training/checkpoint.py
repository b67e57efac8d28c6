"""Checkpoints of training runs: a safetensors file with JSON in its header. No pickle is used."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from nucleus_unet.errors import DataError
from nucleus_unet.io.atomic import write_atomically

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# JSON in the header of a checkpoint: `TrainConfig`, digest of the training images, number of samples, history, and the
# sums of the metrics since its last entry.
RUN_STATE_KEYS = ("config", "examples", "position", "history", "totals")


def plain(configuration: DataclassInstance) -> Any:
    """Return a configuration as JSON types that a JSON round trip does not change."""
    return json.loads(json.dumps(dataclasses.asdict(configuration)))


def save_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    run_state: dict[str, Any],
) -> None:
    """Write a checkpoint atomically.

    Parameters
    ----------
    path
        Path of the checkpoint. An existing file is replaced.
    network, average
        Networks with the trained weights and with their moving average.
    optimiser
        Optimiser, of which the state tensors are saved. Its settings follow from the configuration.
    run_state
        Values of `RUN_STATE_KEYS` as JSON types.
    """
    tensors: dict[str, Tensor] = {}
    tensors |= {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    # safetensors requires contiguous tensors.
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(packed, metadata={"run_state": json.dumps(run_state)}))


def read_run_state(path: Path) -> dict[str, Any]:
    """Return the run state of a checkpoint from `save_checkpoint`.

    Raises
    ------
    DataError
        The file is not a checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            run_state = json.loads((file.metadata() or {})["run_state"])
            if not isinstance(run_state, dict):
                raise TypeError(f"expected a JSON object, got {type(run_state).__name__}")
            return {name: run_state[name] for name in RUN_STATE_KEYS}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a checkpoint of a training run: {error!r}") from error


def restore_checkpoint(path: Path, *, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Load the tensors of a checkpoint from `save_checkpoint` into networks and optimiser."""
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimiser": {}}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            part, _, rest = name.partition(".")
            parts[part][rest] = file.get_tensor(name)
    network.load_state_dict(parts["network"])
    average.load_state_dict(parts["average"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimiser"].items():
        number, _, field = name.partition(".")
        state.setdefault(int(number), {})[field] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
