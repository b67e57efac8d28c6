"""How the network's features become bytes: what an int8 model stores beside its weights.

Every named result of a layer is a whole number from 0 to 255 times a scale, after a zero point is taken away. Features
without an entry stay in single precision, and so does the convolution that reads them.

Weights are whole numbers from -64 to 64, one scale an output channel. So the sum of two products fits 16 bits, and
processors with and without VNNI instructions compute the same (with weights of 8 bits, those without would saturate).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import BundleError

INT8_PREFIX = "int8."
"""Of the names of these tensors in a bundle."""
LARGEST_BYTE = 255
_LARGEST_WEIGHT = 64
# Of a scale or unit: far beyond what features of a trained network need, and far within single precision.
_STEP_BOUNDS = (1e-15, 1e15)
_RANGE_PARTS = ("scale", "zero", "unit")


@dataclass(frozen=True, eq=False)
class Range:
    """How one result is quantised: to ``clip(round(x / scale) + zero, 0, 255)``.

    Attributes
    ----------
    scale : NDArray[np.float32] () or (C,)
        Of all features, or of each channel.
    zero
        The byte that stands for 0.
    unit
        What one step is worth to the layers that follow. Where features are laid beside each other they must agree on
        it, so the ratio of ``scale`` and ``unit`` goes into the weights that read them.
    """

    scale: NDArray[np.float32]
    zero: int
    unit: NDArray[np.float32]

    @property
    def factor(self) -> NDArray[np.float32]:
        """By how much the weights that read these features are multiplied."""
        return self.scale / self.unit


@dataclass(frozen=True, eq=False)
class Quantisation:
    """What an int8 model stores beside its weights.

    Attributes
    ----------
    ranges
        By name of a result.
    biases : mapping of str to NDArray[np.float32] (C,)
        By name of a convolution: its bias, corrected for what rounding shifts on average.
    """

    ranges: Mapping[str, Range]
    biases: Mapping[str, NDArray[np.float32]]

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return the tensors that a bundle stores."""
        tensors: dict[str, NDArray[Any]] = {}
        for name, each in self.ranges.items():
            tensors[f"{INT8_PREFIX}{name}.scale"] = each.scale
            tensors[f"{INT8_PREFIX}{name}.zero"] = np.asarray(each.zero, np.uint8)
            tensors[f"{INT8_PREFIX}{name}.unit"] = each.unit
        return tensors | {f"{INT8_PREFIX}{name}.bias": bias for name, bias in self.biases.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], channels: Mapping[str, int]) -> Quantisation | None:
        """Inverse of `to_tensors`; None if there are no such tensors.

        Parameters
        ----------
        tensors
            All tensors of a bundle.
        channels
            From `nucleus_unet.model.graph.result_channels`.

        Raises
        ------
        BundleError
            If one is missing, unknown, of another type or shape, or out of range.
        """
        own = {name.removeprefix(INT8_PREFIX): each for name, each in tensors.items() if name.startswith(INT8_PREFIX)}
        if not own:
            return None
        parts: dict[str, dict[str, NDArray[Any]]] = {}
        for key, tensor in own.items():
            name, part = key.rpartition(".")[::2]
            if name not in channels or part not in ("bias", *_RANGE_PARTS):
                raise BundleError(f"{INT8_PREFIX}{key}: no tensor of that name belongs to this network")
            expected = np.uint8 if part == "zero" else np.float32
            if tensor.dtype != expected or not np.isfinite(tensor).all():
                raise BundleError(f"{INT8_PREFIX}{key}: expected finite numbers of type {np.dtype(expected)}")
            if tensor.shape not in _shapes(part, channels[name]):
                raise BundleError(f"{INT8_PREFIX}{key}: unexpected shape {tensor.shape}")
            parts.setdefault(name, {})[part] = tensor
        biases = {name: each.pop("bias") for name, each in parts.items() if "bias" in each}
        return cls({name: _range(name, each) for name, each in parts.items() if each}, biases)


def _shapes(part: str, channels: int) -> tuple[tuple[int, ...], ...]:
    return {"bias": ((channels,),), "scale": ((), (channels,))}.get(part, ((),))


def _range(name: str, parts: Mapping[str, NDArray[Any]]) -> Range:
    if set(parts) != set(_RANGE_PARTS):
        found = ", ".join(sorted(parts))
        raise BundleError(f"{INT8_PREFIX}{name}: expected the tensors {', '.join(_RANGE_PARTS)}, got {found}")
    found_range = Range(parts["scale"], int(parts["zero"]), parts["unit"])
    least, most = _STEP_BOUNDS
    for step in found_range.scale, found_range.unit:
        if not ((step >= least) & (step <= most)).all():
            raise BundleError(f"{INT8_PREFIX}{name}: expected scales and a unit of {least:g} to {most:g}")
    return found_range


def quantise_weight(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round the weights of each output channel to whole numbers of -64 to 64.

    Parameters
    ----------
    weight : NDArray[np.float32] (outputs, inputs, kernel, kernel)
        Of a convolution.

    Returns
    -------
    whole : NDArray[np.int8] (outputs, inputs, kernel, kernel)
    scale : NDArray[np.float32] (outputs, 1, 1, 1)
        ``whole * scale`` is near ``weight``.
    """
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    scale = np.where(largest > 0, largest / np.float32(_LARGEST_WEIGHT), np.float32(1))
    return np.rint(weight / scale).astype(np.int8), scale
