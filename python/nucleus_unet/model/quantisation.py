"""Quantisation of the network to int8, which a model bundle stores in addition to the weights.

A quantised feature is a byte (0 to 255). Its value is the byte minus a zero point, times a scale. Results of layers
without a range stay in float32, and so do the convolutions that read them.

Quantised weights are integers from -64 to 64 with one scale per output channel. The sum of two products thus fits into
16 bits, and processors with and without VNNI instructions compute the same. With weights of 8 bits, the latter would
saturate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import BundleError

INT8_PREFIX = "int8."
"""Prefix of the names of these tensors in a bundle."""
LARGEST_BYTE = 255
_MAX_WEIGHT = 64
# Bounds of a scale or unit. They exceed the range of trained networks and are far within float32.
_STEP_BOUNDS = (1e-15, 1e15)
_RANGE_PARTS = ("scale", "zero", "unit")


@dataclass(frozen=True, eq=False)
class Range:
    """Quantisation of one result ``x``: ``clip(round(x / scale) + zero, 0, 255)``.

    Attributes
    ----------
    scale : NDArray[np.float32] () or (C,)
        Scale of all channels, or of each channel.
    zero
        Byte that represents 0.
    unit
        Value of one step for the layers that read the result. Concatenated features need equal units, so the ratio
        of ``scale`` and ``unit`` is multiplied into the weights that read them.
    """

    scale: NDArray[np.float32]
    zero: int
    unit: NDArray[np.float32]

    @property
    def factor(self) -> NDArray[np.float32]:
        """Factor of the weights that read these features."""
        return self.scale / self.unit


@dataclass(frozen=True, eq=False)
class Quantisation:
    """Quantisation of an int8 model.

    Attributes
    ----------
    ranges
        Range of each quantised result, by its name.
    biases : mapping of str to NDArray[np.float32] (C,)
        Bias of each quantised convolution, corrected for the mean rounding error, by the name of the convolution.
    """

    ranges: Mapping[str, Range]
    biases: Mapping[str, NDArray[np.float32]]

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return the tensors that a bundle stores."""
        tensors: dict[str, NDArray[Any]] = {}
        for name, value in self.ranges.items():
            tensors[f"{INT8_PREFIX}{name}.scale"] = value.scale
            tensors[f"{INT8_PREFIX}{name}.zero"] = np.asarray(value.zero, np.uint8)
            tensors[f"{INT8_PREFIX}{name}.unit"] = value.unit
        return tensors | {f"{INT8_PREFIX}{name}.bias": bias for name, bias in self.biases.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], channels: Mapping[str, int]) -> Quantisation | None:
        """Inverse of `to_tensors`. None if there are no such tensors.

        Parameters
        ----------
        tensors
            All tensors of a bundle.
        channels
            Number of channels of each result, from `nucleus_unet.model.graph.result_channels`.

        Raises
        ------
        BundleError
            If a tensor is missing or unknown, has a wrong type or shape, or is out of range.
        """
        own = {name.removeprefix(INT8_PREFIX): value for name, value in tensors.items() if name.startswith(INT8_PREFIX)}
        if not own:
            return None
        parts: dict[str, dict[str, NDArray[Any]]] = {}
        for key, tensor in own.items():
            name, part = key.rpartition(".")[::2]
            if name not in channels or part not in ("bias", *_RANGE_PARTS):
                raise BundleError(f"{INT8_PREFIX}{key}: the network has no tensor with this name")
            expected = np.uint8 if part == "zero" else np.float32
            if tensor.dtype != expected or not np.isfinite(tensor).all():
                raise BundleError(f"{INT8_PREFIX}{key}: expected finite numbers of type {np.dtype(expected)}")
            if tensor.shape not in _shapes(part, channels[name]):
                raise BundleError(f"{INT8_PREFIX}{key}: unexpected shape {tensor.shape}")
            parts.setdefault(name, {})[part] = tensor
        biases = {name: values.pop("bias") for name, values in parts.items() if "bias" in values}
        return cls({name: _build_range(name, values) for name, values in parts.items() if values}, biases)


def _shapes(part: str, channels: int) -> tuple[tuple[int, ...], ...]:
    return {"bias": ((channels,),), "scale": ((), (channels,))}.get(part, ((),))


def _build_range(name: str, parts: Mapping[str, NDArray[Any]]) -> Range:
    if set(parts) != set(_RANGE_PARTS):
        names = ", ".join(sorted(parts))
        raise BundleError(f"{INT8_PREFIX}{name}: expected the tensors {', '.join(_RANGE_PARTS)}, got {names}")
    result = Range(parts["scale"], int(parts["zero"]), parts["unit"])
    lower, upper = _STEP_BOUNDS
    for step in result.scale, result.unit:
        if not ((step >= lower) & (step <= upper)).all():
            raise BundleError(f"{INT8_PREFIX}{name}: expected scales and a unit of {lower:g} to {upper:g}")
    return result


def quantise_weight(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round the weights of each output channel to integers from -64 to 64.

    Parameters
    ----------
    weight : NDArray[np.float32] (outputs, inputs, kernel, kernel)
        Weights of a convolution.

    Returns
    -------
    rounded : NDArray[np.int8] (outputs, inputs, kernel, kernel)
    scale : NDArray[np.float32] (outputs, 1, 1, 1)
        ``rounded * scale`` approximates ``weight``.
    """
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    scale = np.where(largest > 0, largest / np.float32(_MAX_WEIGHT), np.float32(1))
    return np.rint(weight / scale).astype(np.int8), scale
