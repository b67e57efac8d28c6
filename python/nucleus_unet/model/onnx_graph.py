"""Build the network as an ONNX graph from the configuration and weights of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from nucleus_unet import __version__
from nucleus_unet.model.config import INPUT_MEAN, INPUT_SCALE, OUTPUT_CHANNELS, RELU_LIMIT, NetworkConfig
from nucleus_unet.model.graph import FoldedWeights, Weights, forward

OPSET = 17
"""Version of the operator set. Runtimes since 2022 support it."""
INPUT, OUTPUT = "image", "output"
_IR_VERSION = 8  # the file format of this operator set


class Features(NamedTuple):
    """Features of the graph.

    Attributes
    ----------
    name
        Name of the tensor (N, C, H, W).
    channels
        Number of channels.
    """

    name: str
    channels: int


class OnnxLayers:
    """Layers that are nodes of an ONNX graph; see `nucleus_unet.model.graph.Layers`.

    Parameters
    ----------
    weights
        Weights of the convolutions.

    Attributes
    ----------
    nodes : list of NodeProto
        All nodes, in the order of computation.
    constants : list of TensorProto
        Constants that the nodes read.
    """

    def __init__(self, weights: FoldedWeights) -> None:
        self._weights = weights
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def node(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output. Return the name of the output, which is that of the node."""
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant unless one with the name exists. Return its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def standardise(self, image: str) -> Features:
        """Subtract the mean from an image (three channels) and scale it, as in training."""
        mean = self.constant("input.mean", np.array(INPUT_MEAN, np.float32))
        scale = self.constant("input.scale", np.array(1 / INPUT_SCALE, np.float32))
        return Features(self.node("Mul", "standardised", self.node("Sub", "centred", image, mean), scale), 3)

    def convolve(
        self, name: str, features: Features, outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        return self._convolve(name, features, outputs, kernel, stride, groups=1, relu=relu)

    def filter(self, name: str, features: Features, kernel: int, *, stride: int) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        return self._convolve(name, features, features.channels, kernel, stride, groups=features.channels, relu=True)

    def _convolve(
        self, name: str, features: Features, outputs: int, kernel: int, stride: int, *, groups: int, relu: bool
    ) -> Features:
        weight, bias = self._weights.convolution(name)
        inputs = (self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias))
        result = self.node(
            "Conv",
            f"{name}.convolved" if relu else name,
            features.name,
            *inputs,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
            group=groups,
        )
        if relu:
            least = self.constant("relu.least", np.array(0, np.float32))
            most = self.constant("relu.most", np.array(RELU_LIMIT, np.float32))
            result = self.node("Clip", name, result, least, most)
        return Features(result, outputs)

    def add(self, name: str, first: Features, second: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        return Features(self.node("Add", name, first.name, second.name), first.channels)

    def concatenate(self, *features: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        concatenated = self.node("Concat", self._numbered("joined"), *(part.name for part in features), axis=1)
        return Features(concatenated, sum(part.channels for part in features))

    def repeat(self, features: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        scales = self.constant("twice", np.array([1, 1, 2, 2], np.float32))
        repeated = self.node(
            "Resize",
            self._numbered("repeated"),
            features.name,
            "",  # no region of interest
            scales,
            mode="nearest",
            # Other modes would shift the pixels by half a pixel.
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return Features(repeated, features.channels)

    def space_to_depth(self, name: str, features: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        # ONNX orders the new channels by pixel, then by channel. Here they are ordered by channel, then by pixel.
        folded = self.node("SpaceToDepth", f"{name}.by_pixel", features.name, blocksize=2)
        order = np.arange(4 * features.channels).reshape(4, features.channels).T.ravel()
        return Features(
            self.node("Gather", name, folded, self.constant(f"{name}.order", order), axis=1), 4 * features.channels
        )

    def depth_to_space(self, features: Features) -> Features:
        """See `nucleus_unet.model.graph.Layers`."""
        # CRD: channel, row, column.
        unfolded = self.node("DepthToSpace", self._numbered("unfolded"), features.name, blocksize=2, mode="CRD")
        return Features(unfolded, features.channels // 4)

    def _numbered(self, name: str) -> str:
        return f"{name}.{len(self.nodes)}"


def build_onnx(config: NetworkConfig, weights: Weights, *, metadata: Mapping[str, str] | None = None) -> ModelProto:
    """Build the graph of a network in single precision.

    Parameters
    ----------
    config, weights
        Configuration of the network, and its weights from a bundle.
    metadata
        Properties to store in the file.

    Returns
    -------
    onnx.ModelProto
        Maps ``image`` (N, 3, H, W) float32, normalised to 0..1, to ``output`` (N, 4, H, W) float32, the output of
        `nucleus_unet.inference.engine.Predictor.run`. N, H and W are variable; H and W are multiples of the stride.
    """
    layers = OnnxLayers(FoldedWeights(weights))
    output = forward(config, layers, layers.standardise(INPUT))
    layers.node("Identity", OUTPUT, output.name)
    free = ["batch", "height", "width"]
    shapes = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [free[0], channels, *free[1:]])
        for name, channels in ((INPUT, 3), (OUTPUT, OUTPUT_CHANNELS))
    }
    graph = helper.make_graph(
        layers.nodes, "nucleus-unet", [shapes[INPUT]], [shapes[OUTPUT]], initializer=list(layers.constants.values())
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="nucleus-unet",
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(metadata or {}))
    checker.check_model(model, full_check=True)
    return model
