"""The network as an OpenVINO graph, built in code from a bundle's configuration and tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from openvino import Model, Node, PartialShape, opset13

from nucleus_unet.errors import BundleError
from nucleus_unet.model.config import INPUT_MEAN, INPUT_SCALE, RELU_LIMIT, NetworkConfig
from nucleus_unet.model.graph import FoldedWeights, Weights, forward
from nucleus_unet.model.quantisation import LARGEST_BYTE, Quantisation, quantise_weight


class Features(NamedTuple):
    """Features of the graph.

    Attributes
    ----------
    node
        (1, C, H, W).
    channels
        How many.
    factor : NDArray[np.float32] () or (C,), or None
        The weights that read quantised features are multiplied by it; None for features in single precision.
    exact
        The same, not quantised, where both are there.
    """

    node: Node
    channels: int
    factor: NDArray[np.float32] | None = None
    exact: Node | None = None


class OpenVinoLayers:
    """Layers that are nodes of an OpenVINO graph; see `nucleus_unet.model.graph.Layers`.

    Parameters
    ----------
    weights
        Of the convolutions.
    quantisation
        What is computed in bytes, and how; by default nothing.

    Attributes
    ----------
    results : dict of str to Node
        Every named result, before it is quantised.
    rounded : dict of str to NDArray[np.float32] (outputs, inputs of a group, kernel, kernel)
        Of every convolution that is computed in bytes: its weights less what rounding made of them.
    """

    def __init__(self, weights: FoldedWeights, quantisation: Quantisation | None = None) -> None:
        self._weights, self._quantisation = weights, quantisation
        self.results: dict[str, Node] = {}
        self.rounded: dict[str, NDArray[np.float32]] = {}

    def named(self, name: str, node: Node, channels: int) -> Features:
        """Return the result of a layer, quantised if there is a range for it."""
        self.results[name] = node
        found = None if self._quantisation is None else self._quantisation.ranges.get(name)
        if found is None:
            return Features(node, channels)
        bounds = np.array([-found.zero, LARGEST_BYTE - found.zero], np.float32)
        by_channel = found.scale.reshape(1, -1, 1, 1) if found.scale.ndim else found.scale
        seen = [opset13.constant(np.float32(bound) * by_channel) for bound in bounds]
        stored = [opset13.constant(bound * found.unit) for bound in bounds]
        quantised = opset13.fake_quantize(node, *seen, *stored, LARGEST_BYTE + 1)
        return Features(quantised, channels, found.factor, node)

    def convolve(
        self, name: str, features: Features, outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        stored = self._stored(name, features, (1, -1, 1, 1))
        around = [kernel // 2] * 2
        result = opset13.convolution(features.node, stored, [stride] * 2, around, around, [1, 1])
        return self._finished(name, result, outputs, relu=relu)

    def filter(self, name: str, features: Features, kernel: int, *, stride: int) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        # One group a channel: (C, 1, 1, kernel, kernel).
        stored = opset13.unsqueeze(self._stored(name, features, (-1, 1, 1, 1)), opset13.constant(np.array(1)))
        around = [kernel // 2] * 2
        result = opset13.group_convolution(features.node, stored, [stride] * 2, around, around, [1, 1])
        return self._finished(name, result, features.channels, relu=True)

    def bias(self, name: str) -> NDArray[np.float32]:
        """Return the bias of a convolution, corrected if its weights are rounded."""
        corrected = None if self._quantisation is None else self._quantisation.biases.get(name)
        return self._weights.convolution(name)[1] if corrected is None else corrected

    def _stored(self, name: str, features: Features, by_input: tuple[int, ...]) -> Node:
        """Return the weights of a convolution that reads the features; ``by_input`` is the shape of their factors."""
        weight = self._weights.convolution(name)[0]
        if features.factor is None:
            return opset13.constant(weight)
        factors = np.broadcast_to(features.factor, features.channels).reshape(by_input)
        whole, scale = quantise_weight(weight * factors)
        self.rounded[name] = weight - whole * scale / factors
        return opset13.multiply(opset13.convert(opset13.constant(whole), np.float32), opset13.constant(scale))

    def _finished(self, name: str, result: Node, outputs: int, *, relu: bool) -> Features:
        result = opset13.add(result, opset13.constant(self.bias(name).reshape(1, -1, 1, 1)))
        if relu:
            result = opset13.clamp(result, 0.0, RELU_LIMIT)
        return self.named(name, result, outputs)

    def add(self, name: str, first: Features, second: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        for each in first, second:
            if each.factor is not None and (each.factor != 1).any():
                raise BundleError(f"int8 form: features that {name} adds need a unit that is their scale")
        return self.named(name, opset13.add(first.node, second.node), first.channels)

    def concatenate(self, *features: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        factors = [each.factor for each in features]
        channels = sum(each.channels for each in features)
        if any(factor is None for factor in factors):  # of both kinds: all in single precision
            return Features(opset13.concat([each.exact or each.node for each in features], 1), channels)
        joined = np.concatenate(
            [np.broadcast_to(each.factor, each.channels) for each in features]  # type: ignore[arg-type]
        )
        return Features(opset13.concat([each.node for each in features], 1), channels, joined)

    def repeat(self, features: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""

        def repeated(node: Node) -> Node:
            scales, axes = opset13.constant(np.array([2, 2], np.float32)), opset13.constant(np.array([2, 3]))
            return opset13.interpolate(
                node,
                scales,
                "nearest",
                "scales",
                axes=axes,
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )

        exact = None if features.exact is None else repeated(features.exact)
        return features._replace(node=repeated(features.node), exact=exact)

    def space_to_depth(self, name: str, features: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        node = opset13.space_to_depth(features.exact or features.node, "depth_first", 2)
        return self.named(name, node, features.channels * 4)

    def depth_to_space(self, features: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""

        def unfolded(node: Node) -> Node:
            return opset13.depth_to_space(node, "depth_first", 2)

        factor = features.factor
        if factor is not None and factor.ndim:  # every four channels become one
            raise BundleError("int8 form: features that are unfolded need one scale for all channels")
        exact = None if features.exact is None else unfolded(features.exact)
        return Features(unfolded(features.node), features.channels // 4, factor, exact)


def build_layers(
    config: NetworkConfig, weights: Weights, quantisation: Quantisation | None = None
) -> tuple[Model, OpenVinoLayers]:
    """Build the graph of a network, and return it with its named nodes; see `build_graph`."""
    layers = OpenVinoLayers(FoldedWeights(weights), quantisation)
    image = opset13.parameter(PartialShape([1, -1, -1, 3]), np.float32, name="image")
    planes = opset13.transpose(image, opset13.constant(np.array([0, 3, 1, 2])))
    centred = opset13.subtract(planes, opset13.constant(np.float32(INPUT_MEAN)))
    scaled = opset13.multiply(centred, opset13.constant(np.float32(1 / INPUT_SCALE)))
    output = forward(config, layers, layers.named("image", scaled, 3))
    return Model([output.exact or output.node], [image], "nucleus-unet"), layers


def build_graph(config: NetworkConfig, weights: Weights, quantisation: Quantisation | None = None) -> Model:
    """Build the graph of a network.

    Parameters
    ----------
    config, weights
        Shape of the network, and what a bundle stores for it.
    quantisation
        What is computed in bytes, and how; by default nothing.

    Returns
    -------
    openvino.Model
        From ``image`` (1, H, W, 3), normalised to 0..1, to (1, 4, H, W); H and W are multiples of the stride.
    """
    return build_layers(config, weights, quantisation)[0]
