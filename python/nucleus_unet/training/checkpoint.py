"""A training run's state in one file: tensors in safetensors, the rest as JSON in its header. No pickle."""

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

# What a checkpoint says beside its tensors: `TrainConfig` as JSON, fingerprint of the images, samples seen, curves.
FACTS = ("config", "examples", "position", "history")


def plain(configuration: DataclassInstance) -> Any:
    """Return a configuration as JSON types, equal after a round trip."""
    return json.loads(json.dumps(dataclasses.asdict(configuration)))


def save_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    facts: dict[str, Any],
) -> None:
    """Write all that a run needs to go on; a kill while writing leaves the previous checkpoint whole.

    Parameters
    ----------
    network, average
        The weights in training and their moving average.
    optimiser
        Its per-parameter tensors are kept; its settings follow from the configuration.
    facts
        What `FACTS` names, as JSON types.
    """
    tensors: dict[str, Tensor] = {}
    tensors |= {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    # safetensors keeps values, not layouts: contiguous copies say so.
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(packed, metadata={"facts": json.dumps(facts)}))


def read_facts(path: Path) -> dict[str, Any]:
    """Return what `save_checkpoint` was told beside the tensors.

    Raises
    ------
    DataError
        If the file is no checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            if not isinstance(facts, dict):
                raise TypeError(f"expected a JSON object, got {type(facts).__name__}")
            return {name: facts[name] for name in FACTS}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a checkpoint of a training run: {error!r}") from error


def restore_checkpoint(path: Path, *, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Put the tensors of `save_checkpoint` back."""
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
