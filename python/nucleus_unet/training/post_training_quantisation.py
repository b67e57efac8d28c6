"""Post-training quantisation: from a network in single precision and some images to its int8 form.

The activation ranges are measured on the images. Each bias is corrected for the change of its channel's mean that the
rounding of the weights causes (Nagel et al. 2019, "Data-free quantization through weight equalization and bias
correction").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from openvino import Model, opset13

from nucleus_unet.errors import DataError
from nucleus_unet.inference.devices import processor_threads
from nucleus_unet.inference.openvino import core
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.graph import Weights, forward
from nucleus_unet.model.openvino_graph import build_layers
from nucleus_unet.model.quantisation import LARGEST_BYTE, Quantisation, Range
from nucleus_unet.training.validation import padded_image

# Side of a crop in pixels, maximum number of crops, and crops per image. More crops did not change the result.
_CROP, _MAX_CROPS, _CROPS_PER_IMAGE = 256, 200, 4
# Quantile of the images' minima and maxima that ranges hold: unusual images would widen the steps for all others.
_QUANTILE = 0.98
# Concatenated features share their zero point. It is in the middle of the range if any of them may be negative.
_MIDDLE = 128
# Common unit of concatenated features, and of features with a scale for each channel. Its value is arbitrary.
_UNIT = np.float32(1 / 32)
# Layers whose results stay in single precision: the output and, in the lite0 form, the first layer. The whole encoder
# depends on the first layer, and int8 does not accelerate the filter that reads it.
_SINGLE_PRECISION = ("form.stem", "form.head")


def calibration_crops(images: Sequence[NDArray[Any]], stride: int, *, seed: int = 0) -> list[NDArray[np.float32]]:
    """Return random crops of images, for measuring activation ranges.

    Parameters
    ----------
    images : sequence of NDArray[Any] (H, W) or (H, W, 3)
        Training images.
    stride
        Stride of the network in pixels.
    seed
        Seed of the random crops.

    Returns
    -------
    list of NDArray[np.float32] (h, w, 3)
        Normalised crops for `quantise`.
    """
    rng = np.random.default_rng(seed)
    count = min(_MAX_CROPS, _CROPS_PER_IMAGE * len(images))
    crops = []
    for number in rng.permutation(np.arange(count) % len(images)):
        padded = padded_image(images[number], stride)
        top, left = (rng.integers(max(0, size - _CROP) // stride + 1) * stride for size in padded.shape[:2])
        crops.append(np.ascontiguousarray(padded[top : top + _CROP, left : left + _CROP]))
    return crops


def quantise(config: NetworkConfig, weights: Weights, images: Sequence[NDArray[np.float32]]) -> Quantisation:
    """Quantise a network.

    Parameters
    ----------
    config, weights
        Architecture of the network, and its weights as stored in a bundle.
    images : sequence of NDArray[np.float32] (h, w, 3)
        Normalised training images. Heights and widths are multiples of the network's stride.

    Returns
    -------
    Quantisation
        Activation ranges and corrected biases.

    Raises
    ------
    DataError
        The features of the network are not finite.
    """
    measured = _measure(config, weights, images)
    if not all(np.isfinite(values).all() for each in measured.values() for values in each):
        raise DataError("the features of the network are not finite: training diverged; lower the learning rate")
    connections = _Connections({name: each.mean for name, each in measured.items()})
    forward(config, connections, connections.result("image"))
    ranges = {name: _range(name, measured, connections) for name in measured if name not in _SINGLE_PRECISION}
    _, layers = build_layers(config, weights, Quantisation(ranges, {}))
    biases = {}
    for name, rounded in layers.rounded.items():
        mean, by_input = connections.inputs[name].mean, rounded.sum(axis=(2, 3))
        added = by_input[:, 0] * mean if name in connections.filters else by_input @ mean
        biases[name] = layers.bias(name) + added
    return Quantisation(ranges, biases)


class _Channels(NamedTuple):
    """Least and largest value and mean of each channel of a result, over all images but the most extreme ones."""

    least: NDArray[np.float32]
    most: NDArray[np.float32]
    mean: NDArray[np.float32]


def _measure(config: NetworkConfig, weights: Weights, images: Sequence[NDArray[np.float32]]) -> dict[str, _Channels]:
    """Run the network in single precision, and measure the channels of every named result."""
    model, layers = build_layers(config, weights)
    axes = opset13.constant(np.array([0, 2, 3]))
    reductions = (opset13.reduce_min, opset13.reduce_max, opset13.reduce_mean)
    nodes = [reduce(node, axes) for node in layers.results.values() for reduce in reductions]
    observed = Model(nodes, model.get_parameters(), "observed")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": processor_threads()}
    request = core().compile_model(observed, "CPU", settings).create_infer_request()
    outputs = []
    for image in images:
        request.infer({0: image[None]})
        outputs.append([request.get_output_tensor(number).data.copy() for number in range(len(nodes))])
    return {
        name: _Channels(
            np.quantile([each[3 * number] for each in outputs], 1 - _QUANTILE, axis=0).astype(np.float32),
            np.quantile([each[3 * number + 1] for each in outputs], _QUANTILE, axis=0).astype(np.float32),
            np.mean([each[3 * number + 2] for each in outputs], axis=0, dtype=np.float32),
        )
        for number, name in enumerate(layers.results)
    }


def _range(name: str, measured: dict[str, _Channels], connections: _Connections) -> Range:
    least, most = np.minimum(measured[name].least, 0), np.maximum(measured[name].most, 0)
    concatenated = connections.concatenated.get(name)
    by_channel = name in connections.filtered
    if not by_channel:
        least, most = least.min(), most.max()
    if concatenated is not None:
        zero = _MIDDLE if any(measured[each].least.min() < 0 for each in concatenated) else 0
    else:
        zero = round(float(-np.min(least) / (np.max(most) - np.min(least))) * LARGEST_BYTE) if np.any(least) else 0
    scale = np.maximum(most / (LARGEST_BYTE - zero), -least / max(zero, 1))
    scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
    unit = np.asarray(_UNIT if by_channel or concatenated is not None else scale, np.float32)
    return Range(scale, zero, unit)


class _Result(NamedTuple):
    names: tuple[str, ...]
    mean: NDArray[np.float32]


class _Connections:
    """Layers that record their inputs.

    Attributes
    ----------
    inputs : dict of str to _Result
        For each convolution: the results that it reads, and the mean of each of their channels.
    filters, filtered
        Names of the depthwise convolutions, and of the results that they read.
    concatenated : dict of str to frozenset of str
        For each concatenated result: all results with which it is concatenated, including itself.
    """

    def __init__(self, means: dict[str, NDArray[np.float32]]) -> None:
        self._means = means
        self.inputs: dict[str, _Result] = {}
        self.filters: set[str] = set()
        self.filtered: set[str] = set()
        self.concatenated: dict[str, frozenset[str]] = {}

    def result(self, name: str) -> _Result:
        return _Result((name,), self._means[name])

    def convolve(
        self, name: str, features: _Result, _outputs: int, _kernel: int, *, stride: int = 1, relu: bool = True
    ) -> _Result:
        del stride, relu
        self.inputs[name] = features
        return self.result(name)

    def filter(self, name: str, features: _Result, _kernel: int, *, stride: int) -> _Result:
        del stride
        self.inputs[name] = features
        self.filters.add(name)
        self.filtered.update(features.names)
        return self.result(name)

    def add(self, name: str, _first: _Result, _second: _Result) -> _Result:
        return self.result(name)

    def concatenate(self, *features: _Result) -> _Result:
        names = tuple(name for each in features for name in each.names)
        joined = frozenset(names).union(*(self.concatenated.get(name, ()) for name in names))
        self.concatenated |= dict.fromkeys(joined, joined)
        return _Result(names, np.concatenate([each.mean for each in features]))

    def repeat(self, features: _Result) -> _Result:
        return features

    def space_to_depth(self, name: str, _features: _Result) -> _Result:
        return self.result(name)

    def depth_to_space(self, features: _Result) -> _Result:
        return features._replace(mean=features.mean.reshape(-1, 4).mean(axis=1))
