"""The forward pass of the network, defined once for all engines without torch.

`forward` defines the layers and their connections. The given `Layers` define what a layer is: nodes of an OpenVINO or
ONNX graph, or a computation of the receptive field. `nucleus_unet.model.network` defines the same network as torch
modules for training. A test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.model.config import NORM_EPSILON, OUTPUT_CHANNELS, NetworkConfig

MAX_RADIUS = 128
"""Largest receptive radius in pixels. Tiles need a halo of this width."""

# Expansion, channels, kernel and stride of blocks 0 to 7 of EfficientNet-Lite0 (Tan and Le 2019). The "Lite" variants
# have ReLU6 and no squeeze-and-excitation.
LITE0_BLOCKS = (
    (1, 16, 3, 1),
    (6, 24, 3, 2),
    (6, 24, 3, 1),
    (6, 40, 5, 2),
    (6, 40, 5, 1),
    (6, 80, 3, 2),
    (6, 80, 3, 1),
    (6, 80, 3, 1),
)
# Index of the last block at strides 2, 4, 8 and 16.
LITE0_LEVELS = (0, 2, 4, 7)

NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
"""Tensors of a batch normalisation: scale, shift, mean and variance."""

Features = TypeVar("Features")
Weights = Mapping[str, NDArray[np.float32]]


class Layers(Protocol[Features]):
    """The layers that `forward` connects. Results with a name may be quantised."""

    def convolve(
        self, name: str, features: Features, outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> Features:
        """Convolve with padding of half the kernel, add the bias, and optionally apply ReLU6."""

    def filter(self, name: str, features: Features, kernel: int, *, stride: int) -> Features:
        """Apply a depthwise convolution, a bias and ReLU6."""

    def add(self, name: str, first: Features, second: Features) -> Features:
        """Add two features of equal shape."""

    def concatenate(self, *features: Features) -> Features:
        """Concatenate the channels of features of equal height and width."""

    def repeat(self, features: Features) -> Features:
        """Double the resolution by repetition. Unlike interpolation it is exact in every precision and position."""

    def space_to_depth(self, name: str, features: Features) -> Features:
        """Move 2 x 2 pixels into the channels of one pixel, ordered by channel, row, column."""

    def depth_to_space(self, features: Features) -> Features:
        """Inverse of `space_to_depth`."""


def forward(config: NetworkConfig, layers: Layers[Features], image: Features) -> Features:
    """Connect the layers of a network.

    Parameters
    ----------
    config
        Configuration of the network.
    layers
        Implementation of the layers.
    image
        The standardised input, with three channels.

    Returns
    -------
    Features
        The output, with `OUTPUT_CHANNELS` channels.
    """
    return _lite0(config, layers, image) if config.form == "lite0" else _plain(config, layers, image)


def stride(config: NetworkConfig) -> int:
    """Return the stride of the network in pixels. Height and width of an input must be multiples of it."""
    return 16 if config.form == "lite0" else config.stem_stride * 2**config.depth


def receptive_radius(config: NetworkConfig) -> int:
    """Return the receptive radius in pixels: the largest distance, along an axis, of an input that changes an output.

    Raises
    ------
    SettingsError
        If it exceeds `MAX_RADIUS`.
    """
    footprint = forward(config, _Footprints(), _Footprint(1, 0, 0))
    radius = max(footprint.before, footprint.after)
    if radius > MAX_RADIUS:
        raise SettingsError(
            f"this network has a receptive radius of {radius} pixels, but tiles allow at most {MAX_RADIUS}: "
            "choose a smaller depth or stem_stride"
        )
    return radius


def weight_shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight of a network by its name in a bundle."""
    return _count(config).shapes


def result_channels(config: NetworkConfig) -> dict[str, int]:
    """Return the number of channels of every named result of a layer. The input is named ``image``."""
    return _count(config).channels


def multiply_adds_per_pixel(config: NetworkConfig) -> float:
    """Return the number of multiply-adds of the convolutions per pixel of an image."""
    return _count(config).multiply_adds


def _count(config: NetworkConfig) -> _Counts:
    counts = _Counts()
    forward(config, counts, _Shape(3, 1.0))
    return counts


def _lite0(config: NetworkConfig, layers: Layers[Features], image: Features) -> Features:
    """U-Net on the first four stages of EfficientNet-Lite0, refined at full resolution."""
    features = layers.convolve("form.stem", image, 32, 3, stride=2)
    levels = []
    channels = 32
    for number, (expansion, outputs, kernel, step) in enumerate(LITE0_BLOCKS):
        name = f"form.blocks.{number}"
        hidden = features
        if expansion > 1:
            hidden = layers.convolve(f"{name}.expand", features, expansion * channels, 1)
        hidden = layers.filter(f"{name}.depthwise", hidden, kernel, stride=step)
        result = layers.convolve(f"{name}.project", hidden, outputs, 1, relu=False)
        if step == 1 and outputs == channels:
            result = layers.add(f"{name}.sum", features, result)
        features, channels = result, outputs
        if number in LITE0_LEVELS:
            levels.append(features)
    half, quarter, eighth, deep = levels
    features = _upward(layers, "form.up8", config.decoder[0], deep, eighth)
    features = _upward(layers, "form.up4", config.decoder[1], features, quarter)
    # The image joins at stride 2 by space-to-depth, because the strided stem loses details of outlines.
    features = _upward(layers, "form.up2", config.decoder[2], features, half, layers.space_to_depth("folded", image))
    features = layers.concatenate(layers.depth_to_space(features), image)
    features = layers.convolve("form.refine", features, config.decoder[3], 3)
    return layers.convolve("form.head", features, OUTPUT_CHANNELS, 1, relu=False)


def _plain(config: NetworkConfig, layers: Layers[Features], image: Features) -> Features:
    """U-Net of Ronneberger et al. (2015) with batch normalisation and an optional space-to-depth stem."""
    features = layers.space_to_depth("folded", image) if config.stem_stride == 2 else image
    widths = [config.width * 2**level for level in range(config.depth + 1)]
    levels = []
    for level, width in enumerate(widths):
        features = layers.convolve(f"form.down.{level}.0", features, width, 3, stride=1 if level == 0 else 2)
        features = layers.convolve(f"form.down.{level}.1", features, width, 3)
        levels.append(features)
    features = levels.pop()
    for number, width in enumerate(widths[-2::-1]):
        features = _upward(layers, f"form.up.{number}", width, features, levels.pop())
    features = layers.convolve("form.head", features, OUTPUT_CHANNELS * config.stem_stride**2, 1, relu=False)
    return layers.depth_to_space(features) if config.stem_stride == 2 else features


def _upward(layers: Layers[Features], name: str, outputs: int, deep: Features, *skipped: Features) -> Features:
    """Upsample the deeper features, concatenate the skip connections, and convolve twice."""
    features = layers.concatenate(layers.repeat(deep), *skipped)
    features = layers.convolve(f"{name}.mix.0", features, outputs, 3)
    return layers.convolve(f"{name}.mix.1", features, outputs, 3)


class _Footprint(NamedTuple):
    """Receptive field along one axis: feature ``i`` depends on inputs ``i * jump - before`` to ``i * jump + after``."""

    jump: int
    before: int
    after: int


class _Footprints:
    """Layers that compute the receptive field."""

    def convolve(
        self, name: str, features: _Footprint, _outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> _Footprint:
        del relu
        return self.filter(name, features, kernel, stride=stride)

    def filter(self, _name: str, features: _Footprint, kernel: int, *, stride: int) -> _Footprint:
        jump, before, after = features
        padding = kernel // 2
        return _Footprint(jump * stride, before + padding * jump, after + (kernel - 1 - padding) * jump)

    def add(self, _name: str, first: _Footprint, second: _Footprint) -> _Footprint:
        return self.concatenate(first, second)

    def concatenate(self, *features: _Footprint) -> _Footprint:
        jumps, befores, afters = zip(*features, strict=True)
        (jump,) = set(jumps)  # features of different strides cannot be concatenated
        return _Footprint(jump, max(befores), max(afters))

    def repeat(self, features: _Footprint) -> _Footprint:
        half = features.jump // 2
        return _Footprint(half, features.before + half, features.after)

    def space_to_depth(self, _name: str, features: _Footprint) -> _Footprint:
        return _Footprint(features.jump * 2, features.before, features.after + features.jump)

    def depth_to_space(self, features: _Footprint) -> _Footprint:
        return self.repeat(features)


class _Shape(NamedTuple):
    channels: int
    pixels: float  # number of pixels per input pixel


class _Counts:
    """Layers that record the shapes of weights and results, and count multiply-adds."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.channels = {"image": 3}
        self.multiply_adds = 0.0

    def _record(self, name: str, sizes: _Shape) -> _Shape:
        self.channels[name] = sizes.channels
        return sizes

    def convolve(
        self, name: str, features: _Shape, outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> _Shape:
        del relu
        return self._add_weights(name, features, (outputs, features.channels, kernel, kernel), stride)

    def filter(self, name: str, features: _Shape, kernel: int, *, stride: int) -> _Shape:
        return self._add_weights(name, features, (features.channels, 1, kernel, kernel), stride)

    def _add_weights(self, name: str, features: _Shape, weight: tuple[int, ...], stride: int) -> _Shape:
        pixels = features.pixels / stride**2
        self.multiply_adds += math.prod(weight) * pixels
        if name == "form.head":  # the last layer has no normalisation
            self.shapes |= {f"{name}.weight": weight, f"{name}.bias": weight[:1]}
        else:
            self.shapes[f"{name}.0.weight"] = weight
            self.shapes |= {f"{name}.1.{part}": weight[:1] for part in NORM_PARTS}
        return self._record(name, _Shape(weight[0], pixels))

    def add(self, name: str, first: _Shape, _second: _Shape) -> _Shape:
        return self._record(name, first)

    def concatenate(self, *features: _Shape) -> _Shape:
        return _Shape(sum(part.channels for part in features), features[0].pixels)

    def repeat(self, features: _Shape) -> _Shape:
        return _Shape(features.channels, features.pixels * 4)

    def space_to_depth(self, name: str, features: _Shape) -> _Shape:
        return self._record(name, _Shape(features.channels * 4, features.pixels / 4))

    def depth_to_space(self, features: _Shape) -> _Shape:
        return _Shape(features.channels // 4, features.pixels * 4)


class FoldedWeights:
    """Weights for inference, with each batch normalisation folded into the preceding convolution.

    Parameters
    ----------
    tensors
        Weights of a bundle, with the names of `nucleus_unet.model.network`.
    """

    def __init__(self, tensors: Weights) -> None:
        self._tensors = tensors

    def convolution(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the weight (outputs, inputs of a group, kernel, kernel) and bias (outputs,) of a convolution."""
        if f"{name}.0.weight" not in self._tensors:  # the last layer has no normalisation
            return self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        weight = self._tensors[f"{name}.0.weight"]
        gain, shift, mean, variance = (self._tensors[f"{name}.1.{part}"] for part in NORM_PARTS)
        factor = gain / np.sqrt(variance + np.float32(NORM_EPSILON))
        return weight * factor[:, None, None, None], shift - mean * factor
