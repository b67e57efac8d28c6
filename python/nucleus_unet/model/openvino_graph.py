"""Build the network as an OpenVINO graph from the configuration and weights of a bundle."""

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
        Node with the features (1, C, H, W).
    channels
        Number of channels.
    factor : NDArray[np.float32] () or (C,), or None
        Factor of the weights that read quantised features. None for features in float32.
    exact
        The features before quantisation, if they are available.
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
        Weights of the convolutions.
    quantisation
        Quantisation of features and weights. None: everything is computed in float32.

    Attributes
    ----------
    results : dict of str to Node
        All named results before quantisation.
    rounded : dict of str to NDArray[np.float32] (outputs, inputs of a group, kernel, kernel)
        Rounding error of the weights of each quantised convolution.
    """

    def __init__(self, weights: FoldedWeights, quantisation: Quantisation | None = None) -> None:
        self._weights, self._quantisation = weights, quantisation
        self.results: dict[str, Node] = {}
        self.rounded: dict[str, NDArray[np.float32]] = {}

    def named(self, name: str, node: Node, channels: int) -> Features:
        """Record the result of a layer, and quantise it if there is a range for it."""
        self.results[name] = node
        step = None if self._quantisation is None else self._quantisation.ranges.get(name)
        if step is None:
            return Features(node, channels)
        bounds = np.array([-step.zero, LARGEST_BYTE - step.zero], np.float32)
        scale = step.scale.reshape(1, -1, 1, 1) if step.scale.ndim else step.scale
        input_range = [opset13.constant(np.float32(bound) * scale) for bound in bounds]
        output_range = [opset13.constant(bound * step.unit) for bound in bounds]
        quantised = opset13.fake_quantize(node, *input_range, *output_range, LARGEST_BYTE + 1)
        return Features(quantised, channels, step.factor, node)

    def convolve(
        self, name: str, features: Features, outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        weights = self._quantised_weight(name, features, (1, -1, 1, 1))
        padding = [kernel // 2] * 2
        result = opset13.convolution(features.node, weights, [stride] * 2, padding, padding, [1, 1])
        return self._add_bias(name, result, outputs, relu=relu)

    def filter(self, name: str, features: Features, kernel: int, *, stride: int) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        # One group per channel: (C, 1, 1, kernel, kernel).
        weights = opset13.unsqueeze(
            self._quantised_weight(name, features, (-1, 1, 1, 1)), opset13.constant(np.array(1))
        )
        padding = [kernel // 2] * 2
        result = opset13.group_convolution(features.node, weights, [stride] * 2, padding, padding, [1, 1])
        return self._add_bias(name, result, features.channels, relu=True)

    def bias(self, name: str) -> NDArray[np.float32]:
        """Return the bias of a convolution. It is corrected if the weights are rounded."""
        corrected = None if self._quantisation is None else self._quantisation.biases.get(name)
        return self._weights.convolution(name)[1] if corrected is None else corrected

    def _quantised_weight(self, name: str, features: Features, by_input: tuple[int, ...]) -> Node:
        """Return the weights of a convolution for these features. ``by_input`` is the shape of the factors."""
        weight = self._weights.convolution(name)[0]
        if features.factor is None:
            return opset13.constant(weight)
        factors = np.broadcast_to(features.factor, features.channels).reshape(by_input)
        integers, scale = quantise_weight(weight * factors)
        self.rounded[name] = weight - integers * scale / factors
        return opset13.multiply(opset13.convert(opset13.constant(integers), np.float32), opset13.constant(scale))

    def _add_bias(self, name: str, result: Node, outputs: int, *, relu: bool) -> Features:
        result = opset13.add(result, opset13.constant(self.bias(name).reshape(1, -1, 1, 1)))
        if relu:
            result = opset13.clamp(result, 0.0, RELU_LIMIT)
        return self.named(name, result, outputs)

    def add(self, name: str, first: Features, second: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        for features in first, second:
            if features.factor is not None and (features.factor != 1).any():
                raise BundleError(f"int8 form: the features that {name} adds need a unit equal to their scale")
        return self.named(name, opset13.add(first.node, second.node), first.channels)

    def concatenate(self, *features: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        factors = [part.factor for part in features]
        channels = sum(part.channels for part in features)
        if any(factor is None for factor in factors):  # some features are not quantised: use float32 for all
            return Features(opset13.concat([part.exact or part.node for part in features], 1), channels)
        joined_factors = np.concatenate(
            [np.broadcast_to(part.factor, part.channels) for part in features]  # type: ignore[arg-type]
        )
        return Features(opset13.concat([part.node for part in features], 1), channels, joined_factors)

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
        if factor is not None and factor.ndim:  # four channels with different factors become one
            raise BundleError("int8 form: the features of depth-to-space need one scale for all channels")
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
        Configuration of the network, and its weights from a bundle.
    quantisation
        Quantisation of features and weights. None: everything is computed in float32.

    Returns
    -------
    openvino.Model
        Maps ``image`` (1, H, W, 3), normalised to 0..1, to (1, 4, H, W). H and W are multiples of the stride.
    """
    return build_layers(config, weights, quantisation)[0]
