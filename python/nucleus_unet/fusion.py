"""The network as it runs where it only answers: what training needs apart is folded together, and CPUs go by strips."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from nucleus_unet.flow import Flow, Strips, convolve
from nucleus_unet.lanes import go_on
from nucleus_unet.network import OUTPUT_CHANNELS, ConvNorm, Network, Upward, channels_last
from nucleus_unet.tiles import round_up

# Of a strip: so few that its largest features take some 20 MB, which memory allocators keep for the next strip; twice
# as much, and they are fetched from the system and cleared anew.
_STRIP_PIXELS = 3 * 2**16


class FoldedUpward(Upward):
    """An `Upward` that does not repeat the deeper features before it mixes them.

    A 3 x 3 kernel over pixels that are each repeated 2 x 2 times meets only 2 x 2 different ones, which ones depends on
    whether row and column are even: four kernels of sums of weights, four ninths of the multiplications, and no
    repeated features in memory. (As Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?",
    see it from the other side.) Sums are in another order, so the last bits are others than those of `Upward`.

    Parameters
    ----------
    upward
        Its normalisation already folded into its convolutions.
    """

    def __init__(self, upward: Upward) -> None:
        nn.Module.__init__(self)
        self.deep, self.mix = upward.deep, upward.mix
        convolution = cast(nn.Conv2d, cast(ConvNorm, upward.mix[0])[0])
        weight = convolution.weight.detach()
        above, middle, below = weight[:, : self.deep].unbind(2)
        kernels = []
        for rows in (above, middle + below), (above + middle, below):
            left, centre, right = torch.stack(rows, dim=2).unbind(3)
            kernels += [torch.stack([left, centre + right], dim=3), torch.stack([left + centre, right], dim=3)]
        self.kernels = nn.ParameterList(nn.Parameter(channels_last(each), requires_grad=False) for each in kernels)
        self.of_skipped = nn.Parameter(channels_last(weight[:, self.deep :]), requires_grad=False)

    def joined(self, deep: Tensor, skipped: Tensor, flow: Flow) -> Tensor:
        """See `Upward`."""
        first = cast(ConvNorm, self.mix[0])
        # Windows of four rows, every second row: as many pairs of rows as there are windows of three deeper ones.
        skipped = flow.windows(first, skipped, kernel=4, stride=2, padding=1)
        result = convolve(skipped, self.of_skipped, cast(nn.Conv2d, first[0]).bias)
        deep = flow.windows(self, deep, kernel=3, stride=1, padding=1)
        count, channels, height, width = result.shape
        by_parity = result.permute(0, 2, 3, 1).view(count, height // 2, 2, width // 2, 2, channels)
        for number, kernel in enumerate(self.kernels):
            row, column = divmod(number, 2)
            answer = convolve(deep, kernel, None).permute(0, 2, 3, 1)
            by_parity[:, :, row, :, column] += answer[:, row : row + height // 2, column : column + width // 2]
        return first.finished(result)


class StripByStrip(nn.Module):
    """A network that goes through an image from top to bottom in strips: on CPUs, in half the time.

    Every number is the same for all heights and widths of images and strips, and all numbers of threads.

    Parameters
    ----------
    network
        In evaluation mode, on a CPU.
    pixels
        Of a strip.

    Examples
    --------
    >>> import torch
    >>> from nucleus_unet.network import NetworkConfig
    >>> network = Network(NetworkConfig(decoder=(8, 8, 8, 8))).eval()
    >>> image = torch.rand(1, 3, 320, 64)
    >>> with torch.inference_mode():
    ...     answers = [StripByStrip(network, pixels=pixels)(image) for pixels in (2048, 100_000)]
    >>> torch.equal(*answers)
    True
    """

    def __init__(self, network: Network, *, pixels: int = _STRIP_PIXELS) -> None:
        super().__init__()
        self.network, self._pixels = network, pixels
        self.stride, self.receptive_radius = network.stride, network.receptive_radius

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 4, H, W), as `Network` does."""
        count, _, height, width = image.shape
        answer = torch.empty((count, OUTPUT_CHANNELS, height, width), memory_format=torch.channels_last)
        flow, done = Strips(), 0
        for strip in self._strips(height, width):
            go_on()
            flow.last = strip.stop == height
            rows = self.network(image[:, :, strip], flow)
            answer[:, :, done : done + rows.shape[2]] = rows
            done += rows.shape[2]
        return answer

    def _strips(self, height: int, width: int) -> list[slice]:
        """Cut the rows of an image; the first strip is so high that every layer has something to say of it."""
        strip = round_up(-(-self._pixels // width), self.stride)
        starts = [0, *range(round_up(self.receptive_radius + strip, self.stride), height, strip)]
        return [slice(start, stop) for start, stop in pairwise([*starts, height])]


Fused = Network | StripByStrip
"""What `fused` returns."""


def fused(network: Network, device: torch.device) -> Fused:
    """Return a copy for inference only, on a device: every normalisation is folded into its convolution.

    On CPUs it is `StripByStrip`, and every `Upward` is folded: multiplications and memory are what takes time there.
    """
    copied = copy.deepcopy(network).eval()
    for module in copied.modules():
        if isinstance(module, ConvNorm):
            module.fuse()
    copied.to(memory_format=torch.channels_last)
    if device.type != "cpu":
        return copied.to(device)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if isinstance(child, Upward):
                setattr(module, name, FoldedUpward(child))
    return StripByStrip(copied).eval()
