"""The network's forward pass, written once for every engine that runs it without torch.

`forward` says which layers there are and how they connect. What a layer *is*, the given `Layers` decides: nodes of an
OpenVINO or ONNX graph, or only how far the network looks. `nucleus_unet.model.network` has the same network as torch
modules, for training; a test holds the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.model.config import NORM_EPSILON, OUTPUT_CHANNELS, NetworkConfig
from nucleus_unet.model.receptive_field import Footprint

MAXIMUM_RADIUS = 128
"""A network may look so many pixels far: tiles of large images need a border of that width."""

# expansion, channels, kernel, stride of blocks 0 to 7 of EfficientNet-Lite0 (Tan and Le 2019; "Lite": no
# squeeze-and-excitation, ReLU6).
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
# The last block at strides 2, 4, 8 and 16.
LITE0_LEVELS = (0, 2, 4, 7)

NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
"""Tensors of a batch normalisation: gain, shift, and the statistics it divides by."""

Features = TypeVar("Features")
Weights = Mapping[str, NDArray[np.float32]]


class Layers(Protocol[Features]):
    """The layers that `forward` connects. Every result that has a name may be quantised."""

    def convolve(
        self, name: str, features: Features, outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> Features:
        """Convolve, padded by half the kernel; then add the bias and, if asked, apply ReLU6."""

    def filter(self, name: str, features: Features, kernel: int, *, stride: int) -> Features:
        """Convolve each channel alone (a depthwise convolution), else as `convolve`."""

    def add(self, name: str, first: Features, second: Features) -> Features:
        """Add two features of one shape."""

    def concatenate(self, *features: Features) -> Features:
        """Lay the channels of features of one size beside each other."""

    def repeat(self, features: Features) -> Features:
        """Double the resolution by repetition: exact in every precision and place, as interpolation is not."""

    def space_to_depth(self, name: str, features: Features) -> Features:
        """Fold 2 x 2 pixels into the channels of one: channel, row, column, from slow to fast."""

    def depth_to_space(self, features: Features) -> Features:
        """Unfold: the inverse of `space_to_depth`."""


def forward(config: NetworkConfig, layers: Layers[Features], image: Features) -> Features:
    """Connect the layers of a network.

    Parameters
    ----------
    config
        Shape of the network.
    layers
        What the layers are.
    image
        The input, standardised; three channels.

    Returns
    -------
    Features
        The output, `OUTPUT_CHANNELS` channels.
    """
    return _lite0(config, layers, image) if config.form == "lite0" else _plain(config, layers, image)


def stride(config: NetworkConfig) -> int:
    """Return what height and width of an input must be multiples of."""
    return 16 if config.form == "lite0" else config.stem_stride * 2**config.depth


def receptive_radius(config: NetworkConfig) -> int:
    """Return how many pixels away, along either axis, an output may depend on the input.

    Raises
    ------
    SettingsError
        If that is more than `MAXIMUM_RADIUS`.
    """
    footprint = forward(config, _Footprints(), Footprint(1, 0, 0))
    radius = max(footprint.before, footprint.after)
    if radius > MAXIMUM_RADIUS:
        raise SettingsError(
            f"this network looks {radius} pixels far, and tiles of large images allow {MAXIMUM_RADIUS}: "
            "choose a smaller depth or stem_stride"
        )
    return radius


def weight_shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight of a network, by name, as a bundle stores them."""
    return _counted(config).shapes


def result_channels(config: NetworkConfig) -> dict[str, int]:
    """Return how many channels every named result of a layer has; the input is ``image``."""
    return _counted(config).channels


def multiply_adds_per_pixel(config: NetworkConfig) -> float:
    """Return how many multiply-adds the network's convolutions spend on one pixel of an image."""
    return _counted(config).multiply_adds


def _counted(config: NetworkConfig) -> _Counts:
    counts = _Counts()
    forward(config, counts, _Sizes(3, 1.0))
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
    # The image itself, folded to stride 2, joins here: outlines need the pixels that the stem strides over.
    features = _upward(layers, "form.up2", config.decoder[2], features, half, layers.space_to_depth("folded", image))
    features = layers.concatenate(layers.depth_to_space(features), image)
    features = layers.convolve("form.refine", features, config.decoder[3], 3)
    return layers.convolve("form.head", features, OUTPUT_CHANNELS, 1, relu=False)


def _plain(config: NetworkConfig, layers: Layers[Features], image: Features) -> Features:
    """U-Net of Ronneberger et al. (2015) with batch normalisation and, if asked, a space-to-depth stem."""
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
    """One step up the U: repeat the deeper features, lay the skipped ones beside them, mix."""
    features = layers.concatenate(layers.repeat(deep), *skipped)
    features = layers.convolve(f"{name}.mix.0", features, outputs, 3)
    return layers.convolve(f"{name}.mix.1", features, outputs, 3)


class _Footprints:
    """Layers that only tell how far they look."""

    def convolve(
        self, _name: str, features: Footprint, _outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> Footprint:
        del relu
        return features.convolved(kernel, stride)

    def filter(self, _name: str, features: Footprint, kernel: int, *, stride: int) -> Footprint:
        return features.convolved(kernel, stride)

    def add(self, _name: str, first: Footprint, second: Footprint) -> Footprint:
        return first.joined(second)

    def concatenate(self, *features: Footprint) -> Footprint:
        return reduce(Footprint.joined, features)

    def repeat(self, features: Footprint) -> Footprint:
        return features.repeated()

    def space_to_depth(self, _name: str, features: Footprint) -> Footprint:
        return features.folded()

    def depth_to_space(self, features: Footprint) -> Footprint:
        return features.repeated()


class _Sizes(NamedTuple):
    channels: int
    pixels: float  # of one input pixel


class _Counts:
    """Layers that only tell the shapes of their weights and results, and what they cost."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.channels = {"image": 3}
        self.multiply_adds = 0.0

    def _named(self, name: str, sizes: _Sizes) -> _Sizes:
        self.channels[name] = sizes.channels
        return sizes

    def convolve(
        self, name: str, features: _Sizes, outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> _Sizes:
        del relu
        return self._weighed(name, features, (outputs, features.channels, kernel, kernel), stride)

    def filter(self, name: str, features: _Sizes, kernel: int, *, stride: int) -> _Sizes:
        return self._weighed(name, features, (features.channels, 1, kernel, kernel), stride)

    def _weighed(self, name: str, features: _Sizes, weight: tuple[int, ...], stride: int) -> _Sizes:
        pixels = features.pixels / stride**2
        self.multiply_adds += math.prod(weight) * pixels
        if name == "form.head":  # nothing is normalised behind the last layer
            self.shapes |= {f"{name}.weight": weight, f"{name}.bias": weight[:1]}
        else:
            self.shapes[f"{name}.0.weight"] = weight
            self.shapes |= {f"{name}.1.{part}": weight[:1] for part in NORM_PARTS}
        return self._named(name, _Sizes(weight[0], pixels))

    def add(self, name: str, first: _Sizes, _second: _Sizes) -> _Sizes:
        return self._named(name, first)

    def concatenate(self, *features: _Sizes) -> _Sizes:
        return _Sizes(sum(each.channels for each in features), features[0].pixels)

    def repeat(self, features: _Sizes) -> _Sizes:
        return _Sizes(features.channels, features.pixels * 4)

    def space_to_depth(self, name: str, features: _Sizes) -> _Sizes:
        return self._named(name, _Sizes(features.channels * 4, features.pixels / 4))

    def depth_to_space(self, features: _Sizes) -> _Sizes:
        return _Sizes(features.channels // 4, features.pixels * 4)


class FoldedWeights:
    """Weights for inference: batch normalisation folded into the convolution before it.

    Parameters
    ----------
    tensors
        As a bundle stores them, by the names of `nucleus_unet.model.network`.
    """

    def __init__(self, tensors: Weights) -> None:
        self._tensors = tensors

    def convolution(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight (outputs, inputs of a group, kernel, kernel) and bias (outputs,) of a convolution."""
        if f"{name}.0.weight" not in self._tensors:  # the last layer has no normalisation
            return self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        weight = self._tensors[f"{name}.0.weight"]
        gain, shift, mean, variance = (self._tensors[f"{name}.1.{part}"] for part in NORM_PARTS)
        factor = gain / np.sqrt(variance + np.float32(NORM_EPSILON))
        return weight * factor[:, None, None, None], shift - mean * factor
